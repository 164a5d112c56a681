"""Terms of a release: those of the stage at which it stands, put in force when it comes there."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import RevisionNotFound
from gatekeeper.licensing import Terms
from gatekeeper.releases import rows
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos.tables import Repo


async def terms_in_force(session: AsyncSession, repo: Repo, commit: str) -> Terms | None:
    """The terms of a commit at the stage at which it is released: what `authz` asks acceptance of."""
    release = await rows.stage_of(session, repo, commit) if repo.is_staged else None
    return await licensing.terms_for(session, repo, commit, stage=release.stage if release else "")


async def bind(
    session: AsyncSession, repo: Repo, release: Release, target: Stage, *, by: Principal, ladder: Ladder
) -> str | None:
    """Put the terms in force that bind `release` from now on, at `target`; returns the digest of their bundle.

    Acceptances of what older releases stated for this stage, and of what bound this one so far, count for the time that
    the stage gives. Once a release stands as high as any older one, holders are told where their license asks for the
    latest version.
    """
    terms = await licensing.terms_for(session, repo, release.commit_id, stage=target)
    if terms is None or terms.problems:  # nothing can be accepted: the gate stays shut
        return terms.sha256 if terms else None
    if terms.sha256 == release.bundle_sha256 and ladder.rank(target) < ladder.rank(release.stage):
        return terms.sha256  # a way down under the same terms changes none
    earlier = [each for each in await rows.list_for(session, repo) if each.id < release.id]
    promoted = [each for each in earlier if each.stage is not Stage.DRAFT and each.bundle_sha256]
    older = [await _stated(session, repo, each, target) for each in promoted]
    if release.stage is not Stage.DRAFT:
        older.append(release.bundle_sha256)
    await licensing.put_in_force(
        session,
        repo,
        terms.sha256,
        by=by,
        after=[sha256 for sha256 in older if sha256],
        grace_days=ladder.rule(target).terms_grace_days,
    )
    highest = max((ladder.rank(each.stage) for each in promoted), default=-1)
    if ladder.rank(release.stage) < highest <= ladder.rank(target):
        await licensing.tell_of_newer(session, repo, release.commit_id, terms.sha256, by=by, catalogue=ladder.licenses)
    return terms.sha256


async def _stated(session: AsyncSession, repo: Repo, release: Release, stage: Stage) -> str | None:
    """What an older release's terms are at `stage`; what binds it, where its commit is gone."""
    try:
        terms = await licensing.terms_for(session, repo, release.commit_id, stage=stage)
    except RevisionNotFound:
        return release.bundle_sha256
    return terms.sha256 if terms and not terms.problems else None
