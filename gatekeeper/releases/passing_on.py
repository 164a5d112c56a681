"""Whether a release passes on what its base models ask for: by which revision each is judged, and in which words."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import licensing
from gatekeeper.accounts.tables import Membership, Role
from gatekeeper.errors import RevisionNotFound
from gatekeeper.licensing import Place
from gatekeeper.releases import rows
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import history
from gatekeeper.repos.tables import Repo

_SHOWN = (Stage.RESEARCH_PREVIEW, Stage.GATED, Stage.OPEN)
_UNNAMED = "A base model that not everybody may know"


async def passes_on(
    session: AsyncSession, repo: Repo, commit: str, target: Stage, *, ladder: Ladder
) -> tuple[bool, str]:
    """Whether nothing is missing at `target`, and what is. It is told to readers who may not know every base."""

    async def place_of(base: Repo) -> Place | None:
        return await _place_of(session, base, repo, ladder)

    found = await licensing.flow_down(session, repo, commit, stage=target, catalogue=ladder.licenses, place_of=place_of)
    if found.is_met:
        names = sorted({name or _UNNAMED.lower() for name in found.bases})
        return True, f"Passed on from {', '.join(names)}." if names else "No base here is under a RAIL text."
    lines = []
    for owed in found.owed:
        whose = f"{owed.base} is under {owed.license.title}" if owed.base else f"{_UNNAMED} asks for more"
        if owed.needs_text:
            lines.append(f"{whose}: carry its text.")
            continue
        clauses = "; ".join(ladder.licenses.restrictions[each] for each in owed.missing)
        lines.append(f"{whose}, and the license here does not forbid: {clauses}.")
    if found.lacks_notice:
        lines.append("Say which files were changed, in NOTICE or CHANGES.md, or under a heading “Changes” of the card.")
    if found.is_too_long:
        lines.append("More models lie behind this one than can be judged: name only those that it was made from.")
    return False, " ".join(dict.fromkeys(lines))


async def _place_of(session: AsyncSession, base: Repo, repo: Repo, ladder: Ladder) -> Place | None:
    """The best release of a base that everybody may know, or that the owner of `repo` may: else none."""
    released = await rows.list_for(session, base) if base.is_staged else []
    shown = [release for release in released if release.stage in _SHOWN]
    is_public = bool(shown) if base.is_staged else not base.is_private
    if not is_public and not await _may_know(session, base, repo, released):
        return None
    there = await history.find_commits(session, [(base.id, each.commit_id) for each in released])
    kept = [each for each in shown or released if (base.id, each.commit_id) in there]
    if kept:
        best = max(kept, key=lambda each: (ladder.rank(each.stage), each.id))
        return Place(best.commit_id, best.stage, is_public)
    if released:  # what they released is gone, and a draft is nobody's base
        return None
    try:
        return Place(await history.resolve_revision(session, base, "main"), is_public=is_public)
    except RevisionNotFound:  # nothing was uploaded yet
        return None


async def _may_know(session: AsyncSession, base: Repo, repo: Repo, released: list[Release]) -> bool:
    """Whether who decides about `repo` may know a base that not everybody may: of the same owner, or of their lab."""
    if (base.owner_person_id, base.owner_organization_id) == (repo.owner_person_id, repo.owner_organization_id):
        return True
    role: Role | None = await session.scalar(
        sa.select(col(Membership.role)).where(
            col(Membership.person_id) == repo.owner_person_id,
            col(Membership.organization_id) == base.owner_organization_id,
        )
    )
    is_draft = base.is_staged and all(release.stage is Stage.DRAFT for release in released)
    return role is not None and role.rank >= (Role.WRITE if is_draft else Role.READ).rank
