"""Refusals as pages say them: by code, in words for people; what programs are told stands in `authz.sentences`."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from gatekeeper.authz import Code, Denied, Policies
from gatekeeper.web.wording.times import instant_tag

_LOGIN, _ACCESS = "login", "access"

# What is so, what to do, and where that is done; "" for what a sentence says better than a link.
REFUSALS: dict[Code, tuple[str, str, str]] = {
    Code.SIGN_IN_REQUIRED: ("You are not signed in.", "Sign in", _LOGIN),
    Code.WITHDRAWN: ("This release was withdrawn.", "Its page gives the reason, and later releases.", ""),
    Code.HELD: (
        "This release is on hold while an incident is looked into.",
        "Nothing is needed from you: who has access, or follows the repository, gets a notice when it goes on.",
        "",
    ),
    Code.EMBARGOED: ("This release is under an embargo.", "See what you can do until then", _ACCESS),
    Code.TERMS_NOT_ACCEPTED: ("You have not accepted the license yet.", "Read and accept it", _ACCESS),
    Code.TERMS_CHANGED: (
        "The terms have changed since you accepted them.",
        "Read and accept the present ones",
        _ACCESS,
    ),
    Code.TERMS_WITHDRAWN: ("You withdrew your acceptance of the license.", "Read and accept it again", _ACCESS),
    Code.ACCESS_NOT_REQUESTED: ("A maintainer has to approve you first.", "Ask for access", _ACCESS),
    Code.REQUEST_PENDING: ("Your request is waiting for a decision.", "See how it stands", _ACCESS),
    Code.REQUEST_RETURNED: ("Your request came back with a question.", "Read and answer it", _ACCESS),
    Code.APPROVAL_INCOMPLETE: ("You are approved, and something is still missing.", "See what it is", _ACCESS),
    Code.REQUEST_REJECTED: ("Your request was not approved.", "Read the reason", _ACCESS),
    Code.ACCESS_REVOKED: ("Your access was revoked.", "Read the reason", _ACCESS),
    Code.ACCESS_SUSPENDED: ("Your access is suspended for now.", "Read the reason", _ACCESS),
    Code.ACCESS_EXPIRED: ("Your access has ended.", "Ask for it again", _ACCESS),
    Code.PREREQUISITE_MISSING: ("Your access needs something that you lack, or that has lapsed.", "See what", _ACCESS),
    Code.INSTITUTION_NEEDED: ("Weights go to people who named their institution.", "Ask again and name it", _ACCESS),
    Code.PURPOSE_NEEDED: ("This needs access that was given for a stated purpose.", "Ask and state it", _ACCESS),
}


@dataclass(frozen=True)
class Refusal:
    """Why not, and the one thing to do: a link where there is an `href`, else a sentence."""

    reason: str
    action: str = ""
    href: str = ""

    @property
    def sentence(self) -> Markup:
        """Both as text without a link."""
        return Markup("{} {}").format(self.reason, self.action + ("." if self.href else "")).strip()


def refusal(denied: Denied, url: str) -> Refusal:
    """What a person reads who is denied something of the repository at `url`."""
    reason, action, where = REFUSALS.get(denied.code, (denied.reason, denied.next_step, ""))
    if denied.code is Code.EMBARGOED and denied.revision:
        reason = until(reason, denied.revision.embargoed_until)
    return Refusal(reason, action, {_LOGIN: f"/login?next={url}", _ACCESS: f"{url}/access"}.get(where, ""))


def cause(name: str, policies: Policies) -> str:
    """What was refused and counted, in words: the reason of the policy that forbade it, or why none allowed it."""
    rule = policies.rules.get(name)
    return f"{rule.reason} ({name})" if rule else name.replace("_", " ").capitalize()


def until(reason: str, instant: datetime | None) -> str:
    """What is so until an instant, where that is known."""
    return Markup("{} until {}.").format(reason.removesuffix("."), instant_tag(instant)) if instant else reason
