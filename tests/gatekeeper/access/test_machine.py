"""The request machine under any order of acts: guards hold, every step leaves its event, nothing is a dead end."""

import os
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access
from gatekeeper.access import ACTS, AccessGrant, AccessRequest, AccessStep, RequestState
from gatekeeper.access.moves import digest_of_reason
from gatekeeper.accounts import people
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Gate, Repo
from tests.gatekeeper.licensing.builders import make_person, make_repo
from tests.gatekeeper.machine import Machine, walk

S = RequestState
ENDS = {S.WITHDRAWN, S.CLOSED, S.EXPIRED}  # a new request may follow each
ROUTES = {act.name: act for act in ACTS}
BY_APPLICANT = ("submit", "save", "correct", "withdraw", "appeal", "confirm", "close-out", "close", "renew")
AGAINST = ("reject", "revoke", "suspend")
DECIDING = (*AGAINST, "approve", "approve-with-conditions", "resume", "cancel")
BY_REVIEWER = (
    "claim", "unclaim", "route", "return", "refer", "recall", "vote", "delegate", "approve", "approve-with-conditions",
    "reject", "cancel", "undo", "suspend", "resume", "revoke", "add-terms", "answer",
)  # fmt: skip


def test_no_state_is_a_dead_end() -> None:
    for state in S:
        assert state in ENDS or any(state in act.sources and act.target not in (None, state) for act in ACTS)


def test_every_state_is_reached_from_a_draft() -> None:
    reached = {S.DRAFT}
    while more := {act.target for act in ACTS if act.target and act.sources & reached} - reached:
        reached |= more
    assert reached == set(S)


async def do(session: AsyncSession, name: str, request: AccessRequest, by: Principal, world: dict[str, Any]) -> None:
    """Carry one act out, as its verb does."""
    bob = world["bob"]
    match name:
        case "submit":
            await access.submit(session, by, world["repo"], fields=None, bundle=None)
        case "save":
            await access.save(session, by, world["repo"], fields=None, bundle=None)
        case "renew":
            await access.submit(session, by, world["repo"], fields=None, bundle=None, is_renewal=True)
        case "correct":
            await access.correct(session, request, by=by)
        case "withdraw":
            await access.withdraw(session, request, by=by)
        case "appeal":
            await access.appeal(session, request, by=by, text="Look again.")
        case "confirm":
            sha256 = digest_of_reason(request.conditions) or ""
            await access.confirm(session, request, by=by, conditions_sha256=sha256)
        case "close-out":
            await access.close_out(session, request, by=by, answer="deleted")
        case "close" | "revoke":
            grant = await access.open_grant_of(session, request)
            if grant is None:
                raise Conflict("There is nothing to end.", next_step="Go on.")
            if name == "close":
                await access.close(session, grant, by=by)
            else:
                await access.revoke(session, grant, by=by, reason="No.")
        case "claim":
            await access.claim(session, request, by=by)
        case "unclaim":
            await access.unclaim(session, request, by=by)
        case "route":
            await access.route(session, request, "legal", by=by)
        case "return":
            await access.give_back(session, request, by=by, comment="Say more.")
        case "refer":
            await access.refer(session, request, bob, by=by, comment="What do you think?")
        case "answer":
            await access.answer(session, request, by=world["bob_principal"], opinion="Fine.")
        case "recall":
            await access.recall(session, request, by=by)
        case "vote":
            await access.vote(session, request, by=by, value="yes")
        case "delegate":
            await access.delegate(session, request, world["eve"], by=by, comment="She goes on.")
        case "approve":
            await access.approve(session, request, by=by, ends_at=now() + timedelta(days=world["days"]))
        case "approve-with-conditions":
            await access.approve(session, request, by=by, conditions="Tell us.")
        case "reject":
            await access.reject(session, request, by=by, reason="No.")
        case "cancel":
            await access.cancel(session, request, by=by)
        case "undo":
            await access.undo(session, request, by=by)
        case "suspend":
            await access.suspend(session, request, by=by, reason="Wait.")
        case "resume":
            await access.resume(session, request, by=by)
        case "add-terms":
            await access.add_terms(session, request, by=by, conditions="Tell us more.")


