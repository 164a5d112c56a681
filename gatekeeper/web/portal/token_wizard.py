"""A token for one purpose: the narrowest that does it, proposed, made, and shown with the code that uses it."""

from dataclasses import dataclass, replace
from datetime import timedelta

from starlette.responses import HTMLResponse, Response

from gatekeeper import accounts, authz, tokens
from gatekeeper.accounts import Reach
from gatekeeper.authz import Action, Denied
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.tokens import AccessToken, Scope, TokenKind
from gatekeeper.tokens.inference import MOST_MODELS
from gatekeeper.web import words
from gatekeeper.web.covering import repositories_named
from gatekeeper.web.generate.tokens import make_for
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.purposes import PURPOSES, Purpose, lines_for
from gatekeeper.web.portal.tokens import Row, day_options, row_of
from gatekeeper.web.portal.views import Seen, render, see_each

_LONGEST_NAME = 300
_MINUTES = (5, 15, 30, 60)


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it is proposed."""

    repositories: str
    label: str
    lasts: str


async def choose(call: Call) -> Response:
    """`GET /settings/tokens/new`: what do you want to do?"""
    repo = call.request.query_params.get("repo", "")[:_LONGEST_NAME]
    return render(call, "portal/token_purposes.html", purposes=PURPOSES.values(), repo=repo)


async def propose(call: Call) -> Response:
    """`GET /settings/tokens/new/{purpose}`: the least that it takes, filled in."""
    purpose, name = _purpose(call), call.request.query_params.get("repo", "")[:_LONGEST_NAME]
    label = await _free_label(call, f"{purpose.key} {name}".strip())
    return await _page(call, purpose, Form(name, label, _proposed(call, purpose)))


async def make(call: Call) -> Response:
    """`POST /settings/tokens/new/{purpose}`: the answer is the page with the secret, which exists nowhere else."""
    purpose, sent = _purpose(call), await forms.read(call.request)
    form = Form(
        forms.text(sent, "repositories"), forms.text(sent, "label", most=200), forms.text(sent, "lasts", most=10)
    )
    if form.lasts not in {value for value, _ in _lives(call, purpose)}:
        return await _page(call, purpose, form, errors={"lasts": "Choose one of the offered times."}, status=422)
    try:
        async with call.session.begin_nested():
            named = await _named(call, purpose, form)
            made, secret = await _issue(call, purpose, form, named)
    except Conflict as error:
        return await _page(call, purpose, form, errors={"label": error.sentence}, status=422)
    except GatekeeperError as error:
        field = str(error.details.get("field", "label" if "label" in error.sentence else "repositories"))
        text = error.sentence if isinstance(error, Invalid) else f"{error.sentence} {error.next_step}"
        return await _page(call, purpose, form, errors={field: text}, status=422)
    seen = await _see(call, named[0])
    return render(
        call,
        "portal/token_made.html",
        purpose=purpose,
        made=made,
        secret=secret,
        names=[repo.full_name for repo in named],
        not_yet=_not_yet(seen, purpose),
        head=seen.head,
        lines=lines_for(purpose, call.gatekeeper.settings.public_url, seen, secret),
    )


def _purpose(call: Call) -> Purpose:
    purpose = PURPOSES.get(call.params["purpose"])
    if purpose is None:
        raise NotFound("There is no such purpose.", next_step="Choose one at /settings/tokens/new.")
    return purpose


async def _named(call: Call, purpose: Purpose, form: Form) -> list[Repo]:
    """The repositories that it is for. Raises Invalid for none, too many, and those that make no images."""
    named = await repositories_named(call, form.repositories)
    wrong = ""
    if not named:
        wrong = "Name the repository that it is for."
    elif purpose.is_short and len(named) > MOST_MODELS:
        wrong = f"Such a token names at most {MOST_MODELS} models."
    elif purpose.makes_images and (other := next((r for r in named if not words.KINDS[r.kind].makes_images), None)):
        wrong = f"{other.full_name} is a {words.KINDS[other.kind].one}; only models make images."
    if wrong:
        raise Invalid(wrong, next_step="Correct the list.", details={"field": "repositories"})
    return named


async def _issue(call: Call, purpose: Purpose, form: Form, named: list[Repo]) -> tuple[AccessToken, str]:
    if purpose.is_short:
        return await make_for(call, named, minutes=int(form.lasts))
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    assert person is not None  # the guard has just found them
    return await tokens.issue(
        call.session,
        person,
        label=form.label,
        role=purpose.role,
        scopes=list(purpose.scopes),
        reach=Reach(frozenset(repo.id for repo in named)),
        expires_at=now() + timedelta(days=int(form.lasts)),
        max_days=call.gatekeeper.settings.token_max_days,
        key=call.gatekeeper.keys.tokens,
        by=call.principal,
    )


async def _page(
    call: Call, purpose: Purpose, form: Form, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    try:
        named = await repositories_named(call, form.repositories)
    except Invalid:  # said when the form is sent
        named = []
    seen = await _see(call, named[0]) if named else None
    may_trust = seen is not None and purpose.key == "ci" and bool(seen.rights[Action.MANAGE])
    return render(
        call,
        "portal/token_new.html",
        status=status,
        errors=errors or {},
        purpose=purpose,
        form=form,
        lives=_lives(call, purpose),
        can=[words.SCOPES[scope] for scope in purpose.scopes],
        cannot=[words.SCOPES[scope] for scope in Scope if scope not in purpose.scopes],
        head=seen.head if seen else None,
        not_yet=_not_yet(seen, purpose) if seen else "",
        jobs_href=f"/admin/repositories/{named[0].kind.value}/{named[0].full_name}/jobs" if may_trust else "",
        live=await _live(call) if purpose.is_short else (),
    )


async def _see(call: Call, repo: Repo) -> Seen:
    resource = await authz.load(call.session, call.principal, repo)
    return (await see_each(call, [(repo, resource)]))[0]


def _not_yet(seen: Seen, purpose: Purpose) -> str:
    """Why the token would be of no use there today, "" where it is of use."""
    decision = seen.rights[purpose.needs]
    return words.refusal(decision, seen.head.url).sentence if isinstance(decision, Denied) else ""


async def _live(call: Call) -> list[Row]:
    """Short tokens that are still good, named by what they are for."""
    held = await tokens.list_for(call.session, call.principal.person_id or "", kinds=(TokenKind.INFERENCE,))
    rows = [await row_of(call, token, None, {}) for token in held]
    return [replace(row, label=", ".join(row.covers or ()) or row.label, covers=None) for row in rows]


async def _free_label(call: Call, wanted: str) -> str:
    """`wanted`, with a number where a live token has that label."""
    wanted = wanted[:70]
    taken = {token.label for token in await tokens.list_for(call.session, call.principal.person_id or "")}
    numbers = (f"{wanted} {number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(label for label in numbers if label not in taken)


def _lives(call: Call, purpose: Purpose) -> list[tuple[str, str]]:
    if purpose.is_short:
        return [(str(minutes), f"{minutes} minutes") for minutes in _MINUTES]
    return day_options(call)


def _proposed(call: Call, purpose: Purpose) -> str:
    """The purpose's own time, or the longest that is offered below it."""
    if purpose.is_short:
        return "15"
    days = [int(value) for value, _ in _lives(call, purpose)]
    return str(max((day for day in days if day <= purpose.days), default=min(days)))


_PATH = "/settings/tokens/new"
ROUTES = [
    guarded(_PATH, choose, needs=Action.USE_ACCOUNT),
    # Asked before the form is filled in, so that nothing typed is lost on the way to the sign-in.
    guarded(f"{_PATH}/{{purpose}}", propose, needs=Action.USE_ACCOUNT, is_dangerous=True),
    guarded(f"{_PATH}/{{purpose}}", make, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
