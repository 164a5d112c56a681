"""What taking a release back would lead to, with the numbers of this moment: read before it is done."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import authz, releases
from gatekeeper.access import AccessGrant
from gatekeeper.accounts import ANONYMOUS, Principal
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.kit.figures import plural
from gatekeeper.releases import Act, Release, Stage
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.guard import Call


async def of_stopping(call: Call, repo: Repo, release: Release) -> list[str]:
    """What a hold and a withdrawal both do."""
    commit, stage = await fallback(call, repo, release, ANONYMOUS)
    return [
        f"{await whom(call, release)} will be refused files and images of this revision from the next request on.",
        f"Whoever asks for {repo.full_name} without naming a revision gets {commit[:10]} ({stage}) instead."
        if commit
        else "There is no other release that everybody sees: for them the repository as a whole stops.",
    ]


async def of_change(call: Call, repo: Repo, release: Release, act: Act, below: Sequence[Stage]) -> list[str]:
    """What a change that takes agreement does, once it is carried out.

    below  the stages that it may be put back to, the lowest first
    """
    match act:
        case Act.WITHDRAW:
            does = [
                *await of_stopping(call, repo, release),
                "This cannot be undone: this revision is never released again.",
                "The license and your reason stay readable in its place.",
            ]
        case Act.EMBARGO:
            does = ["Nothing of it is given out before the new instant. Then every criterion is checked again."]
        case Act.LIFT:
            return [
                f"{await whom(call, release)} whom its stage lets in get files and images from the next request on.",
                "No criterion is checked again: that happens only at the end of an embargo.",
            ]
        case _:
            does = [
                f"{await whom(call, release)} may do only what the lower stage permits, from the next request on.",
                *(f"{words.STAGES[stage].label}: {words.STAGES[stage].audience}" for stage in reversed(below)),
                "Up again it comes only by a new proposal, with every criterion checked anew.",
            ]
    return [*does, await of_copies(call, release)]


async def of_hold(call: Call, repo: Repo, release: Release) -> list[str]:
    """All that a hold does and leaves."""
    return [
        *await of_stopping(call, repo, release),
        "The card, the license and your reason stay readable, with a notice at the top.",
        "Grants and accepted licenses stay. Lifting the hold restores everything as it was.",
        await of_copies(call, release),
    ]


async def of_copies(call: Call, release: Release) -> str:
    """What no change of a release reaches."""
    fetched = len(await releases.holders(call.session, release))
    who = (
        f"{plural(fetched, 'person', 'people')} with an account fetched files"
        if fetched
        else "nobody with an account did"
    )
    return f"Copies that were downloaded already are not reached ({who}). The license goes on binding them."


async def whom(call: Call, release: Release) -> str:
    """Whom it concerns, with the number of those whose grant has not ended and counts at the release's stage."""
    counts = {Stage.DRAFT: sa.false(), Stage.INTERNAL: sa.false(), Stage.TRUSTED_TEST: col(AccessGrant.is_tester)}
    granted = await call.session.scalar(
        sa.select(sa.func.count(sa.distinct(col(AccessGrant.person_id)))).where(
            col(AccessGrant.repo_id) == release.repo_id,
            col(AccessGrant.revoked_at).is_(None),
            sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > now()),
            counts.get(release.stage, sa.true()),
        )
    )
    return f"{plural(granted, 'person', 'people')} with granted access and everybody else" if granted else "Everybody"


async def fallback(call: Call, repo: Repo, release: Release, who: Principal) -> tuple[str, str]:
    """What main would be to them without this release: commit and stage; both "" for nothing."""
    known = await authz.load(call.session, who, repo)
    held = tuple(replace(each, is_held=True) if each.commit == release.commit_id else each for each in known.releases)
    stands = replace(known, releases=held)
    found = authz.decide(call.gatekeeper.policies, who, Action.KNOW, stands, now()).revision
    if found is None or found.is_held or found.is_withdrawn:
        return "", ""
    return found.commit, words.STAGES[found.stage].label if found.stage else ""
