"""Blocks and bulk decisions: one place or all, lifted once, and each of many by itself."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access
from gatekeeper.access import AccessRequest, digest_of_reason
from gatekeeper.accounts import Person, Principal, organizations, people
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import events, make_person, make_repo

pytestmark = pytest.mark.anyio


@pytest.fixture
async def owner(session: AsyncSession) -> Principal:
    return await make_person(session, "owner")


@pytest.fixture
async def repo(session: AsyncSession, owner: Principal) -> Repo:
    return (await make_repo(session, owner, files={"a.txt": b"a"}))[0]


async def _row(session: AsyncSession, principal: Principal) -> Person:
    found = await people.find(session, principal.name)
    assert found is not None
    return found


async def _ask(session: AsyncSession, who: Principal, repo: Repo) -> AccessRequest:
    return await access.submit(session, who, repo, fields=None, bundle=None)


async def test_a_block_covers_its_place_and_no_other(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    other, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    team = await organizations.create(session, "lab", by=owner)
    theirs, _ = await make_repo(session, owner, files={"a.txt": b"a"})
    theirs.owner_organization_id = team.id
    ada, bob, eve = [await make_person(session) for _ in range(3)]
    await access.block(session, await _row(session, ada), by=owner, reason="Copies.", repo=repo)
    await access.block(session, await _row(session, bob), by=owner, reason="Copies.", organization=team)
    await access.block(session, await _row(session, eve), by=owner, reason="Copies.")

    places = (repo, other, theirs)
    closed = {
        who.name: [await access.is_blocked(session, who.person_id or "", each) for each in places]
        for who in (ada, bob, eve)
    }
    assert list(closed.values()) == [[True, False, False], [False, False, True], [True, True, True]]
    request = await _ask(session, ada, repo)
    assert request.state == "rejected"


async def test_blocking_keeps_or_revokes_what_is_there_and_is_lifted_once(
    session: AsyncSession, owner: Principal, repo: Repo
) -> None:
    ada, bob = await make_person(session), await make_person(session)
    for who in (ada, bob):
        assert await access.approve(session, await _ask(session, who, repo), by=owner) is not None
    kept = await access.block(session, await _row(session, ada), by=owner, reason="No more.", repo=repo)
    await access.block(session, await _row(session, bob), by=owner, reason="Misuse.", repo=repo, is_revoking=True)

    assert await access.grant_in_force(session, ada.person_id or "", repo.id, now()) is not None
    assert await access.grant_in_force(session, bob.person_id or "", repo.id, now()) is None
    with pytest.raises(Conflict, match="already"):
        await access.block(session, await _row(session, ada), by=owner, reason="Again.", repo=repo)
    await access.unblock(session, kept, by=owner)
    with pytest.raises(Conflict, match="lifted already"):
        await access.unblock(session, kept, by=owner)
    with pytest.raises(Invalid, match="themselves"):
        await access.block(session, await _row(session, owner), by=owner, reason="Me.", repo=repo)
    assert not await access.is_blocked(session, ada.person_id or "", repo)
    assert [event.body["is_revoking"] for event in await events(session, "access:person:block")] == [False, True]
    assert "Misuse" not in str([event.body for event in await events(session, "access:person:block")])


async def test_a_blocked_person_is_let_in_on_no_way(session: AsyncSession, owner: Principal, repo: Repo) -> None:
    ada, bob, eve = [await make_person(session) for _ in range(3)]
    sha256 = digest_of_reason("Name us.") or ""
    for who, is_revoking in ((ada, True), (bob, False)):
        await access.approve(session, await _ask(session, who, repo), by=owner, conditions="Name us.")
        await access.block(
            session, await _row(session, who), by=owner, reason="No.", repo=repo, is_revoking=is_revoking
        )
        request = await access.latest_request(session, who.person_id or "", repo.id)
        assert request is not None
        assert request.state == ("revoked" if is_revoking else "awaiting_terms")
        with pytest.raises(Conflict):
            await access.confirm(session, request, by=who, conditions_sha256=sha256)
    await access.require(session, repo, "training", by=owner)
    waits = await _ask(session, eve, repo)
    await access.approve(session, waits, by=owner)
    made = await access.block(session, await _row(session, eve), by=owner, reason="No.", repo=repo)
    await access.vouch(session, await _row(session, eve), "training", by=owner, evidence="Seen.", repo=repo)
    assert waits.state == "awaiting_terms"
    with pytest.raises(Conflict, match="is blocked"):
        await access.grant_directly(session, repo, await _row(session, eve), by=owner)
    await access.cancel(session, waits, by=owner)
    with pytest.raises(Conflict, match="is blocked"):
        async with session.begin_nested():
            await access.approve(session, waits, by=owner)
    await access.unblock(session, made, by=owner)
    assert await access.approve(session, await access.get(session, waits.id), by=owner) is not None


async def test_of_many_each_is_decided_by_itself_and_failures_are_named(
    session: AsyncSession, owner: Principal, repo: Repo
) -> None:
    requests = [await _ask(session, await make_person(session), repo) for _ in range(3)]
    late = await access.withdraw(session, requests[1], by=Principal(person_id=requests[1].person_id, name="x"))

    async def approve(request: AccessRequest) -> None:
        await access.approve(session, request, by=owner)

    done = await access.decide_many(session, [*requests, requests[0]], approve)

    assert [bool(each.problem) for each in done] == [False, True, False]
    assert "withdrawn" in done[1].problem
    states = [(await access.get(session, request.id)).state for request in requests]
    assert states == ["active", late.state, "active"]
    assert len(await events(session, "access:request:approve")) == 2
    with pytest.raises(Invalid, match="chosen"):
        await access.decide_many(session, [], approve)


async def test_the_log_commits_to_words_about_a_person_so_that_only_their_key_can_check_a_guess(
    session: AsyncSession, owner: Principal, repo: Repo
) -> None:
    alan, ada = await make_person(session, "alan"), await make_person(session, "ada")
    request = await _ask(session, alan, repo)
    await access.reject(session, request, by=owner, reason="No.")
    await access.block(session, await _row(session, ada), by=owner, reason="No.", repo=repo)
    [rejected], [blocked] = await events(session, "access:request:reject"), await events(session, "access:person:block")
    key, other = await key_of(session, alan.person_id or ""), await key_of(session, ada.person_id or "")
    assert rejected.body["reason_commitment"] == key.commit("No.", about=request.id)
    assert blocked.body["reason_commitment"] == other.commit("No.", about=blocked.body["block_id"])
    assert key.commit("No.", about=request.id) not in (
        key.commit("Yes", about=request.id),
        key.commit("No.", about="another request"),
        other.commit("No.", about=request.id),
    )
    assert sha256_hex(b"No.") not in str([rejected.body, blocked.body])