OVER = {S.DRAFT, S.RETURNED, S.REJECTED, S.REVOKED, S.SUSPENDED} | ENDS
ALLOWED_IN = {name: ROUTES[name].sources for name in {*BY_APPLICANT, *BY_REVIEWER} & set(ROUTES)} | {
    "submit": OVER, "renew": OVER | {S.ACTIVE}, "approve-with-conditions": ROUTES["approve"].sources,
}  # fmt: skip
# Left to itself hypothesis prefers few rules and small numbers, and hardly anybody ever gets in.
CHANCE = st.integers(0, 2**64 - 1).map(Random)


def likely(names: tuple[str, ...], request: AccessRequest | None, chance: Random) -> str:
    """Mostly an act that the request's state allows, so that a walk leads somewhere."""
    able = [name for name in names if request and request.state in ALLOWED_IN[name]]
    return chance.choice(able if able and chance.random() < 0.8 else names)


class Requests(Machine):
    """One repository, people who ask, two reviewers, a clock. Whatever is tried, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.last_words: dict[str, list[tuple[str, str]]] = {}  # of each person: request and act, undone ones left out
        self.silent: list[GatekeeperError] = []

    @initialize(gate=st.sampled_from((Gate.MANUAL, Gate.AUTO)))
    def begin(self, gate: Gate) -> None:
        self.world: dict[str, Any] = self.run(self._world(gate))

    async def _world(self, gate: Gate) -> dict[str, Any]:
        async with self.database.write() as session:
            owner, other, ada, bob, eve = [await make_person(session) for _ in range(5)]
            repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
            repo.gate = gate
            world = {"repo": repo, "owner": owner, "other": other, "ada": ada, "bob_principal": bob, "days": 20}
            world |= {"bob": await people.find(session, bob.name), "eve": await people.find(session, eve.name)}
            world["eve_principal"] = eve
        return world

    @rule(chance=CHANCE)
    def something_happens(self, chance: Random) -> None:
        self.traveller.shift(timedelta(seconds=1))  # no two acts are at the same instant
        if chance.random() < 0.1:
            self.traveller.shift(timedelta(days=chance.randint(1, 40)))
            return
        names = chance.choice((BY_APPLICANT, BY_REVIEWER))
        people = ("ada",) * 6 + ("eve_principal", "owner") if names is BY_APPLICANT else ("owner", "other", "", "ada")
        by = self.world.get(chance.choice(people), OPERATOR)
        self.run(self._attempt(names, chance, by, age=chance.choice((0, 0, 0, 0, 1, 2))))

    async def _attempt(self, names: tuple[str, ...], chance: Random, by: Principal, age: int) -> None:
        before = await self._chosen(age)
        name = likely(names, before, chance)
        try:
            async with self.database.write() as session:
                request = await session.get(AccessRequest, before.id) if before else AccessRequest(id="none")
                assert request is not None
                if not before and name not in ("submit", "save", "renew"):
                    return
                await do(session, name, request, by, self.world)
        except GatekeeperError as refusal:
            self.silent += [] if refusal.next_step else [refusal]
            after = await self._chosen(age)
            assert (after and (after.id, after.version)) == (before and (before.id, before.version)), "nothing is kept"
        else:
            await self._no_way_around(name, before, by)

    async def _no_way_around(self, name: str, before: AccessRequest | None, by: Principal) -> None:
        """After a rejection, a revocation or a suspension nobody but a reviewer opens a grant."""
        if before and name in DECIDING:
            self.last_words.setdefault(before.person_id, []).append((before.id, name))
        elif before and name == "undo":
            words = self.last_words[before.person_id]
            words.remove(next(word for word in reversed(words) if word[0] == before.id))
        elif name in BY_APPLICANT and self._last_word(by) in AGAINST:
            async with self.database.read() as session:
                opened = sa.select(AccessGrant).where(col(AccessGrant.granted_at) == now())
                assert (await session.scalars(opened)).all() == [], "no grant without a reviewer's act"

    def _last_word(self, who: Principal) -> str:
        words = self.last_words.get(who.person_id or "")
        return words[-1][1] if words else ""

    async def _chosen(self, age: int) -> AccessRequest | None:
        """The newest request, or one of those before it."""
        async with self.database.read() as session:
            found = (await session.scalars(sa.select(AccessRequest).order_by(col(AccessRequest.id).desc()))).all()
            return found[min(age, len(found) - 1)] if found else None

    @invariant()
    def what_holds_always(self) -> None:
        if hasattr(self, "world"):
            self.run(self._check())
            assert self.silent == [], "every refusal says what to do next"

    async def _check(self) -> None:
        async with self.database.read() as session:
            requests = list(await session.scalars(sa.select(AccessRequest)))
            grants = list(await session.scalars(sa.select(AccessGrant).where(col(AccessGrant.revoked_at).is_(None))))
            steps = list(await session.scalars(sa.select(AccessStep).order_by(col(AccessStep.id))))
            events = list(
                await session.scalars(sa.select(LedgerEvent).where(col(LedgerEvent.kind).startswith("access:request:")))
            )
        for person_id in {request.person_id for request in requests}:
            mine = [request for request in requests if request.person_id == person_id]
            assert sum(request.state in access.OPEN for request in mine) <= 1
            live = [grant for grant in grants if grant.person_id == person_id and grant.suspended_at is None]
            assert sum(grant.ends_at is None or grant.ends_at > now() for grant in live) <= 1
        by_id = {request.id: request for request in requests}
        for grant in (one for one in grants if one.ends_at is None or one.ends_at > now()):
            state = by_id[grant.request_id or ""].state
            assert state is (S.SUSPENDED if grant.suspended_at else S.ACTIVE)
        assert sorted((step.request_id, step.act) for step in steps) == sorted(
            (event.subject_id or "", event.kind.rpartition(":")[2]) for event in events
        ), "every step has its event"
        for step in steps:
            act = ROUTES.get(step.act)
            assert act is None or (step.before in act.sources and step.after is (act.target or step.before))
        for step in steps:
            if step.act in ("approve", "reject", "activate") and step.actor_id:
                asked = {one.actor_id for one in steps if one.request_id == step.request_id and one.act == "submit"}
                assert step.act == "activate" or step.actor_id not in asked, "nobody decides about their own"


def test_any_order_of_acts_keeps_the_machine_whole(template: Path) -> None:
    walk(Requests, template, examples=int(os.environ.get("REQUESTS_EXAMPLES", "4")), steps=20)


WRONG_PEOPLE = [
    ("correct", "owner"), ("withdraw", "owner"), ("appeal", "owner"), ("confirm", "owner"), ("close-out", "owner"),
    ("claim", "ada"), ("unclaim", "ada"), ("route", "ada"), ("return", "ada"), ("refer", "ada"), ("recall", "ada"),
    ("vote", "ada"), ("delegate", "ada"), ("approve", "ada"), ("reject", "ada"), ("cancel", "ada"), ("suspend", "ada"),
    ("undo", "ada"), ("resume", "ada"), ("add-terms", "ada"),
]  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "who"), WRONG_PEOPLE)
async def test_the_wrong_person_is_refused_in_every_state(database: Database, name: str, who: str) -> None:
    async with database.write() as session:
        owner, ada, bob, eve = [await make_person(session) for _ in range(4)]
        repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
        world = {"repo": repo, "days": 3, "bob_principal": bob}
        world |= {"bob": await people.find(session, bob.name), "eve": await people.find(session, eve.name)}
        by = owner if who == "owner" else ada
        for state in ROUTES[name].sources:
            request = await _in_state(session, repo, ada, state)
            with pytest.raises(NotAllowed) as refused:
                await do(session, name, request, by, world)
            assert refused.value.next_step
            await session.delete(request)
            await session.flush()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", sorted({*BY_APPLICANT, *BY_REVIEWER} & set(ROUTES) - {"submit", "save", "close", "revoke"})
)
async def test_an_act_in_the_wrong_state_is_told_what_happened(database: Database, name: str) -> None:
    async with database.write() as session:
        owner, ada, bob, eve = [await make_person(session) for _ in range(4)]
        repo, _ = await make_repo(session, owner, files={"a.txt": b"a"})
        world = {"repo": repo, "days": 3, "bob_principal": bob}
        world |= {"bob": await people.find(session, bob.name), "eve": await people.find(session, eve.name)}
        by = ada if name in BY_APPLICANT else owner
        for state in set(S) - ROUTES[name].sources - {S.ACTIVE, S.SUSPENDED}:
            request = await _in_state(session, repo, ada, state)
            with pytest.raises((Conflict, Invalid)) as refused:
                await do(session, name, request, by, world)
            assert refused.value.next_step
            await session.delete(request)
            await session.flush()


async def _in_state(session: AsyncSession, repo: Repo, ada: Principal, state: RequestState) -> AccessRequest:
    conditions = (await key_of(session, ada.person_id or "")).words("Tell us.")
    request = AccessRequest(repo_id=repo.id, person_id=ada.person_id or "", state=state, conditions=conditions)
    session.add(request)
    await session.flush()
    return request
