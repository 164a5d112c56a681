"""The words of every denial: a reason and a next step for each code, in plain language."""

from dataclasses import dataclass

from gatekeeper.authz.actions import Action
from gatekeeper.authz.outcome import Code
from gatekeeper.authz.resource import Hub, Target


@dataclass(frozen=True, slots=True)
class Why:
    """What a person who is refused is told."""

    code: Code
    reason: str
    next_step: str


# restricted  the public hub's own sentence, which scripts look for
SENTENCES: dict[Code, tuple[str, str]] = {
    Code.SIGN_IN_REQUIRED: ("You are not signed in.", "Sign in or send an access token."),
    Code.ACCOUNT_DISABLED: ("This account is disabled.", "Ask an administrator of this hub."),
    Code.TOKEN_SCOPE_MISSING: (
        "{rule} It is needed to {act}.",
        "Use a token that has the scope {scope}, made at /settings/tokens.",
    ),
    Code.TOKEN_REACH_MISSING: (
        "{rule} It may not {act}.",
        "Use a token that covers {name}, made at /settings/tokens.",
    ),
    Code.TOKEN_NOT_APPROVED: (
        "{rule}",
        "/settings/tokens shows what your token waits for; an administrator of the organization approves it.",
    ),
    Code.PERSON_REQUIRED: ("{rule}", "Ask a member of the organization to do it."),
    Code.SESSION_REQUIRED: ("{rule}", "Sign in with a browser and do it there."),
    Code.WITHDRAWN: ("This release of {name} was withdrawn.", "Its reason and later releases are on {page}."),
    Code.HELD: (
        "This release of {name} is on hold while an incident is looked into.",
        "Nothing is needed from you; {page} says when it goes on.",
    ),
    Code.EMBARGOED: (
        "This release of {name} is under an embargo.",
        "Ask for access at {access} already now, so that it opens for you in time.",
    ),
    Code.TERMS_NOT_ACCEPTED: (
        "You have not accepted the terms of {name}.",
        "Read and accept its terms at {access}.",
    ),
    Code.TERMS_CHANGED: (
        "The terms of {name} have changed since you accepted them.",
        "Read and accept the present ones at {access}.",
    ),
    Code.TERMS_WITHDRAWN: (
        "You withdrew your acceptance of the terms of {name}.",
        "Read and accept them again at {access}.",
    ),
    Code.TERMS_MISSING: (
        "The license text of {name} is missing, so nobody can accept it.",
        "Ask its maintainers to add a LICENSE file.",
    ),
    Code.ACCESS_NOT_REQUESTED: ("{restricted}", "Ask for access at {access}."),
    Code.REQUEST_PENDING: (
        "{restricted} Your request is waiting for a decision.",
        "See how it stands at {access}.",
    ),
    Code.REQUEST_RETURNED: (
        "{restricted} Your request came back with a question.",
        "Read it and send your answers again at {access}.",
    ),
    Code.APPROVAL_INCOMPLETE: (
        "{restricted} Your request was approved, and something is still missing on your side.",
        "What it is says {access}.",
    ),
    Code.REQUEST_REJECTED: ("{restricted} Your request was rejected.", "The reason is at {access}."),
    Code.ACCESS_REVOKED: ("{restricted} Your access was revoked.", "The reason is at {access}."),
    Code.ACCESS_SUSPENDED: ("{restricted} Your access is suspended for now.", "The reason is at {access}."),
    Code.PREREQUISITE_MISSING: (
        "Your access to {name} does not count without a prerequisite that you lack or that has lapsed.",
        "Which one says {access}; its maintainers record it.",
    ),
    Code.ACCESS_EXPIRED: ("{restricted} Your access has ended.", "Ask for it again at {access}."),
    Code.INSTITUTION_NEEDED: (
        "At this stage, weights of {name} go to people whose request named their institution.",
        "Ask again at {access} and name it.",
    ),
    Code.PURPOSE_NEEDED: (
        "Adjusting the safety of {name} needs access that was given for a stated purpose.",
        "Ask again at {access} and state it.",
    ),
    Code.TESTERS_ONLY: (
        "This release of {name} is in trusted test; only testers named by its maintainers may {act}.",
        "Ask its maintainers to name you as a tester.",
    ),
    Code.MEMBERS_ONLY: (
        "Only members of the organization behind {name} may {act}.",
        "Ask one of its administrators to add you.",
    ),
    Code.OWNERS_ONLY: ("Only people who may write to {name} may {act}.", "Ask one of its maintainers."),
    Code.MAINTAINERS_ONLY: ("Only maintainers of {name} may {act}.", "Ask one of its maintainers."),
    Code.ADMINS_ONLY: ("Only administrators of this hub may {act}.", "Ask an administrator of this hub."),
    Code.LICENSE_FORBIDS: (
        "The license of {name} is not known to allow passing copies on.",
        "Link to {page} instead.",
    ),
    Code.NOT_AT_THIS_STAGE: (
        "Nobody may {act} at the present stage of {name}.",
        "{page} shows what each stage opens.",
    ),
    Code.POLICY_ERROR: (
        "The policies could not be evaluated, so the answer is no.",
        "Those who run this hub are told; try again later.",
    ),
}

