"""Answers that reviewers start from: the list of a repository or of an organization, new ones, new versions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import access
from gatekeeper.access import AnswerTemplate
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.admin.scope import managed_organization, names_of, runs_hub
from gatekeeper.web.guard import Call, Endpoint, guarded
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url


@dataclass(frozen=True)
class Place:
    """Whose answers they are, and the address of their page."""

    of: Repo | Organization
    name: str
    url: str


@dataclass(frozen=True)
class Shown:
    """An answer with its versions before: number, when, by whom, words."""

    id: str
    version: int
    act: str
    title: str
    text: str
    made_at: datetime
    made_by: str
    before: tuple[tuple[int, datetime, str, str], ...]


PlaceOf = Callable[[Call], Awaitable[Place]]


async def of_repo(call: Call) -> Place:
    """The repository of the address."""
    return Place(call.repo, call.repo.full_name, f"{repo_url(call.repo)}/answers")


async def of_organization(call: Call) -> Place:
    """The organization of the address, for those who manage it."""
    found = await managed_organization(call)
    return Place(found, found.name, f"/admin/organizations/{found.name}/answers")


def showing(place_of: PlaceOf) -> Endpoint:
    """`GET .../answers`."""

    async def show_answers(call: Call) -> Response:
        """The answers that reviewers start from here, with the versions before."""
        return await _page(call, await place_of(call))

    return show_answers


def saving(place_of: PlaceOf) -> Endpoint:
    """`POST .../answers`."""

    async def save_answer(call: Call) -> Response:
        """Add an answer, or a new version of the one that `id` and `version` name."""
        place = await place_of(call)
        sent = await forms.read(call.request)
        id = forms.text(sent, "id", most=26)
        earlier = await _seen(call, place, id, forms.text(sent, "version", most=20)) if id else None
        typed = {name: forms.text(sent, f"{name}-{id}", most=5_000) for name in ("act", "title", "text")}
        try:
            async with call.session.begin_nested():
                await access.save_template(call.session, place.of, by=call.principal, earlier=earlier, **typed)
        except (Invalid, Conflict) as error:
            problem = {f"text-{id}": error.sentence}
            return await _page(call, place, typed={id: typed}, errors=problem, status=error.status)
        return RedirectResponse(f"{place.url}?done=answer-saved", 303)

    return save_answer


def retiring(place_of: PlaceOf) -> Endpoint:
    """`POST .../answers/{id}/retire`."""

    async def retire_answer(call: Call) -> Response:
        """Offer an answer no longer; its versions stay."""
        place = await place_of(call)
        sent = await forms.read(call.request)
        earlier = await _seen(call, place, call.params["id"], forms.text(sent, "version", most=20))
        await access.retire_template(call.session, place.of, earlier, by=call.principal)
        return RedirectResponse(f"{place.url}?done=answer-retired", 303)

    return retire_answer


async def _seen(call: Call, place: Place, id: str, version: str) -> AnswerTemplate:
    """The newest version of an answer, which must be the one that the page showed."""
    newest = (await access.versions_of(call.session, place.of, id))[0]
    if str(newest.version) != version:
        raise Conflict("Somebody else changed this answer.", next_step="Reload the page and look at theirs.")
    return newest


async def _page(
    call: Call,
    place: Place,
    *,
    typed: dict[str, dict[str, str]] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    offered = await access.templates_of(call.session, place.of)
    names = await names_of(call, [each.made_by for versions in offered for each in versions])
    return render(
        call,
        "admin/answers.html",
        sees_all=runs_hub(call),
        status=status,
        place=place,
        answers=[_shown(versions, names) for versions in offered],
        uses=[(act, words.ANSWER_USES[act]) for act in access.ANSWER_USES],
        placeholders=access.PLACEHOLDERS,
        typed=typed or {},
        errors=errors or {},
    )


def _shown(versions: list[AnswerTemplate], names: dict[str, str]) -> Shown:
    newest, *before = versions
    return Shown(
        newest.id,
        newest.version,
        newest.act,
        newest.title,
        newest.text,
        newest.made_at,
        names.get(newest.made_by or "", ""),
        tuple((each.version, each.made_at, names.get(each.made_by or "", ""), each.text) for each in before),
    )


_OF_REPO = "/{ns}/{name}/answers"
_OWN = "/admin/organizations/{organization}/answers"

ROUTES = [
    *for_kinds(_OF_REPO, showing(of_repo), needs=Action.REVIEW),
    *for_kinds(_OF_REPO, saving(of_repo), needs=Action.REVIEW, methods=("POST",)),
    *for_kinds(f"{_OF_REPO}/{{id}}/retire", retiring(of_repo), needs=Action.REVIEW, methods=("POST",)),
    guarded(_OWN, showing(of_organization), needs=Action.USE_ACCOUNT),
    guarded(_OWN, saving(of_organization), needs=Action.USE_ACCOUNT, methods=("POST",)),
    guarded(f"{_OWN}/{{id}}/retire", retiring(of_organization), needs=Action.USE_ACCOUNT, methods=("POST",)),
]
