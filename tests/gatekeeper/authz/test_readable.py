"""Files of other repositories: what an upload may build on, and what may be copied, asked of the same decision."""

import hashlib
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.authz import Policies
from gatekeeper.errors import Gated, NotAllowed, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import AddLfs, Gate, Repo, RepoObject, StoredObject, catalogue, history
from gatekeeper.repos.rows import insert_missing
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session, "ada")


async def weights(session: AsyncSession, repo: Repo, path: str, *, by: Principal) -> tuple[str, str]:
    """Commit a large file; its SHA-256 and the commit."""
    sha256 = hashlib.sha256(f"{repo.id}{path}".encode()).hexdigest()
    await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": 9}])
    await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])
    commit = await history.commit(session, repo, "main", [AddLfs(path, sha256)], summary="weights", by=by)
    return sha256, commit


async def release(session: AsyncSession, repo: Repo, commit: str, stage: Stage) -> None:
    session.add(Release(repo_id=repo.id, commit_id=commit, manifest_sha256="m" * 64, stage=stage))
    await session.flush()


async def readable(
    session: AsyncSession, policies: Policies, principal: Principal, repo: Repo, *digests: str
) -> set[str]:
    await session.flush()
    sender = authz.sender(policies, principal)
    found = await sender.may_download(session, {(repo.id, digest) for digest in digests})
    if found:  # what may be had may be known, so the filter in SQL never hides it
        assert await session.scalar(sa.select(Repo.id).where(Repo.id == repo.id, sender.may_know)) == repo.id  # type: ignore[arg-type]
    return {digest for _, digest in found}


@pytest.mark.parametrize(
    ("gate", "is_private", "is_open"),
    [(Gate.NONE, False, True), (Gate.AUTO, False, False), (Gate.MANUAL, False, False), (Gate.NONE, True, False)],
)
async def test_only_what_main_holds_and_everybody_may_have_is_built_on(
    session: AsyncSession,
    policies: Policies,
    owner: Principal,
    ada: Principal,
    gate: Gate,
    is_private: bool,
    is_open: bool,
) -> None:
    repo, _ = await make_repo(session, owner, gate=gate, files={"a.txt": b"a"})
    repo.is_private = is_private
    old, _ = await weights(session, repo, "old.bin", by=owner)
    await history.commit(session, repo, "main", [history.DeletePath("old.bin")], summary="away", by=owner)
    new, _ = await weights(session, repo, "new.bin", by=owner)
    for who in (ada, ANONYMOUS):
        assert await readable(session, policies, who, repo, old, new, "0" * 64) == ({new} if is_open else set())
    assert await readable(session, policies, owner, repo, old, new) == {new}
    await catalogue.delete(session, repo, by=owner)
    assert await readable(session, policies, owner, repo, old, new) == set()


async def test_of_a_staged_repository_what_was_released_openly_is_built_on(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    repo, _ = await make_repo(session, owner, is_staged=True, files={"a.txt": b"a"})
    opened, first = await weights(session, repo, "open.bin", by=owner)
    gated, second = await weights(session, repo, "gated.bin", by=owner)
    draft, _ = await weights(session, repo, "draft.bin", by=owner)
    await release(session, repo, first, Stage.OPEN)
    await release(session, repo, second, Stage.GATED)
    assert await readable(session, policies, ada, repo, opened, gated, draft) == {opened}
    for row in await session.scalars(sa.select(Release)):
        row.held_at = now()
    assert await readable(session, policies, ada, repo, opened, gated, draft) == set()


async def test_copies_are_made_from_a_commit_that_may_be_had_by_who_may_pass_them_on(
    session: AsyncSession, policies: Policies, owner: Principal, ada: Principal
) -> None:
    source, _ = await make_repo(session, owner, gate=Gate.NONE, files={"a.txt": b"a"})
    target, _ = await make_repo(session, ada, gate=Gate.NONE, files={"a.txt": b"a"})
    sha256, commit = await weights(session, source, "w.bin", by=owner)
    await history.commit(session, source, "main", [history.DeletePath("w.bin")], summary="away", by=owner)
    wanted = {("w.bin", sha256), ("w.bin", "0" * 64), ("other.bin", sha256)}

    async def copy(who: Principal, into: Repo = target) -> list[authz.Copied]:
        await session.flush()
        instant = now() + timedelta(seconds=1)
        return await authz.copyable(session, policies, who, source, into, wanted, instant=instant)

    assert await copy(ada) == [authz.Copied("w.bin", sha256, commit)]
    source.gate = Gate.MANUAL
    with pytest.raises(Gated):
        await copy(ada)
    assert await copy(owner) == [authz.Copied("w.bin", sha256, commit)]
    source.is_private = True
    with pytest.raises(RepoNotFound):
        await copy(ada)
    with pytest.raises((NotAllowed, RepoNotFound)):
        await copy(ANONYMOUS)
