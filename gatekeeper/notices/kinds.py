"""Every kind of notice there is, and its words: plain sentences out of names that the reader knew when it happened."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of notice.

    label  what a person switches mail on or off for
    title  one line, also the mail's subject
    text   what happened and what to do next
    path   where to look, below the hub's address
    why    for what reason they are told, after "because"
    is_optional  whether people may do without the mail; whoever took an account over could switch it off
    """

    label: str
    title: str
    text: str
    path: str
    why: str
    is_optional: bool = True


# Compatibility: the keys are stored with notices and preferences; they are added, never renamed.
KINDS: dict[str, Kind] = {
    "request-submitted": Kind(
        "Somebody asks for access to what I review",
        "A request for {repo}",
        "{person} asks for access to {repo}. Read the answers and decide.",
        "/admin/requests",
        why="you review requests for it",
    ),
    "request-appealed": Kind(
        "Somebody appeals a decision about what I review",
        "An appeal about {repo}",
        "{person} appeals a decision about access to {repo}. Somebody other than who decided looks at it again.",
        "/admin/requests",
        why="you review requests for it",
    ),
    "request-overdue": Kind(
        "A request waits longer than it should at what I review",
        "A request for {repo} has waited too long",
        "A request for {repo} has waited longer than its queue promises. Decide, or say what is missing.",
        "/admin/requests",
        why="you review requests for it",
    ),
    "request-referred": Kind(
        "I am asked for an opinion on a request",
        "Your opinion on a request for {repo}",
        "A reviewer of {repo} asks for your opinion on a request. Read the answers and say what you think, or that you "
        "are not impartial.",
        "/admin/requests",
        why="you were named",
    ),
    "request-handed-on": Kind(
        "A request was handed on to me",
        "A request for {repo} is yours now",
        "A request for {repo} was handed on to you. Look at the answers, change what is not true of you, and send it.",
        "/requests",
        why="it is your request",
    ),
    "conditions-added": Kind(
        "There are new conditions for my access",
        "Your access to {repo} waits for you",
        "The maintainers of {repo} ask you to agree to further conditions. Until you have, you have no access; read "
        "them on the page of your access.",
        "{url}/access",
        why="it is your access",
    ),
    "decision-taken-back": Kind(
        "A decision about me is looked at again",
        "Your request for {repo} is looked at again",
        "The decision about your request for {repo} was taken back, and it waits for another one. If you had access, "
        "it rests until then.",
        "/requests",
        why="it is your request",
    ),
    "access-resumed": Kind(
        "My access goes on",
        "Your access to {repo} goes on",
        "Your access to {repo}, which was suspended, counts again.",
        "{url}",
        why="it is your access",
    ),
    "request-returned": Kind(
        "My request needs changes",
        "Your request for {repo} needs changes",
        "A reviewer of {repo} asks you to change something in your request before it goes on.",
        "/requests",
        why="you asked for access",
    ),
    "request-approved": Kind(
        "My request was approved",
        "Your request for {repo} was approved",
        "Your request for {repo} was approved. See what you may do now, and whether anything is left for you to do.",
        "/requests",
        why="you asked for access",
    ),
    "request-rejected": Kind(
        "My request was turned down",
        "Your request for {repo} was not approved",
        "Your request for {repo} was not approved. The reason, and what you can do, is on your page of requests.",
        "/requests",
        why="you asked for access",
    ),
    "access-granted": Kind(
        "A maintainer gave me access",
        "You have access to {repo}",
        "A maintainer gave you access to {repo}.",
        "/requests",
        why="it is your access",
    ),
    "access-revoked": Kind(
        "My access was revoked or suspended",
        "Your access to {repo} has ended",
        "Your access to {repo} was ended or suspended by a maintainer. The reason is on your page of requests. The "
        "license goes on binding what you already have.",
        "/requests",
        why="it is your access",
    ),
    "prerequisite-missing": Kind(
        "My access needs something that I have not shown",
        "Your access to {repo} needs something of you",
        "{repo} now asks everybody with access for something that you have not shown, and until you have, your access "
        "counts for nothing. The page of your access says what it is and what to do.",
        "{url}/access",
        why="it is your access",
    ),
    "prerequisite-waived": Kind(
        "My access needs something no longer",
        "{repo} asks less of you",
        "{repo} no longer asks for something that you had not shown: it does not stand in the way of your access any "
        "more.",
        "{url}/access",
        why="it is your access",
    ),
    "access-expiring": Kind(
        "My access ends soon",
        "Your access to {repo} ends on {day}",
        "Your access to {repo} ends on {day}. Ask again in time if you still need it.",
        "/requests",
        why="it is your access",
    ),
    "release-held": Kind(
        "A release that I have was stopped",
        "A release of {repo} is on hold",
        "A release of {repo} that you have access to or fetched, commit {commit}, was put on hold. Do not use copies "
        "of it until the hold is lifted; the reason is on its page.{files}",
        "{url}",
        why="you have access to it, or fetched it",
    ),
    "release-resumed": Kind(
        "A hold on a release that I have was lifted",
        "The hold on a release of {repo} is lifted",
        "The hold on the release {commit} of {repo} is lifted.",
        "{url}",
        why="you have access to it, or fetched it",
    ),
    "release-demoted": Kind(
        "A release that I have was put back to an earlier stage",
        "A release of {repo} was put back",
        "The release {commit} of {repo} was put back to an earlier stage. Its page says what you may still do with "
        "it.{files}",
        "{url}",
        why="you have access to it, or fetched it",
    ),
    "release-withdrawn": Kind(
        "A release that I have was withdrawn",
        "A release of {repo} was withdrawn",
        "The release {commit} of {repo} was withdrawn for good; the reason is on its page.{files}",
        "{url}",
        why="you have access to it, or fetched it",
    ),
    "approval-lapsed": Kind(
        "What I approved for promotion has changed",
        "Look again at a promotion of {repo}",
        "{person} waived a criterion of a promotion of {repo} that you approved, commit {commit}. Your approval counts "
        "no more. Read the reason, and approve again if you still agree.",
        "{url}/releases",
        why="you approved it",
    ),
    "version-newer": Kind(
        "There is a newer version, and the license asks for it",
        "A newer version of {repo}",
        "There is a newer version of {repo}, commit {commit}. The license asks for reasonable efforts "
        "to use the latest version.",
        "{url}",
        why="you have access to it",
    ),
    "terms-changed": Kind(
        "Terms that I accepted have changed",
        "The terms of {repo} have changed",
        "The terms of {repo} that you accepted have changed. Unless its maintainers say that nothing of weight is "
        "different, your acceptance counts until {day}. Read what is different, and accept it to go on.",
        "{url}/access",
        why="you accepted its terms",
    ),
    "safety-stopped": Kind(
        "Safety stopped an order of mine",
        "Safety stopped an order of yours for {repo}",
        "{reason} What fired: {fired}. If that is wrong, appeal: the page says how you stand, and a maintainer looks "
        "at what you write. Orders that the same thing stops today are listed there without another notice.",
        "/settings/safety",
        why="it was your order",
    ),
    "safety-reviewed": Kind(
        "A stopped order of mine was reviewed",
        "A stopped order for {repo} was reviewed",
        "A maintainer of {repo} looked at an order of yours that safety had stopped, and {outcome}. What they say is "
        "on the page.",
        "/settings/safety",
        why="it was your order",
    ),
    "strike-appealed": Kind(
        "Somebody appeals a stopped order at what I review",
        "An appeal at {repo}",
        "{person} says that safety was wrong to stop an order for {repo}. Read what fired and what they write, "
        "and decide.",
        "/admin/strikes",
        why="you review what safety stopped there",
    ),
    "mentioned": Kind(
        "Somebody mentions me",
        "{person} mentioned you in {repo}",
        "It was in discussion {num}. Read it, and answer there if you like.",
        "{url}/discussions/{num}",
        why="your name was written",
    ),
    "release-new": Kind(
        "A repository that I follow has a new release",
        "A new release of {repo}",
        "The commit {commit} of {repo} came to another stage. See what you may do with it.",
        "{url}",
        why="you follow this repository",
    ),
    "discussion-reply": Kind(
        "A discussion that I take part in or follow goes on",
        "{person} wrote in discussion {num} of {repo}",
        "Read it, and answer there if you like.",
        "{url}/discussions/{num}",
        why="{why}",
    ),
    "discussion-opened": Kind(
        "Somebody opens a discussion or pull request at what I maintain or follow",
        "{person} opened {what} {num} of {repo}",
        "Read it, and answer there if you like.",
        "{url}/discussions/{num}",
        why="{why}",
    ),
    "discussion-changed": Kind(
        "A discussion or pull request that I take part in or follow is added to, merged, closed or opened again",
        "{person} {did} {num} of {repo}",
        "See how it stands now.",
        "{url}/discussions/{num}",
        why="{why}",
    ),
    "report-received": Kind(
        "Somebody reports a problem with what I maintain",
        "A problem with {repo} was reported",
        "Somebody reports a problem with {repo}. Read it, and take it up or dismiss it.",
        "/admin/incidents/{incident}",
        why="you maintain it",
    ),
    "report-answered": Kind(
        "A problem that I reported was looked at",
        "Your report about {repo} was looked at",
        "The maintainers of {repo} have looked at the problem that you reported. What everybody should know of it "
        "stands on its page.",
        "{url}",
        why="you reported it",
    ),
    "incident-told": Kind(
        "Something that I fetched is part of an incident",
        "An incident with {repo}, which you fetched",
        "You fetched files of {repo}, commit {commit}. Its maintainers say: {message}",
        "{url}",
        why="you fetched files of it",
    ),
    "webhook-disabled": Kind(
        "A webhook of mine was switched off",
        "A webhook of yours was switched off",
        "Nothing sent to one of your webhooks arrived for three days, so it was switched off. Look at its log, "
        "then enable it.",
        "/settings/webhooks/{webhook}",
        why="the webhook is yours",
    ),
    "password-changed": Kind(
        "My password was changed",
        "Your password was changed",
        "The password of your account was changed, and you were signed out everywhere else. If it was not you, choose "
        "another one at once, or ask the operator of this hub.",
        "/settings",
        is_optional=False,
        why="it is your account",
    ),
    "renamed": Kind(
        "My account was given another name",
        "Your account has another name",
        "Your account is called by another name now, which is also the one to sign in with. If it was not you, change "
        "your password and take the old name back; it is reserved for you.",
        "/settings/name",
        is_optional=False,
        why="it is your account",
    ),
    "administration-changed": Kind(
        "I was made an administrator of this hub, or am none any more",
        "Your right to administer this hub has changed",
        "You were made an administrator of this hub, or you are none any more. If you do not expect that, ask another "
        "administrator.",
        "/settings",
        is_optional=False,
        why="it is your account",
    ),
    "sign-in-changed": Kind(
        "A way to sign in to my account was added, removed or used up",
        "The ways to sign in to your account have changed",
        "A second factor, a recovery code or a provider was added to your account, taken from it, or used up. If it "
        "was not you, change your password, look at your ways to sign in, and end all other sessions.",
        "/settings/second-factor",
        is_optional=False,
        why="it is your account",
    ),
    "factor-asked": Kind(
        "An organization of mine asks for a second factor that I do not have",
        "{organization} asks its members for a second factor",
        "You have no second factor, so nothing of {organization} is open to you by your membership any more. It comes "
        "back as soon as you set one up.",
        "/settings/second-factor",
        is_optional=False,
        why="you are a member of {organization}",
    ),
    "new-browser": Kind(
        "Somebody signed in to my account in a browser that is new",
        "A new browser signed in to your account",
        "Somebody, probably you, signed in to your account in a browser that it was not used in before. If it was not "
        "you, end that session and change your password.",
        "/settings",
        is_optional=False,
        why="it is your account",
    ),
    "policy-error": Kind(
        "A policy fails while this hub decides with it",
        "A policy of this hub fails",
        "While it was decided about {action}, a policy failed, so the answer was no, and is no until it is mended. The "
        "server’s log says which one and why. Put policies in force that do not fail.",
        "/admin/policies",
        is_optional=False,
        why="you run this hub",
    ),
    "token-waiting": Kind(
        "A token waits for the approval of an organization of mine",
        "A token waits for approval in {organization}",
        "{person} made a token that reaches {organization}. It opens nothing there until an administrator approves it.",
        "/admin/organizations/{organization}/tokens",
        why="you administer {organization}",
    ),
}
