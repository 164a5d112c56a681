"""Taking a report of a problem, from a page or from a program: how often, and with which words."""

from gatekeeper import incidents
from gatekeeper.accounts import throttle
from gatekeeper.errors import TooMany
from gatekeeper.incidents import Incident, Subject
from gatekeeper.repos import Repo
from gatekeeper.web import incident_words as words
from gatekeeper.web.guard import Call

_MOST = 5  # reports of one person, or of one address without an account, in five minutes


async def take(call: Call, repo: Repo, *, problem: str, text: str, subject: Subject | None = None) -> Incident:
    """Keep the caller's report for those who handle incidents there. `problem` is a key of `words.PROBLEMS`.

    Raises Invalid for the text, TooMany.
    """
    who = call.principal.person_id or (call.request.client.host if call.request.client else "")
    target = throttle.Target.of(f"report {who}", f"report {who}", key=call.gatekeeper.keys.privacy)
    try:
        await throttle.reserve(call.session, target, per_account=_MOST)
    except TooMany as error:
        raise TooMany(
            "You have sent several reports just now.",
            next_step="Wait a few minutes before the next one.",
            details=error.details,
        ) from error
    return await incidents.report(
        call.session,
        repo,
        title=words.PROBLEMS[problem],
        description=text,
        by=call.principal,
        subject=subject,
    )
