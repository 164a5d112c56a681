"""Files nobody asked for before, of a revision that this caller asked about: no look-up, and no right that is over."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import accounts, repos, tokens
from gatekeeper.accounts import Person, Principal
from gatekeeper.kit.clock import now
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.repos import AddFile, Repo, RepoKind
from gatekeeper.web import known
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio

_PATH = "/datasets/lab/words/resolve/main/"


async def _principal(site: Site, name: str) -> Principal:
    async with site.gatekeeper.db.read() as session:
        return await accounts.principals.for_person(session, site.people[name])


async def _words(site: Site) -> Repo:
    repo = await site.plain(RepoKind.DATASET, "words")
    async with site.gatekeeper.db.write() as session:
        files = [AddFile(f"part{number}.csv", b"word\n%d\n" % number) for number in range(9)]
        await repos.commit(session, repo, "main", files, summary="Parts", by=await _principal(site, "grace"))
    return repo


async def _token(site: Site, person: Person, *, days: int | None = None) -> dict[str, str]:
    async with site.gatekeeper.db.write() as session:
        ends = now() + timedelta(days=days) if days else None
        _, secret = await tokens.issue(
            session,
            person,
            label="here",
            role="read",
            scopes=["read", "download"],
            key=site.gatekeeper.keys.tokens,
            expires_at=ends,
        )
    return {"authorization": f"Bearer {secret}"}


async def test_a_further_file_of_a_known_revision_is_answered_without_the_database(site: Site) -> None:
    await _words(site)
    ada, client = await _token(site, site.people["ada"]), site.browser()
    first = await client.head(_PATH + "part0.csv", headers=ada)

    with site.statements() as statements:
        second = await client.head(_PATH + "part1.csv", headers=ada)
        again = await client.head(_PATH + "part1.csv", headers=ada)

    assert statements == []
    assert [answer.status_code for answer in (first, second, again)] == [200, 200, 200]
    assert second.headers["content-length"] == again.headers["content-length"] == "7"
    assert second.headers["etag"] != first.headers["etag"]
    whole = await client.get(_PATH + "part1.csv", headers=ada)
    assert (whole.content, whole.headers["etag"]) == (b"word\n1\n", second.headers["etag"])
    absent = await client.head(_PATH + "part99.csv", headers=ada)
    assert absent.headers["x-error-code"] == "EntryNotFound"
    site.gatekeeper.evidence.close()
    async with site.gatekeeper.db.read() as session:
        kept = await session.scalars(sa.select(LedgerEvent).where(col(LedgerEvent.kind) == "repos:file:download"))
        assert [one.body["path"] for one in kept] == ["part1.csv"]


async def test_what_was_found_for_one_caller_is_nothing_to_another(site: Site) -> None:
    repo = await _words(site)
    async with site.gatekeeper.db.write() as session:
        await repos.update_settings(session, repo, private=True, by=await _principal(site, "grace"))
    grace, ada = await _token(site, site.people["grace"]), await _token(site, site.people["ada"])
    client = site.browser()
    assert (await client.head(_PATH + "part0.csv", headers=grace)).status_code == 200

    for headers in (ada, {}, {"authorization": grace["authorization"] + "x"}):
        assert (await client.head(_PATH + "part1.csv", headers=headers)).status_code in (401, 404)
    doubled = [("authorization", ada["authorization"]), ("authorization", grace["authorization"])]
    assert (await client.head(_PATH + "part1.csv", headers=doubled)).status_code != 200


async def test_a_right_that_is_over_is_over_for_the_next_file(site: Site) -> None:
    repo = await _words(site)
    ada, client = await _token(site, site.people["ada"]), site.browser()
    assert (await client.head(_PATH + "part0.csv", headers=ada)).status_code == 200

    async with site.gatekeeper.db.write() as session:
        await repos.update_settings(session, repo, private=True, by=await _principal(site, "grace"))
    assert (await client.head(_PATH + "part1.csv", headers=ada)).status_code == 404

    async with site.gatekeeper.db.write() as session:
        await repos.update_settings(session, repo, private=False, by=await _principal(site, "grace"))
    assert (await client.head(_PATH + "part2.csv", headers=ada)).status_code == 200
    async with site.gatekeeper.db.write() as session:
        (token,) = await tokens.list_for(session, site.people["ada"].id)
        await tokens.revoke(session, token.id, by=await _principal(site, "ada"))
    assert (await client.head(_PATH + "part3.csv", headers=ada)).status_code == 401


async def test_a_token_that_ends_is_looked_up_again_though_nothing_changed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _words(site)
    ada, client = await _token(site, site.people["ada"], days=1), site.browser()
    assert (await client.head(_PATH + "part0.csv", headers=ada)).status_code == 200

    monkeypatch.setattr(known, "now", lambda: now() + timedelta(days=1, seconds=1))
    with site.statements() as statements:
        await client.head(_PATH + "part1.csv", headers=ada)

    assert statements != []
