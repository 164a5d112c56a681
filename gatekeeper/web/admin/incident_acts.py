"""What a handler does about an incident: take up, link, note, hold, suspend, tell, close and so on. Each is decided."""

from collections.abc import Awaitable, Callable

from starlette.responses import RedirectResponse, Response

from gatekeeper import access, accounts, authz, incidents, provenance, releases, repos
from gatekeeper.access import AccessGrant
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.incidents import Incident, IncidentLink, LinkKind, Severity, Subject, linking
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.admin.incidents import has_links_elsewhere, incident_of, incident_page, repo_named
from gatekeeper.web.admin.scope import decided
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms

_ONE = "/admin/incidents/{id}"


async def take_up(call: Call) -> Response:
    """`POST /admin/incidents/{id}/take-up`: make an incident of a report."""
    sent = await forms.read(call.request)
    title, severity = forms.text(sent, "title", most=500), forms.text(sent, "severity", most=20)

    async def act(incident: Incident) -> None:
        if severity not in set(Severity):
            raise Invalid("Say how bad it is.", next_step="Choose from the list.")
        await incidents.take_up(call.session, incident, title=title, severity=Severity(severity), by=call.principal)

    return await _try(call, act, "title", "incident-opened")


async def dismiss(call: Call) -> Response:
    """`POST /admin/incidents/{id}/dismiss`."""
    reason = forms.text(await forms.read(call.request), "reason")
    return await _try(
        call,
        lambda incident: incidents.dismiss(call.session, incident, reason=reason, by=call.principal),
        "reason",
        "incident-dismissed",
    )


async def note(call: Call) -> Response:
    """`POST /admin/incidents/{id}/note`."""
    text = forms.text(await forms.read(call.request), "note")
    return await _try(
        call,
        lambda incident: incidents.note(call.session, incident, text=text, by=call.principal),
        "note",
        "incident-noted",
    )


async def close(call: Call) -> Response:
    """`POST /admin/incidents/{id}/close`: with the note that everybody reads."""
    text = forms.text(await forms.read(call.request), "public_note")

    async def act(incident: Incident) -> None:
        await _require_all(
            call, incident, "The note would stand on the pages of repositories that are in the care of others."
        )
        await incidents.close(call.session, incident, public_note=text, by=call.principal)

    return await _try(call, act, "public_note", "incident-closed")


async def reopen(call: Call) -> Response:
    """`POST /admin/incidents/{id}/reopen`: what was closed or dismissed is open again."""
    reason = forms.text(await forms.read(call.request), "reason")

    async def act(incident: Incident) -> None:
        await _require_all(call, incident, "Its note stands on pages that are in the care of others.")
        await incidents.reopen(call.session, incident, reason=reason, by=call.principal)

    return await _try(call, act, "reason", "incident-reopened")


async def link(call: Call) -> Response:
    """`POST /admin/incidents/{id}/link`: to a repository, a revision, a person, their access, or an image."""
    sent = await forms.read(call.request)
    named = {name: forms.text(sent, name, most=200).strip() for name in ("repository", "revision", "person", "image")}

    async def act(incident: Incident) -> None:
        subject = await _subject(call, **named)
        await incidents.link(call.session, incident, subject, by=call.principal)

    return await _try(call, act, "repository", "incident-linked")


async def unlink(call: Call) -> Response:
    """`POST /admin/incidents/{id}/links/{link}/unlink`: the incident is not about it after all."""
    found = await _linked(call, None)

    async def act(incident: Incident) -> None:
        await incidents.unlink(call.session, incident, found, by=call.principal)

    return await _try(call, act, "", "incident-unlinked")


async def hold(call: Call) -> Response:
    """`POST /admin/incidents/{id}/links/{link}/hold`: stop the linked release."""
    found, reason = await _linked(call, LinkKind.REVISION), await _sent(call, "reason")

    async def act(incident: Incident) -> None:
        repo = await _repo_of(call, found)
        resource = await authz.load(call.session, call.principal, repo, commit=found.target)
        authz.require(call.gatekeeper.policies, call.principal, Action.HOLD, resource, now())
        release = await releases.stage_of(call.session, repo, found.target)
        if release is None:
            raise Invalid("This revision was never released.", next_step="There is nothing to hold.")
        await incidents.hold(call.session, incident, release, reason=reason, by=call.principal)

    return await _try(call, act, f"reason-{found.id}", "held")


