"""How the pages say things: stages, actions and states in plain words, in one place."""

from dataclasses import dataclass

from gatekeeper.access.tables import RequestState
from gatekeeper.authz import Code
from gatekeeper.generation import StrikeKind, StrikeState
from gatekeeper.releases.tables import Stage
from gatekeeper.repos import RepoKind
from gatekeeper.repos.scanning import FileResult, Status


@dataclass(frozen=True)
class StageFacts:
    """A stage for people. `rank` counts the rungs below it; `audience` says who it is for."""

    label: str
    rank: int
    audience: str


STAGES: dict[str, StageFacts] = {
    Stage.DRAFT: StageFacts("Draft", 0, "Only its owners."),
    Stage.INTERNAL: StageFacts("Internal", 1, "The members of its organization."),
    Stage.TRUSTED_TEST: StageFacts("Trusted test", 2, "Testers who were named one by one."),
    Stage.RESEARCH_PREVIEW: StageFacts("Research preview", 3, "People whose request was approved."),
    Stage.GATED: StageFacts("Gated", 4, "Images for whoever accepts the license; weights for approved people."),
    Stage.OPEN: StageFacts("Open", 5, "Everyone; use is bound to the license."),
}


@dataclass(frozen=True)
class KindFacts:
    """A kind of repository for people: one of them, several, the page that lists them, and what one downloads.

    lead          what the page that lists them says about them
    argument      what `hf download` must be told
    makes_images  whether one may be asked for images here
    """

    one: str
    many: str
    title: str
    href: str
    content: str
    lead: str
    argument: str = ""
    makes_images: bool = False


KINDS: dict[RepoKind, KindFacts] = {
    RepoKind.MODEL: KindFacts(
        "model",
        "models",
        "Models",
        "/models",
        "the weights",
        "Each stands at a stage that says who may use it, and how. What you may do is said beside it.",
        makes_images=True,
    ),
    RepoKind.DATASET: KindFacts(
        "data set",
        "data sets",
        "Data sets",
        "/datasets",
        "the files",
        "What models here are trained and measured on. What you may do with one is said beside it.",
        " --repo-type dataset",
    ),
    RepoKind.SPACE: KindFacts(
        "Space",
        "Spaces",
        "Spaces",
        "/spaces",
        "the files",
        "Their files are kept here and can be read and downloaded. This hub runs no Spaces.",
        " --repo-type space",
    ),
}

# What a list of repositories can be narrowed by, and put in order by.
FILTERS: dict[str, str] = {
    "q": "Name contains",
    "stage": "Stage",
    "can": "You can",
    "license": "License",
    "task": "Task",
    "library": "Library",
}
CAN: dict[str, str] = {"generate": "Make images", "download": "Download", "ask": "Ask for access"}
SORTS: dict[str, str] = {
    "": "Last changed",
    "created_at": "Newest",
    "trending": "Trending",
    "likes": "Most liked",
    "downloads": "Most downloaded",
}
# Offered while typing; any other can be typed as well.
TASKS: tuple[str, ...] = (
    "text-to-image",
    "image-to-image",
    "unconditional-image-generation",
    "inpainting",
    "text-to-video",
    "image-to-video",
    "text-to-audio",
    "text-to-speech",
    "text-to-3d",
    "text-generation",
    "image-classification",
    "feature-extraction",
)
LIBRARIES: tuple[str, ...] = ("diffusers", "transformers", "peft", "sentence-transformers", "timm", "keras", "gguf")

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
    Code.ACCESS_NOT_REQUESTED: ("wait", "On approval"),
    Code.INSTITUTION_NEEDED: ("wait", "On approval"),
    Code.PURPOSE_NEEDED: ("wait", "On approval"),
    Code.TESTERS_ONLY: ("no", "Testers"),
    Code.MEMBERS_ONLY: ("no", "Members"),
    Code.OWNERS_ONLY: ("no", "Owners"),
    Code.HELD: ("no", "On hold"),
    Code.EMBARGOED: ("wait", "Embargo"),
}


@dataclass(frozen=True)
class StateFacts:
    """A request's state for people: a word, a color, and what happens next."""

    label: str
    tone: str
    next_step: str


