"""The release machine under any order of acts: guards hold, every change leaves its event, nothing is a dead end.

RELEASES_EXAMPLES sets how many ways are gone.
"""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa
import time_machine
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import authz, releases, schema
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal
from gatekeeper.authz import Action, Policies
from gatekeeper.errors import Conflict, GatekeeperError
from gatekeeper.kit.canonical import canonical_json
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases import Act, Ladder, Proposal, ProposalState, Release, Stage
from gatekeeper.releases.rows import facts
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import commit_files
from tests.gatekeeper.machine import Machine, walk
from tests.gatekeeper.releases.test_promotion import make_organization

LADDER, POLICIES = Ladder.load(), Policies.load()
# Those that take a release up and down more often than others; the last ends a walk.
ACTS = (
    *("propose", "promote") * 4, *("demote", "resume", "waive") * 3, "hold", "hold", "ask", "approve", "close",
    "announce", "lengthen", "lift", "open", "deprecate", "withdraw",
)  # fmt: skip
CHANGES = {"demote": Act.DEMOTE, "lengthen": Act.EMBARGO, "lift": Act.LIFT, "withdraw": Act.WITHDRAW}
WAYS_DOWN = {"releases:release:demote", "releases:release:withdraw"}
UNDOES = WAYS_DOWN | {"releases:release:hold", "releases:proposal:waive"}
ENDED_BY = {ProposalState.WITHDRAWN: "withdraw", ProposalState.REFUSED: "refuse"}


class Releases(Machine):
    """One release with a file that needs a waiver, three maintainers, a clock. Whatever is tried, in whatever order."""

    maintainers: ClassVar[list[Principal]]
    repo_id: ClassVar[str]
    commit: ClassVar[str]

    @rule(name=st.sampled_from(ACTS), who=st.integers(0, 2), steps=st.integers(1, 4))
    def somebody_acts(self, name: str, who: int, steps: int) -> None:
        self.run(self._attempt(name, self.maintainers[who], steps))

    async def _attempt(self, name: str, by: Principal, steps: int) -> None:
        """A refusal keeps nothing and says what to do next."""
        before, _ = await self._standing()
        refusal = None
        try:
            async with self.database.write() as session:
                await self._do(session, name, await session.get_one(Release, before.id), by, steps)
        except GatekeeperError as error:
            refusal = error
        if refusal is not None:
            after, _ = await self._standing()
            assert (after.version, bool(refusal.next_step)) == (before.version, True)

    async def _do(self, session: AsyncSession, name: str, release: Release, by: Principal, steps: int) -> None:
        self._tick()
        until = now() + timedelta(days=steps)
        match name:
            case "ask" | "propose":
                repo, target = await session.get_one(Repo, self.repo_id), _away(release.stage, steps)
                made = await releases.propose(session, repo, self.commit, target, by=by, ladder=LADDER)
                if name == "propose":
                    await self._waive(session, made, by)
                    await self._approve(session, made)
            case "waive":
                await self._waive(session, await self._newest(session, release), by)
            case "approve":
                await self._approve(session, await self._newest(session, release))
            case "promote":
                await releases.promote(session, await self._newest(session, release), by=by, ladder=LADDER)
            case "close":
                await releases.close_proposal(session, await self._newest(session, release), by=by, reason="No.")
            case "hold":
                await releases.hold(session, release, by=OPERATOR if steps == 1 else by, reason="Wait.")
            case "resume":
                await releases.resume(session, release, by=OPERATOR if steps == 1 else by)
            case "announce":
                await releases.embargo(session, release, until, by=by, reason="Paper.")
            case "deprecate":
                await releases.deprecate(session, release, by=by, reason="Old.")
            case "open":
                self.traveller.shift(timedelta(days=steps))
                await releases.open_or_hold(session, release.id, ladder=LADDER)
            case _:
                act, target = CHANGES[name], _away(release.stage, -steps)
                asked = await releases.ask_change(
                    session, release, act, by=by, ladder=LADDER, reason="Why.", target=target, until=until
                )
                await self._approve(session, asked)
                await releases.carry_out(session, asked, by=by, ladder=LADDER)

    async def _newest(self, session: AsyncSession, release: Release) -> Proposal:
        """The last promotion that was proposed, whatever became of it."""
        for proposal in await releases.proposals_of(session, release):
            if proposal.act is Act.PROMOTE:
                return proposal
        raise Conflict("Nothing was proposed.", next_step="Go on.")

    async def _waive(self, session: AsyncSession, proposal: Proposal, by: Principal) -> None:
        for row in proposal.criteria:
            if not row["is_met"]:
                self._tick()
                await releases.waive(session, proposal, row["id"], by=by, reason="It is fine.")

    async def _approve(self, session: AsyncSession, proposal: Proposal) -> None:
        given = {approval.person_id for approval in await releases.approvals_of(session, proposal)}
        for by in self.maintainers:
            if proposal.act is Act.PROMOTE or by.person_id not in given:
                self._tick()
                await releases.approve_proposal(session, proposal, by=by)

    def _tick(self) -> None:
        self.traveller.shift(timedelta(seconds=1))  # so that ids sort as things happened

    async def _standing(self) -> tuple[Release, list[Proposal]]:
        async with self.database.read() as session:
            release = (await session.scalars(sa.select(Release).where(col(Release.commit_id) == self.commit))).one()
            return release, await releases.proposals_of(session, release)

    @invariant()
    def what_holds_always(self) -> None:
        self.run(self._check())

    async def _check(self) -> None:
        release, proposals = await self._standing()
        async with self.database.read() as session:
            about = [release.id, *(proposal.id for proposal in proposals)]
            query = sa.select(LedgerEvent).where(col(LedgerEvent.subject_id).in_(about)).order_by(col(LedgerEvent.id))
            events = list(await session.scalars(query))
            if release.held_at or release.withdrawn_at:
                repo = await session.get_one(Repo, self.repo_id)
                for by in (ANONYMOUS, self.maintainers[0]):
                    place = await authz.load(session, by, repo, commit=self.commit)
                    for action in (Action.DOWNLOAD, Action.READ_SMALL, Action.GENERATE, Action.REDISTRIBUTE):
                        assert not authz.decide(POLICIES, by, action, place, now()), "what is held is never served"
        _every_change_has_its_event(release, [event for event in events if event.subject_id == release.id])
        _every_proposal_has_its_events(proposals, events)
        _nothing_rises_by_what_was_said_before(events)

    def teardown(self) -> None:
        try:
            self.run(self._leave())
        finally:
            super().teardown()

    async def _leave(self) -> None:
        """From wherever a walk has led, but a tombstone, a maintainer and the hub can bring a release on."""
        release, _ = await self._standing()
        if release.withdrawn_at is not None:
            return
        by = self.maintainers[2]
        await self._attempt("resume", OPERATOR, 1)
        await self._attempt("lift", by, 1)
        await self._attempt("close", by, 1)
        for name in ("ask", "promote") if release.stage is Stage.DRAFT else ("demote",):
            await self._attempt(name, by, 1)
        last, _ = await self._standing()
        assert (last.held_at, last.embargoed_until) == (None, None)
        assert last.stage is not release.stage


