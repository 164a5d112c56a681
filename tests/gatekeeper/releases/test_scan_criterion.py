"""No release with a finding, and none with weights that nobody has looked at."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import releases
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.secrets import new_secret
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import AddFile, AddLfs, Repo, history
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.storage import DirectoryStore
from gatekeeper.repos.tables import RepoObject, StoredObject
from tests.gatekeeper.repos.conftest import put

pytestmark = pytest.mark.anyio


async def findings(
    session: AsyncSession, repo: Repo, operation: AddFile | AddLfs, by: Principal, ladder: Ladder
) -> dict[str, tuple[bool, str]]:
    head = await history.commit(session, repo, "main", [operation], summary="Add", by=by)
    await releases.ensure(session, repo, head, by=by)
    proposal = await releases.propose(session, repo, head, Stage.TRUSTED_TEST, by=by, ladder=ladder)
    return {row["id"]: (row["is_met"], row["detail"]) for row in proposal.criteria}


async def test_a_release_waits_for_the_scan_and_fails_on_a_finding(
    session: AsyncSession, owner: Principal, repo: Repo, ladder: Ladder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = DirectoryStore(tmp_path_factory.mktemp("files"))
    store.prepare()
    sha256 = await put(store, b"anything")
    await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": 8}])
    await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])

    waiting = await findings(session, repo, AddLfs("weights.dat", sha256), owner, ladder)
    leaked = await findings(session, repo, AddFile("notes.txt", new_secret("gk_").encode()), owner, ladder)

    assert waiting["scan_clean"][0] is False
    assert "Not scanned yet: weights.dat" in waiting["scan_clean"][1]
    assert leaked["scan_clean"] == (False, "The scan found something in notes.txt.")


async def test_a_pickle_under_a_harmless_name_is_no_safetensors(
    session: AsyncSession, owner: Principal, repo: Repo, ladder: Ladder
) -> None:
    found = await findings(session, repo, AddFile("weights.dat", b"\x80\x04N."), owner, ladder)

    assert found["safetensors_only"] == (False, "These files are pickles, whatever they are called: weights.dat.")
    assert found["scan_clean"][0] is True


async def test_a_clean_release_passes(session: AsyncSession, owner: Principal, repo: Repo, ladder: Ladder) -> None:
    found = await findings(session, repo, AddFile("notes.txt", b"plain"), owner, ladder)

    assert found["scan_clean"] == (True, "6 files scanned, nothing found.")