REQUEST_STATES: dict[str, StateFacts] = {
    RequestState.DRAFT: StateFacts("Draft", "", "Only you see it. Complete it and send it when you are ready."),
    RequestState.RETURNED: StateFacts(
        "With you", "warn", "Read what was asked back, change your answers and send them again."
    ),
    RequestState.REFERRED: StateFacts(
        "Waiting for review", "warn", "The maintainers asked somebody for an opinion. Nothing is needed from you."
    ),
    RequestState.AWAITING_TERMS: StateFacts(
        "Approved, not complete", "warn", "It was approved. What is still missing stands on the request's page."
    ),
    RequestState.SUSPENDED: StateFacts(
        "Suspended", "stop", "No new files or images for now. The maintainers can let the access go on."
    ),
    RequestState.IN_REVIEW: StateFacts(
        "Waiting for review", "warn", "A maintainer of the model will read your answers. Nothing is needed from you."
    ),
    RequestState.ACTIVE: StateFacts("Approved", "ok", "You can use the model now."),
    RequestState.REJECTED: StateFacts(
        "Not approved",
        "stop",
        "You can appeal: somebody else then looks at it. The maintainers can take the decision back, too.",
    ),
    RequestState.WITHDRAWN: StateFacts("Withdrawn", "", "You took the request back. You may ask again."),
    RequestState.REVOKED: StateFacts(
        "Access revoked",
        "stop",
        "No new files or images from now on. The license goes on binding what you already have.",
    ),
    RequestState.CLOSED: StateFacts("Closed", "", "You gave the access up. You may ask again."),
    RequestState.EXPIRED: StateFacts("Expired", "warn", "Your access has ended by date. You may ask again."),
}

# What happened to a request, by act, as its history tells it: to the applicant and to reviewers alike.
REQUEST_ACTS: dict[str, str] = {
    "create": "Begun",
    "renew": "Begun, to follow the access that ends",
    "save": "Draft saved",
    "submit": "Sent",
    "screen": "Looked at by the rules",
    "correct": "Taken back to change the answers",
    "withdraw": "Withdrawn",
    "appeal": "Appealed",
    "confirm": "Conditions agreed to",
    "close-out": "Told what became of the copies",
    "claim": "Taken on by a reviewer",
    "unclaim": "Let go of by the reviewer",
    "route": "Put into another queue",
    "return": "Returned with a question",
    "refer": "Somebody was asked for an opinion",
    "answer": "Opinion given",
    "recall": "Back in review",
    "vote": "Vote",
    "delegate": "Handed on to another applicant",
    "approval": "Approval by one reviewer",
    "approve": "Approved",
    "activate": "Access began",
    "add-terms": "Further conditions set",
    "reject": "Not approved",
    "cancel": "Decision taken back",
    "undo": "Decision undone at once",
    "suspend": "Access suspended",
    "resume": "Access goes on",
    "revoke": "Access revoked",
    "close": "Access closed",
    "expire": "Access ended by date",
    "grant": "Given without being asked for",
}
VOTES: dict[str, str] = {"yes": "Would approve", "no": "Would reject", "abstain": "Abstains"}
ANSWER_USES: dict[str, str] = {
    "reject": "Rejecting",
    "return": "Returning for changes",
    "approve": "Conditions of an approval",
}
CLOSE_OUTS: dict[str, str] = {
    "deleted": "I have deleted all my copies",
    "still_needed": "I still need my copies, as the license allows",
    "never_downloaded": "I never downloaded anything",
}

SCOPES: dict[str, str] = {
    "read": "Read cards, lists of files and your own standing",
    "download": "Download files that you may download",
    "generate": "Make images with models that you may run",
    "write": "Create repositories and upload to yours",
    "review": "Decide requests for repositories that you maintain",
    "admin": "Administer the hub, where you may",
}

# What an application may know of a person, beside what it may do (above).
IDENTITY: dict[str, str] = {
    "openid": "Know that it is you",
    "profile": "See your name, your organizations and your roles in them",
    "email": "See your e-mail address",
    "offline_access": "Stay connected while you are away",
}

SAFETY_LEVELS: dict[str, str] = {
    "off": "off",
    "weak": "weak steering away from harmful content",
    "medium": "medium steering away from harmful content",
    "strong": "strong steering away from harmful content",
    "max": "strongest steering away from harmful content",
}

