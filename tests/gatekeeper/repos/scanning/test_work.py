"""From a commit to results: by every way in, once for a content, shown by repository."""

import pickle

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import jobs
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import AddFile, AddLfs, Repo, RepoKind, Store, arrivals, catalogue, history, scanning
from gatekeeper.repos.scanning import FileResult, Status, content, work
from gatekeeper.repos.scanning.source import Budget, Reader
from gatekeeper.repos.storage import object_key
from gatekeeper.repos.tables import ContentScan
from tests.gatekeeper.repos.conftest import Stored, make_person, put

pytestmark = pytest.mark.anyio

EVIL = b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03."


async def results(database: Database, repo: Repo, commit: str) -> dict[str, FileResult]:
    async with database.read() as session:
        files = await history.tree(session, repo, commit, recursive=True)
        return await scanning.results_of(session, repo, files)


async def promised(database: Database) -> list[dict]:
    async with database.read() as session:
        found = await session.scalars(sa.select(jobs.Job).where(col(jobs.Job.kind) == arrivals.SCAN_JOB))
        return [job.payload for job in found]


@pytest.fixture
async def filled(database: Database, store: Store) -> tuple[Repo, str]:
    """`ada/demo` with a dangerous pickle in LFS under a harmless name, and a clean text."""
    sha256 = await put(store, EVIL)
    async with database.write() as session:
        ada = await make_person(session, "ada")
        repo = await catalogue.create(session, RepoKind.MODEL, "ada", "demo", by=ada)
        await possess(session, repo, sha256)
        files = [AddLfs("weights.dat", sha256, len(EVIL)), AddFile("notes.txt", b"nothing here")]
        head = await history.commit(session, repo, "main", files, summary="Add", by=ada, store=store)
    return repo, head


async def possess(session: AsyncSession, repo: Repo, sha256: str) -> None:
    await session.execute(
        sa.text("INSERT INTO stored_object VALUES (:s, :n, '2026-01-01') ON CONFLICT DO NOTHING"),
        {"s": sha256, "n": len(EVIL)},
    )
    await session.execute(
        sa.text("INSERT INTO repo_object (repo_id, sha256, uploaded_at) VALUES (:r, :s, '2026-01-01')"),
        {"r": repo.id, "s": sha256},
    )


async def test_a_commit_promises_a_scan_and_the_scan_finds_and_records(
    database: Database, store: Store, filled: tuple[Repo, str]
) -> None:
    repo, head = filled
    assert {"repo": repo.id, "commits": [head]} in await promised(database)
    assert {each.status for each in (await results(database, repo, head)).values()} == {Status.UNSCANNED}

    await work.handle(database, store, {"repo": repo.id, "commits": [head]})

    found = await results(database, repo, head)
    assert {path: each.status for path, each in found.items()} == {
        ".gitattributes": Status.SAFE,
        "notes.txt": Status.SAFE,
        "weights.dat": Status.UNSAFE,
    }
    assert scanning.is_done(found)
    assert [each.path for each in scanning.issues(found)] == ["weights.dat"]
    async with database.read() as session:
        events = list(await session.scalars(sa.select(LedgerEvent).where(col(LedgerEvent.kind) == "repos:file:flag")))
    assert [(event.repo_id, event.body["status"], event.body["kinds"]) for event in events] == [
        (repo.id, "unsafe", ["pickle"])
    ]


async def test_a_content_is_scanned_once_and_shown_only_where_it_lies(
    database: Database, store: Store, filled: tuple[Repo, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, head = filled
    await work.scan(database, store, repo.id, [head], seconds=60)
    async with database.write() as session:
        grace = await make_person(session, "grace")
        other = await catalogue.create(session, RepoKind.MODEL, "grace", "copy", by=grace)
        sha256 = (await history.entry(session, repo, head, "weights.dat")).lfs.sha256  # type: ignore[union-attr]
        await possess(session, other, sha256)
        copied = await history.commit(session, other, "main", [AddLfs("x.bin", sha256)], summary="Add", by=grace)
    assert (await results(database, other, copied))["x.bin"].status is Status.UNSCANNED

    sizes, examine = [], content.examine

    def counted(file: Reader, size: int, budget: Budget) -> scanning.Verdict:
        sizes.append(size)
        return examine(file, size, budget)

    monkeypatch.setattr(content, "examine", counted)
    await work.scan(database, store, other.id, [copied], seconds=60)

    assert (await results(database, other, copied))["x.bin"].status is Status.UNSAFE
    assert len(EVIL) not in sizes


async def test_a_repeated_scan_replaces_the_verdict(database: Database, store: Store, filled: tuple[Repo, str]) -> None:
    repo, head = filled
    await work.scan(database, store, repo.id, [head], seconds=60)
    async with database.write() as session:
        await session.execute(
            sa.update(ContentScan).values(status="safe", result={"findings": [], "imports": [], "facts": {}})
        )
    again = await work.scan(database, store, repo.id, [head], seconds=60)
    assert (again.files, (await results(database, repo, head))["weights.dat"].status) == (0, Status.SAFE)

    anew = await work.scan(database, store, repo.id, [head], seconds=60, since=now())

    assert (anew.files, anew.issues) == (3, 1)
    assert (await results(database, repo, head))["weights.dat"].status is Status.UNSAFE


async def test_another_scanner_looks_again(database: Database, store: Store, filled: tuple[Repo, str]) -> None:
    repo, head = filled
    await work.scan(database, store, repo.id, [head], seconds=60)
    async with database.write() as session:
        await session.execute(sa.update(ContentScan).values(scanner=0))

    assert (await results(database, repo, head))["weights.dat"].status is Status.UNSCANNED
    assert (await work.scan(database, store, repo.id, [head], seconds=60)).files == 3


async def test_what_does_not_fit_in_a_turn_is_promised_anew(
    database: Database, store: Store, filled: tuple[Repo, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, head = filled
    monkeypatch.setattr(work, "_TURN_SECONDS", -1.0)
    before = len(await promised(database))

    await work.handle(database, store, {"repo": repo.id, "commits": [head]})

    assert len(await promised(database)) == before + 1


async def test_a_file_that_cannot_be_read_stays_without_a_verdict_and_is_tried_again(
    database: Database, store: Store, filled: tuple[Repo, str]
) -> None:
    repo, head = filled
    async with database.read() as session:
        large = (await history.entry(session, repo, head, "weights.dat")).lfs
    assert large is not None
    await store.remove(object_key(large.sha256))

    with pytest.raises(OSError, match="1 files"):
        await work.handle(database, store, {"repo": repo.id, "commits": [head]})

    found = await results(database, repo, head)
    assert (found["weights.dat"].status, found["notes.txt"].status) == (Status.UNSCANNED, Status.SAFE)


async def test_a_wrong_name_for_what_it_is_is_unsafe() -> None:
    verdict = content.examine_bytes(pickle.dumps({"a": 1}))

    assert FileResult("model.bin", verdict).status is Status.SAFE
    assert FileResult("model.safetensors", verdict).status is Status.UNSAFE


async def test_a_branch_a_tag_and_a_pull_requests_head_promise_scans(
    session: AsyncSession, repo: Repo, ada: Principal, stored: Stored
) -> None:
    await history.create_branch(session, repo, "other", start=None, by=ada)
    head = await history.commit(session, repo, "other", [AddFile("a", b"1")], summary="Add", by=ada)

    found = await session.scalars(sa.select(jobs.Job).where(col(jobs.Job.kind) == arrivals.SCAN_JOB))

    assert head in [oid for job in found for oid in job.payload["commits"]]
