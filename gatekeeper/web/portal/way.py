"""The box "your way in": what lies between this reader and the model, and the one next thing to do."""

from dataclasses import dataclass

from markupsafe import Markup

from gatekeeper.access import OPEN, RequestState, Standing
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Allowed, Code, Denied
from gatekeeper.kit.clock import last_moment
from gatekeeper.licensing import Terms
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.web.portal.views import Seen
from gatekeeper.web.wording.refusals import refusal
from gatekeeper.web.wording.times import day_tag

_STOPPED = (Code.HELD, Code.WITHDRAWN, Code.TERMS_MISSING, Code.POLICY_ERROR)
_BY_APPROVAL = (
    Code.ACCESS_NOT_REQUESTED,
    Code.REQUEST_PENDING,
    Code.REQUEST_RETURNED,
    Code.APPROVAL_INCOMPLETE,
    Code.ACCESS_SUSPENDED,
    Code.PREREQUISITE_MISSING,
    Code.REQUEST_REJECTED,
    Code.ACCESS_REVOKED,
    Code.ACCESS_EXPIRED,
    Code.INSTITUTION_NEEDED,
    Code.PURPOSE_NEEDED,
)


@dataclass(frozen=True)
class Step:
    """A step of the way: kind is yes, wait, no (to do) or stop."""

    kind: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Way:
    """The box. `href` and `action` are the one next thing to do."""

    title: str
    text: str = ""
    steps: tuple[Step, ...] = ()
    href: str = ""
    action: str = ""
    also_href: str = ""
    also_action: str = ""
    is_open: bool = False


def way_in(
    principal: Principal, seen: Seen, terms: Terms | None, *, accepted: Acceptance | None, stands: Standing
) -> Way:
    """The way of this reader to this model."""
    url, rights, content = seen.head.url, seen.rights, seen.head.kind.content
    makes_images = seen.head.kind.makes_images
    download = rights[Action.DOWNLOAD]
    generate = rights[Action.GENERATE] if makes_images else download
    playground = has_playground(seen)
    title, text = "Your way in", ""
    if isinstance(download, Denied) and isinstance(generate, Denied):
        if download.code in _STOPPED:
            return Way("Not open right now", refusal(download, url).sentence)
        if download.code is Code.EMBARGOED:  # what is needed can be done meanwhile
            title, text = "Not open yet", refusal(download, url).reason
    until = max(
        (each.terms_until for each in (download, generate) if isinstance(each, Allowed) and each.terms_until),
        default=None,
    )
    if until is not None:
        return Way(
            "The terms have changed",
            Markup("The earlier ones let you in until {}. Read the change and accept it.").format(day_tag(until)),
            href=f"{url}/access",
            action="Read and accept the change",
            also_href=f"{url}/playground" if playground and generate else "",
            also_action="Open the playground",
            is_open=True,
        )
    if download and generate:
        ends = stands.grant.ends_at if stands.grant else None
        return Way(
            "You have access",
            Markup("You can {}download {}{}.").format(
                "make images here and " if makes_images else "",
                content,
                Markup(" until {}").format(day_tag(last_moment(ends))) if ends else "",
            ),
            href=f"{url}/playground" if playground else "",
            action="Open the playground",
            also_href=f"/settings/tokens/new?repo={url.strip('/')}",
            also_action="Make an access token",
            is_open=True,
        )
    steps = _steps(principal, seen, terms, accepted, stands)
    todo = next((step for step in steps if step.kind != "yes"), None)
    if not principal.is_signed_in:
        return Way(title, text, steps, f"/login?next={url}", "Sign in")
    if generate and playground:
        return Way(
            "You can make images",
            "For the weights, a maintainer decides." if todo else "",
            steps,
            f"{url}/playground",
            "Open the playground",
            f"{url}/access",
            _next_action(todo, terms, accepted),
            is_open=True,
        )
    if text and todo is None:
        return Way(title, text, steps)
    return Way(title, text, steps, f"{url}/access", _next_action(todo, terms, accepted))