STRIKE_KINDS: dict[StrikeKind, str] = {
    StrikeKind.HARD_RULE: "A prompt, by a rule without exceptions",
    StrikeKind.PROMPT_RULE: "A prompt, by a rule",
    StrikeKind.IMAGE_FLAGGED: "An image, by a check",
}
STRIKE_STATES: dict[StrikeState, str] = {
    StrikeState.OPEN: "Not reviewed",
    StrikeState.UPHELD: "Was right",
    StrikeState.DISMISSED: "Dismissed",
}

# Confirmations shown once after a redirect. The address carries only the key, so nobody can put words on our pages.
DONE: dict[str, str] = {
    "evaluation-started": "The evaluation has begun. It waits behind everybody's orders; its report will stand here.",
    "evaluation-changed": "The evaluation was changed. What is being made this moment is finished.",
    "signed-in": "You are signed in.",
    "signed-out": "You are signed out.",
    "password": "Your password has been changed. Other browsers have been signed out.",
    "sessions-ended": "Every other browser has been signed out.",
    "link-sent": "If the address is right, a mail with a link is on its way.",
    "email-confirmed": "The address is confirmed.",
    "password-reset": "Your password has been changed, and every browser signed out. Sign in with the new one.",
    "signed-up": "Your account is made. Sign in now.",
    "start-again": "That took too long, or was begun elsewhere. Please start again.",
    "passkey-failed": "The passkey did not prove who you are. Try again, or use your password.",
    "second-factor-needed": "Administrators of this hub need a second factor. Set one up to go on.",
    "app-added": "The app is in use. Signing in with your password asks for a code from now on.",
    "passkey-added": "The passkey is in use.",
    "factor-removed": "Removed. It opens nothing any more.",
    "identity-linked": "Added. You can sign in with it from now on.",
    "identity-unlinked": "Removed. It no longer opens your account.",
    "account-deleted": "Your account is deleted. Nothing here bears your name any more.",
    "images-deleted": "The images and the prompt are deleted. Their receipts stay.",
    "quota-changed": "The quota is changed, and the change recorded.",
    "session-ended": "That browser has been signed out.",
    "token-revoked": "The token has been revoked. It no longer works.",
    "job-trusted": "Trusted from now on.",
    "job-removed": "Trusted no more. Its tokens no longer work.",
    "service-made": "The service account is made.",
    "service-removed": "The service account is removed; its tokens no longer work.",
    "token-policy": "Saved. It binds from the next use of each token on.",
    "token-approved": "Approved.",
    "token-refused": "Shut out. It opens nothing here any more.",
    "application-removed": "The application is removed, and every token it had no longer works.",
    "application-revoked": "Ended. Its tokens no longer work.",
    "requested": "Your acceptance is recorded and your request is with the maintainers.",
    "accepted": "Your acceptance is recorded and you have access.",
    "classified": "Saved. Decisions follow it from the next request on.",
    "recognized": "Recorded. The text counts as this license from the next request on.",
    "terms-accepted": "Your acceptance of the license is recorded.",
    "withdrawn": "Your request has been withdrawn.",
    "given-up": "You have given up your access.",
    "approved": "Approved. The person has access from now on.",
    "approved-waits": "Approved. Access begins when the person has done what is still missing.",
    "approval-counted": "Your approval counts. Others have to approve as well before access begins.",
    "request-changed": "Done. The history tells what happened.",
    "opinion-given": "Your opinion is with the reviewers. Thank you.",
    "draft-saved": "Your draft is saved. Only you see it.",
    "corrected": "The request is with you again. Change your answers and send it.",
    "appealed": "Your appeal is with the maintainers. Somebody else decides.",
    "confirmed": "You agreed to the conditions.",
    "closed-out": "Thank you. Your answer is recorded.",
    "strike-appealed": "Your appeal is with the model's maintainers.",
    "reviewed": "Decided. The person sees it on their page.",
    "incident-opened": "The incident is open. Link what it is about.",
    "incident-dismissed": "Dismissed. Who reported it is told that somebody looked.",
    "incident-linked": "Linked.",
    "incident-noted": "Added to the timeline.",
    "incident-closed": "Closed. The note is public from now on.",
    "holders-told": "They are being told.",
    "rescan": "Its files are being looked at again. Load this page again in a while.",
    "blocked": "Blocked. Requests of this person are not taken there from now on.",
    "unblocked": "The block is lifted.",
    "vouched": "Recorded. It counts from now on.",
    "taken-back": "Taken back. It does not count any more.",
    "rolled-back": "The earlier policies are in force again, in every process from its next request on.",
    "not-demanded": "It is not demanded any more.",
    "required": "Saved. It is compared whenever somebody uses their access.",
    "counted": "Your approval counts. Access begins when enough reviewers have said yes.",
    "rejected": "Rejected. The person sees your reason.",
    "answer-saved": "Saved. Reviewers are offered it from now on.",
    "answer-retired": "It is offered no longer. Its versions stay.",
    "undone": "Undone. The request waits as it did before.",
    "revoked": "Access revoked. It binds from the next request on.",
    "access-suspended": "Access suspended. It binds from the next request on.",
    "access-resumed": "Access goes on.",
    "granted": "Access granted.",
    "proposed": "The promotion is proposed.",
    "proposal-approved": "Your approval is recorded.",
    "promoted": "The release now stands at its new stage.",
    "held": "The release is on hold. Nobody gets files or images of it from now on.",
    "resumed": "The hold is lifted.",
    "change-asked": "Done, or asked for where it takes another maintainer's approval: see below.",
    "change-made": "The change is carried out.",
    "proposal-closed": "The proposal is ended without effect.",
    "waived": "The criterion is waived; your name and reason show publicly.",
    "staged": "Staging is on. Releases now decide who may do what.",
    "person-added": "The person has been added.",
    "person-enabled": "The account is open again. Sessions and tokens that had ended stay ended.",
    "person-signed-out": "They have been signed out everywhere.",
    "person-disabled": "The account is disabled; its sessions and tokens no longer work.",
    "organization-added": "The organization has been created.",
    "organization-renamed": "The organization has its new name. Old addresses of its repositories lead there.",
    "organization-deleted": "The organization has been deleted. Its name stays reserved.",
    "ladder-saved": "The organization's rule for this stage has been saved.",
    "member-added": "The membership has been saved.",
    "member-invited": "Invited. They are a member once they accept.",
    "team-saved": "The team has been changed.",
    "invitation-accepted": "You belong to the organization now.",
    "invitation-declined": "The invitation is declined.",
    "invitation-withdrawn": "The invitation is taken back.",
    "member-removed": "Removed. Nothing of the organization is open to them by it any more.",
    "sealed": "A new checkpoint has been signed.",
    "webhook-made": "The webhook is made.",
    "webhook-saved": "The webhook has been saved.",
    "webhook-deleted": "The webhook has been deleted.",
    "webhook-ping": "It will be sent in a moment. Load this page again to see what became of it.",
    "notices-read": "All notices are marked as read.",
    "notices-mail": "Your choice of mails is saved.",
    "collection-made": "The collection is made.",
    "collection-saved": "The collection has been saved.",
    "collection-deleted": "The collection has been deleted.",
    "collected": "It is in the collection now.",
    "cancelled": "The order has been cancelled.",
    "commented": "Your comment is in the discussion.",
    "edited": "The comment has been changed.",
    "hidden": "The comment has been hidden.",
    "renamed": "The title has been changed.",
    "discussion-closed": "Closed. It can be opened again.",
    "discussion-opened": "It is open again.",
    "discussion-locked": "Locked. Only the repository's owners write in it now.",
    "discussion-unlocked": "Unlocked. Everybody who may take part writes in it again.",
    "discussion-pinned": "Pinned. It stands first in the list.",
    "discussion-unpinned": "It stands in the list by its number again.",
    "merged": "Merged: the changes are a commit of the branch now.",
}


@dataclass(frozen=True)
class Scan:
    """The result of a file's scan for people: a mark (yes, no or wait), a word, what was found in sentences."""

    mark: str
    text: str
    details: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()


_SCANS = {
    Status.SAFE: ("yes", "Nothing found"),
    Status.SUSPICIOUS: ("wait", "Be careful"),
    Status.UNSAFE: ("no", "Unsafe"),
    Status.UNSCANNED: ("wait", "Scan under way"),
}


def scan_of(result: FileResult) -> Scan:
    """What the file list says of a file's scan."""
    imports = result.verdict.imports if result.verdict else ()
    shown = tuple(f"{each.module}.{each.name} ({each.safety})"[:160] for each in imports[:20])
    return Scan(*_SCANS[result.status], tuple(finding.detail for finding in result.findings), shown)