async def suspend(call: Call) -> Response:
    """`POST /admin/incidents/{id}/links/{link}/suspend`: let the linked access not count for now."""
    found, reason = await _linked(call, LinkKind.GRANT), await _sent(call, "reason")

    async def act(incident: Incident) -> None:
        repo = await _repo_of(call, found)
        if not await decided(call, [repo], Action.REVIEW):
            raise NotAllowed("You do not handle access to this repository.", next_step="Ask one of its owners.")
        grant = await call.session.get_one(AccessGrant, found.target)
        await incidents.suspend(call.session, incident, grant, reason=reason, by=call.principal)

    return await _try(call, act, f"reason-{found.id}", "access-suspended")


async def tell(call: Call) -> Response:
    """`POST /admin/incidents/{id}/links/{link}/tell`: have everybody told who holds the linked revision."""
    found, message = await _linked(call, LinkKind.REVISION), await _sent(call, "message")
    sha256 = await _sent(call, "sha256")

    async def act(incident: Incident) -> None:
        repo = await _repo_of(call, found)
        await incidents.tell(
            call.session, incident, repo, found.target, message=message, sha256=sha256.strip(), by=call.principal
        )

    return await _try(call, act, f"message-{found.id}", "holders-told")


async def _try(call: Call, act: Callable[[Incident], Awaitable[object]], field: str, done: str) -> Response:
    """Do it, or show the page again with what was wrong and what was typed."""
    incident = await incident_of(call)
    try:
        async with call.session.begin_nested():
            await act(incident)
    except (Invalid, Conflict, NotAllowed) as error:
        fresh, sent = await incidents.get(call.session, incident.id), await forms.read(call.request)
        return await incident_page(call, fresh, sent, errors={field: error.sentence}, status=error.status)
    return RedirectResponse(f"/admin/incidents/{incident.id}?done={done}", 303)


async def _linked(call: Call, kind: LinkKind | None) -> IncidentLink:
    """The link of the address, of one kind or any, to what is in the caller's care."""
    incident = await incident_of(call)
    found = await call.session.get(IncidentLink, call.params["link"])
    if found is None or found.incident_id != incident.id or kind not in (None, found.kind):
        raise _no_link()
    if found.repo_id is not None:
        await _repo_of(call, found)
    return found


async def _require_all(call: Call, incident: Incident, why: str) -> None:
    if await has_links_elsewhere(call, incident):
        raise NotAllowed(
            why, next_step="Ask somebody who handles incidents of them all, as administrators of the hub do."
        )


async def _repo_of(call: Call, found: IncidentLink) -> Repo:
    repo = await repos.catalogue.by_id(call.session, found.repo_id or "")
    if repo is None or not await decided(call, [repo], Action.HANDLE_INCIDENTS):
        raise _no_link()
    return repo


def _no_link() -> NotFound:
    return NotFound("There is no such link.", next_step="Take it from the incident's page.")


async def _sent(call: Call, name: str) -> str:
    return forms.text(await forms.read(call.request), f"{name}-{call.params['link']}")


async def _subject(call: Call, *, repository: str, revision: str, person: str, image: str) -> Subject:
    """What the fields of the form name together. Raises Invalid."""
    if image:
        return await _image(call, image)
    repo = await repo_named(call, repository) if repository else None
    if repository and repo is None:
        raise Invalid("There is no such repository in your care.", status=422, next_step="Write it as namespace/name.")
    if person:
        found = await accounts.people.find(call.session, person)
        if found is None:
            raise Invalid("There is nobody with this name.", status=422, next_step="Check the name.")
        if repo is None:
            return linking.person(found)
        grant = await access.grant_in_force(call.session, found.id, repo.id, now())
        if grant is None:
            raise Invalid(
                f"{found.name} has no access to {repo.full_name}.", status=422, next_step="Leave one of the two empty."
            )
        return linking.grant(grant)
    if repo is None:
        raise Invalid("Nothing was named.", status=422, next_step="Fill in one of the fields.")
    if not revision:
        return linking.repository(repo)
    return linking.revision(repo, await repos.resolve_revision(call.session, repo, revision))


async def _image(call: Call, text: str) -> Subject:
    """By the ten digits of its record, or by the SHA-256 of its file."""
    record = await provenance.find_record(call.session, text)
    repo = await repos.catalogue.by_id(call.session, record.repo_id) if record else None
    if record is None or repo is None or not await decided(call, [repo], Action.HANDLE_INCIDENTS):
        raise Invalid(
            "There is no record of such an image in your care.",
            status=422,
            next_step="Look at the image on /verify and copy the number of its record.",
        )
    return linking.image(record)


ROUTES = [
    guarded(f"{_ONE}/take-up", take_up, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/dismiss", dismiss, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/note", note, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/reopen", reopen, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/links/{{link}}/unlink", unlink, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/link", link, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/close", close, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/links/{{link}}/hold", hold, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/links/{{link}}/suspend", suspend, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/links/{{link}}/tell", tell, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
