"""Releases as they stand: finding them, and the one way to change one."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import history, manifests
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo

MAX_REASON_CHARS = 2_000
_MAX_HISTORY = 1_000


async def enable_staging(session: AsyncSession, repo: Repo, *, by: Principal) -> Release:
    """From now on releases decide about this repository, not its `private` and `gated` settings.

    The head of main becomes a draft: nobody but the owners sees anything until a release is promoted.
    Raises Conflict when the repository has stages already.
    """
    if repo.is_staged:
        raise errors.Conflict(
            f"{repo.full_name} is released in stages already.", next_step="Propose a promotion of one of its revisions."
        )
    before = {"is_private": repo.is_private, "gate": repo.gate}
    repo.is_staged = True
    session.add(repo)
    await ledger.record(
        session,
        "releases:repo:stage",
        actor=by.person_id,
        token=by.token_id,
        repo=repo.id,
        subject=repo.id,
        body={"before": before, "after": {"is_staged": True}},
    )
    head = await history.resolve_revision(session, repo, "main")
    return await ensure(session, repo, head, by=by)


async def ensure(session: AsyncSession, repo: Repo, commit: str, *, by: Principal | None = None) -> Release:
    """The release of a commit; a draft bound to the digests of its files and terms where there is none yet."""
    found = await stage_of(session, repo, commit)
    if found is not None:
        return found
    terms = await licensing.terms_for(session, repo, commit, stage=Stage.DRAFT)
    manifest = await manifests.manifest(session, repo, commit)
    draft = Release(
        repo_id=repo.id,
        commit_id=commit,
        manifest_sha256=manifest.sha256,
        bundle_sha256=terms.sha256 if terms else None,
        staged_at=now(),
    )
    await insert_missing(session, Release, [draft.model_dump()])
    made = await stage_of(session, repo, commit)
    assert made is not None
    if made.id == draft.id:
        await ledger.record(
            session,
            "releases:release:draft",
            actor=by.person_id if by else None,
            token=by.token_id if by else None,
            repo=repo.id,
            subject=made.id,
            body={
                "before": None,
                "after": facts(made),
                "commit": commit,
                "manifest_sha256": made.manifest_sha256,
                "bundle_sha256": made.bundle_sha256,
            },
        )
    return made


async def take_note(session: AsyncSession, repo: Repo, commit: str, *, branch: str, by: Principal) -> None:
    """What follows from a new commit: its terms are remembered, and on main of a staged repository it is a draft.

    On main of one without stages its terms are in force from now on.

    Terms are fixed in the transaction of the commit, so that a later change of the catalogue never changes them.
    """
    if repo.is_staged and branch == "main":
        await ensure(session, repo, commit, by=by)
        return
    terms = await licensing.terms_for(session, repo, commit)
    if branch == "main" and not repo.is_staged and terms is not None and not terms.problems:
        await licensing.put_in_force(session, repo, terms.sha256, by=by)


def released_at(stage: Stage) -> sa.ColumnElement[bool]:
    """A condition on Repo that every repository meets of which somebody may stand before a release at `stage`.

    A staged one counts as a draft for its owners, released or not: each row is to be decided again.
    """
    if stage is Stage.DRAFT:
        return col(Repo.is_staged).is_(True)
    at_stage = sa.exists().where(col(Release.repo_id) == col(Repo.id), col(Release.stage) == stage).correlate(Repo)
    return sa.and_(col(Repo.is_staged), at_stage)


def in_side_state() -> sa.ColumnElement[bool]:
    """A condition on Repo: one of its releases is held, withdrawn, embargoed or deprecated."""
    sides = (Release.embargoed_until, Release.held_at, Release.deprecated_at, Release.withdrawn_at)
    is_aside = sa.or_(*(col(side).is_not(None) for side in sides))
    return sa.exists().where(col(Release.repo_id) == col(Repo.id), is_aside).correlate(Repo)


async def stage_of(session: AsyncSession, repo: Repo, commit: str) -> Release | None:
    """The release of a commit, None where nobody ever released it."""
    found = await session.scalars(
        sa.select(Release).where(col(Release.repo_id) == repo.id, col(Release.commit_id) == commit)
    )
    return found.first()


async def get(session: AsyncSession, release_id: str) -> Release:
    """A release by id. Raises NotFound."""
    release = await session.get(Release, release_id)
    if release is None:
        raise errors.NotFound("There is no such release.", next_step="Take it from the repository's list of releases.")
    return release


async def list_for(session: AsyncSession, repo: Repo) -> list[Release]:
    """Every release of a repository, newest first."""
    found = await session.scalars(
        sa.select(Release).where(col(Release.repo_id) == repo.id).order_by(col(Release.id).desc())
    )
    return list(found)


async def recent(
    session: AsyncSession, *, where: Sequence[sa.ColumnElement[bool]], limit: int
) -> list[tuple[Release, Repo]]:
    """Releases that left the draft, the one that came to its stage last first, of repositories that meet `where`."""
    rows = await session.execute(
        sa.select(Release, Repo)
        .join(Repo, col(Repo.id) == col(Release.repo_id))
        .where(col(Repo.is_staged), col(Release.stage) != Stage.DRAFT, *where)
        .order_by(col(Release.staged_at).desc(), col(Release.id).desc())
        .limit(limit)
    )
    return [(release, repo) for release, repo in rows]


async def timeline(session: AsyncSession, release: Release) -> list[LedgerEvent]:
    """What happened to a release, oldest first."""
    found = await session.scalars(
        sa.select(LedgerEvent).where(col(LedgerEvent.subject_id) == release.id).order_by(col(LedgerEvent.id))
    )
    return list(found)


async def change(
    session: AsyncSession,
    release: Release,
    act: str,
    values: dict[str, Any],
    *,
    by: Principal,
    reason: str = "",
    body: dict[str, Any] | None = None,
) -> Release:
    """Change a release, compare-and-set on its version, and record the act with what was before and after.

    Raises Conflict when somebody else was faster.
    """
    before = facts(release)
    won = await session.scalar(
        sa.update(Release)
        .where(col(Release.id) == release.id, col(Release.version) == release.version)
        .values(**values, version=release.version + 1)
        .returning(col(Release.id))
        .execution_options(synchronize_session=False)
    )
    fresh = await session.get(Release, release.id, populate_existing=True)
    if won is None or fresh is None:
        there = f" It now stands at “{fresh.stage}”{' and is on hold' if fresh.held_at else ''}." if fresh else ""
        raise errors.Conflict(
            f"The release was changed by somebody else in the meantime.{there}",
            next_step="Reload it and decide again if that is still needed.",
        )
    await ledger.record(
        session,
        f"releases:release:{act}",
        actor=by.person_id,
        token=by.token_id,
        repo=release.repo_id,
        subject=release.id,
        body={"before": before, "after": facts(fresh), "commit": release.commit_id}
        | ({"reason_sha256": sha256_hex(reason.encode())} if reason else {})
        | (body or {}),
    )
    return fresh


def facts(release: Release) -> dict[str, Any]:
    """What an event says of a release's state."""
    return {
        "stage": release.stage,
        "is_held": release.held_at is not None,
        "is_withdrawn": release.withdrawn_at is not None,
        "embargoed_until": release.embargoed_until,
    }


def checked_reason(reason: str, *, what: str) -> str:
    """The reason, trimmed. Raises Invalid when there is none or it is too long."""
    text = reason.strip()
    if not text:
        raise errors.Invalid(f"{what} needs a reason.", next_step="Write what holders of the release should know.")
    if len(text) > MAX_REASON_CHARS:
        raise errors.Invalid(
            f"The reason has {len(text):,} characters; at most {MAX_REASON_CHARS:,} are kept.", next_step="Shorten it."
        )
    return text