def _away(stage: Stage, steps: int) -> Stage:
    return LADDER.stages[min(max(LADDER.rank(stage) + steps, 0), len(LADDER.stages) - 1)]


def _every_change_has_its_event(release: Release, events: list[LedgerEvent]) -> None:
    """What one event left the next one found, each is the act that it says, and the last is how things stand."""
    standing = None
    for event in events:
        act, before, after = event.kind.rpartition(":")[2], event.body["before"], event.body["after"]
        assert before == standing
        standing = after
        if before is None:
            assert act == "draft"
            continue
        rise = LADDER.rank(after["stage"]) - LADDER.rank(before["stage"])
        assert not before["is_withdrawn"]
        assert (rise > 0) is (act == "promote")
        assert (rise < 0) is (act == "demote")
        assert not (rise > 0 and before["is_held"])
        assert (after["is_held"], before["is_held"]) == {"hold": (True, False), "resume": (False, True)}.get(
            act, (before["is_held"],) * 2
        )
        assert after["is_withdrawn"] is (act == "withdraw")
        assert (after["embargoed_until"] == before["embargoed_until"]) is (act not in ("embargo", "lift", "open"))
    assert standing == json.loads(canonical_json(facts(release)))
    assert release.version == len(events) - 1


def _every_proposal_has_its_events(proposals: list[Proposal], events: list[LedgerEvent]) -> None:
    done = [event.body["proposal_id"] for event in events if "proposal_id" in event.body]
    going_up = [each for each in proposals if each.act is Act.PROMOTE and each.state is ProposalState.OPEN]
    assert len(going_up) <= 1
    down = max((event.id for event in events if event.kind in WAYS_DOWN), default="")
    assert all(each.id > down for each in going_up), "a way down ends what would have gone up"
    for proposal in proposals:
        acts = [event.kind.rpartition(":")[2] for event in events if event.subject_id == proposal.id]
        assert acts.count("propose" if proposal.act is Act.PROMOTE else "ask") == 1
        ends = [act for act in acts if act in ENDED_BY.values()]
        assert ends == ([ENDED_BY[proposal.state]] if proposal.state in ENDED_BY else [])
        assert done.count(proposal.id) == (proposal.state is ProposalState.EFFECTIVE)


def _nothing_rises_by_what_was_said_before(events: list[LedgerEvent]) -> None:
    """Each promotion has as many approvals as its stage asks for, all after the last way down, hold or waiver."""
    for position, event in enumerate(events):
        if event.kind != "releases:release:promote":
            continue
        approved_by = event.body["approved_by"]
        assert len(set(approved_by)) >= LADDER.rule(Stage(event.body["after"]["stage"])).approvals
        earlier = events[:position]
        undone = max((each.id for each in earlier if each.kind in UNDOES), default="")
        said = {
            each.actor_id
            for each in earlier
            if each.kind == "releases:proposal:approve"
            and each.subject_id == event.body["proposal_id"]
            and each.id > undone
        }
        assert set(approved_by) <= said, "approved by what its giver saw"


async def _fill(template: Path, path: Path) -> None:
    """The world that every walk begins in."""
    database = schema.copy_template(template, path)
    async with database.write() as session:
        repo, _, Releases.maintainers = await make_organization(session, 3)
        uploader = Releases.maintainers[0]
        Releases.commit = await commit_files(session, repo, {"extra.bin": b"x"}, by=uploader)
        await releases.take_note(session, repo, Releases.commit, branch="main", by=uploader)
        Releases.repo_id = repo.id
    await database.close()


def test_any_order_of_acts_keeps_the_ladder_whole(template: Path, tmp_path: Path) -> None:
    filled = tmp_path / "filled.sqlite3"
    with time_machine.travel(datetime(2026, 2, 1, tzinfo=UTC)):
        asyncio.run(_fill(template, filled))
    walk(Releases, filled, examples=int(os.environ.get("RELEASES_EXAMPLES", "5")), steps=25)