def way_to_images(principal: Principal, seen: Seen, way: Way, *, trouble: str) -> Way | None:
    """Why this reader has no playground now, with the one thing to do; None where they have one.

    way      their way to the model
    trouble  why no images are made here at all, "" where they are
    """
    url, generate = seen.head.url, seen.rights[Action.GENERATE]
    if isinstance(generate, Denied):
        title = "You cannot make images here yet" if way.href else "No images are made here right now"
        told = refusal(generate, url)
        text = told.reason if way.href else told.sentence
        href = way.href if principal.is_signed_in else f"/login?next={url}/playground"
        return Way(title, text, way.steps, href or url, way.action or "About this model")
    if trouble:
        return Way("No images are made here right now", trouble, href=url, action="About this model")
    return None


def onward(seen: Seen) -> tuple[str, str] | None:
    """Where somebody who has access goes next, and what that is called; None for who has none."""
    url, rights = seen.head.url, seen.rights
    if rights[Action.GENERATE] and has_playground(seen):
        return f"{url}/playground", "Open the playground"
    if rights[Action.DOWNLOAD]:
        return f"/settings/tokens/new?repo={url.strip('/')}", "Make an access token"
    return None


def has_playground(seen: Seen) -> bool:
    """Whether images are made of this model on this hub."""
    return any(label == "Playground" for _, label in seen.head.tabs)


def lacks_answer(seen: Seen) -> Denied | None:
    """The denial that only another answer to the questions ends: access is there, and was given without it."""
    denied = seen.rights[Action.DOWNLOAD]
    return denied if isinstance(denied, Denied) and denied.code is Code.INSTITUTION_NEEDED else None


def _steps(
    principal: Principal, seen: Seen, terms: Terms | None, accepted: Acceptance | None, stands: Standing
) -> tuple[Step, ...]:
    signed_in = principal.is_signed_in
    steps = [Step("yes", f"Signed in as {principal.name}") if signed_in else Step("no", "Sign in")]
    if terms and terms.need_acceptance:
        makes_images = seen.head.kind.makes_images
        note = "" if accepted else "Needed to make images and to download" if makes_images else "Needed to download"
        steps.append(Step("yes" if accepted else "no", "License accepted" if accepted else "Accept the license", note))
    approval = _approval(seen, stands)
    return (*steps, approval) if approval else tuple(steps)


def _approval(seen: Seen, stands: Standing) -> Step | None:
    """The step that a maintainer decides, where there is one."""
    download = seen.rights[Action.DOWNLOAD]
    if stands.grant is not None:
        if isinstance(download, Denied) and download.code is Code.PREREQUISITE_MISSING:
            return Step("no", "Approved: show what access needs", "The Access tab says what is missing.")
        if lacks_answer(seen) is None:
            return Step("yes", "Approved by a maintainer")
        if not stands.request or stands.request.state not in (*OPEN, RequestState.REJECTED):
            return Step("no", "Approved: ask again and name your institution", "Needed to download")
    is_gated = seen.head.gate != "none" and not seen.head.is_staged
    is_by_approval = isinstance(download, Denied) and download.code in _BY_APPROVAL
    if not (is_gated or is_by_approval or seen.head.stage in ("research_preview", "gated")):
        return None
    state = stands.request.state if stands.request else None
    match state:
        case RequestState.DRAFT:
            return Step("no", "Complete your draft and send it")
        case RequestState.RETURNED:
            return Step("no", "Answer what was asked back")
        case RequestState.AWAITING_TERMS:
            return Step("no", "Approved: do what is still missing", "The Access tab says what it is.")
        case RequestState.SUSPENDED:
            return Step("stop", "Access suspended", stands.request.reason if stands.request else "")
        case RequestState.IN_REVIEW | RequestState.REFERRED:
            return Step("wait", "Waiting for a maintainer", "Nothing is needed from you.")
        case RequestState.REJECTED:
            return Step("stop", "Not approved", stands.request.reason if stands.request else "")
        case RequestState.REVOKED:
            return Step("stop", "Access revoked", stands.request.reason if stands.request else "")
        case RequestState.EXPIRED | RequestState.ACTIVE:
            return Step("no", "Ask again: your access has ended")
    return Step("no", "Be approved by a maintainer", "Needed to download")


def _next_action(todo: Step | None, terms: Terms | None, accepted: Acceptance | None) -> str:
    if terms and terms.need_acceptance and accepted is None:
        return "Read and accept the license"
    if todo is None or todo.kind == "no":
        return "Ask for access"
    return "See how it stands"
