import hashlib

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, generation
from gatekeeper.repos import AddFile, AddLfs, RepoObject, StoredObject, commit, large_files, move
from gatekeeper.repos.rows import insert_missing
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio


async def test_deleted_weights_are_no_longer_run_and_a_new_name_is_told(session: AsyncSession) -> None:
    owner = await make_person(session)
    repo, _ = await make_repo(session, owner)
    sha256 = hashlib.sha256(b"vocabulary").hexdigest()
    await insert_missing(session, StoredObject, [{"sha256": sha256, "size_bytes": 10}])
    await insert_missing(session, RepoObject, [{"repo_id": repo.id, "sha256": sha256}])
    files = [AddFile("model_index.json", b"{}"), AddLfs("large.model", sha256)]
    oid = await commit(session, repo, "main", files, summary="Add", by=owner)
    before = await generation.worker_manifest(session, repo, oid)
    assert sha256 in {file.sha256 for file in before.files}
    await move(session, repo, repo.namespace, "renamed", by=owner)
    assert (await generation.worker_manifest(session, repo, oid)).repository == repo.full_name
    await large_files.delete(session, repo, [sha256], rewrite_history=False, by=owner)
    with pytest.raises(errors.Invalid, match="deleted"):
        await generation.worker_manifest(session, repo, oid)