ACTS: dict[Action, str] = {
    Action.KNOW: "see this",
    Action.READ_CARD: "read its card and license",
    Action.SEE_SAMPLES: "see its sample images",
    Action.LIST_FILES: "see its file list",
    Action.READ_SMALL: "read its files",
    Action.DOWNLOAD: "download its weights",
    Action.GENERATE: "generate with it",
    Action.GENERATE_ADJUSTED: "generate with adjusted safety",
    Action.SEE_INTERMEDIATE: "see intermediate data",
    Action.DISCUSS_READ: "read its discussion",
    Action.DISCUSS_WRITE: "take part in its discussion",
    Action.DERIVE: "publish derivatives of it",
    Action.REDISTRIBUTE: "pass copies on",
    Action.ACCEPT_TERMS: "accept its terms",
    Action.REQUEST_ACCESS: "ask for access",
    Action.WRITE: "upload to it",
    Action.UPLOAD: "send files to it",
    Action.PROPOSE: "propose a promotion",
    Action.REVIEW: "handle requests for access",
    Action.MANAGE: "change its settings",
    Action.PROMOTE: "promote a release",
    Action.HOLD: "hold, resume or take back a release",
    Action.REPORT: "report a problem with it",
    Action.HANDLE_INCIDENTS: "handle its incidents",
    Action.CREATE_REPO: "create a repository here",
    Action.CREATE_ORGANIZATION: "create an organization",
    Action.MANAGE_ORGANIZATION: "manage an organization's members",
    Action.READ_COLLECTIONS: "see private collections here",
    Action.CURATE: "change the collections here",
    Action.USE_ACCOUNT: "read your own records",
    Action.MANAGE_ACCOUNT: "manage your account",
    Action.MANAGE_WEBHOOKS: "manage your webhooks",
    Action.WITHDRAW_TERMS: "withdraw from terms that you accepted",
    Action.ADMIN_PEOPLE: "manage people",
    Action.ADMIN_LEDGER: "read the evidence log",
    Action.ADMIN_POLICIES: "see and change policies",
    Action.ADMIN_HUB: "run the hub",
}


def words_for(action: Action, resource: Target, *, scope: str, rule_reason: str) -> dict[str, str]:
    """What the sentences speak about. Values are names the hub itself checked; nothing typed by others is in them."""
    words = {"act": ACTS[action], "scope": scope, "rule": rule_reason}
    if isinstance(resource, Hub):
        return words | {"name": resource.namespace or "this hub", "page": "/", "access": "/", "restricted": ""}
    return words | {
        "name": resource.name,
        "page": resource.page,
        "access": f"{resource.page}/access",
        "restricted": (
            f"Access to {resource.noun} {resource.name} is restricted and you are not in the authorized list."
        ),
    }
