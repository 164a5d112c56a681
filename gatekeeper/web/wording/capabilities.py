"""What people ask themselves about a repository, and the answers in a word."""

from gatekeeper.authz import Code
from gatekeeper.repos import RepoKind
from gatekeeper.web.wording.kinds import KINDS

# What a reader asks themselves, by the name of the action that answers it, in the order of the table.
CAPABILITIES: dict[str, str] = {
    "know": "See that it exists",
    "read_card": "Read the card and the license",
    "list_files": "See the list of files",
    "read_small": "Read small files",
    "generate": "Make images on this server",
    "generate_adjusted": "Make images with adjusted safety",
    "download": "Download the weights",
    "derive": "Publish something derived from it",
    "redistribute": "Pass copies on",
}


def capability(action: str, kind: RepoKind) -> str:
    """What the reader asks themselves about a repository of this kind."""
    return CAPABILITIES[action].replace("the weights", KINDS[kind].content)


# A refusal in a cell of the table, by its code: the reader's own, and everyone's.
MINE: dict[Code, tuple[str, str]] = {
    Code.SIGN_IN_REQUIRED: ("wait", "Sign in"),
    Code.TERMS_NOT_ACCEPTED: ("wait", "Accept license"),
    Code.TERMS_CHANGED: ("wait", "Accept new terms"),
    Code.TERMS_WITHDRAWN: ("wait", "Accept license again"),
    Code.ACCESS_NOT_REQUESTED: ("wait", "Ask"),
    Code.REQUEST_PENDING: ("wait", "Waiting"),
    Code.REQUEST_RETURNED: ("wait", "Answer"),
    Code.APPROVAL_INCOMPLETE: ("wait", "Complete"),
    Code.ACCESS_SUSPENDED: ("no", "Suspended"),
    Code.PREREQUISITE_MISSING: ("wait", "Prerequisite"),
    Code.REQUEST_REJECTED: ("no", "Not approved"),
    Code.ACCESS_REVOKED: ("no", "Revoked"),
    Code.ACCESS_EXPIRED: ("wait", "Ask again"),
    Code.INSTITUTION_NEEDED: ("wait", "Name institution"),
    Code.PURPOSE_NEEDED: ("wait", "State purpose"),
    Code.EMBARGOED: ("wait", "Embargo"),
    Code.HELD: ("no", "On hold"),
    Code.TESTERS_ONLY: ("no", "Testers only"),
    Code.MEMBERS_ONLY: ("no", "Members only"),
    Code.OWNERS_ONLY: ("no", "Owners only"),
}
EVERYONE: dict[Code, tuple[str, str]] = {
    Code.TERMS_NOT_ACCEPTED: ("wait", "With license"),
    Code.TERMS_CHANGED: ("wait", "With license"),
    Code.TERMS_WITHDRAWN: ("wait", "With license"),
    Code.ACCESS_NOT_REQUESTED: ("wait", "On approval"),
    Code.INSTITUTION_NEEDED: ("wait", "On approval"),
    Code.PURPOSE_NEEDED: ("wait", "On approval"),
    Code.TESTERS_ONLY: ("no", "Testers"),
    Code.MEMBERS_ONLY: ("no", "Members"),
    Code.OWNERS_ONLY: ("no", "Owners"),
    Code.HELD: ("no", "On hold"),
    Code.EMBARGOED: ("wait", "Embargo"),
}
