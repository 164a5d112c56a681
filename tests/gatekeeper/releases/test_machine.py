"""The release machine under any order of acts: guards hold, every change leaves its event, nothing is a dead end.

RELEASES_EXAMPLES sets how many ways are gone.
"""

import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import authz, releases
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal
from gatekeeper.authz import Action, Policies
from gatekeeper.errors import GatekeeperError
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
PEOPLE = st.sampled_from(("uploader", "second", "third"))
STEPS = st.integers(1, 4)
UNDOES = {f"releases:release:{act}" for act in ("demote", "hold", "withdraw")} | {"releases:proposal:waive"}
ENDED_BY = {ProposalState.WITHDRAWN: "withdraw", ProposalState.REFUSED: "refuse"}


class Releases(Machine):
    """One release with a file that needs a waiver, three maintainers, a clock. Whatever is tried, in whatever order."""

    @initialize()
    def begin(self) -> None:
        self.run(self._fill())

    async def _fill(self) -> None:
        async with self.database.write() as session:
            repo, _, (uploader, second, third) = await make_organization(session, 3)
            self.commit = await commit_files(session, repo, {"extra.bin": b"x"}, by=uploader)
            await releases.take_note(session, repo, self.commit, branch="main", by=uploader)
            self.repo_id = repo.id
        self.people = {"uploader": uploader, "second": second, "third": third}

    @rule(who=PEOPLE, up=STEPS, is_made_ready=st.booleans())
    def propose(self, who: str, up: int, is_made_ready: bool) -> None:
        async def act(session: AsyncSession, release: Release) -> None:
            repo = await session.get_one(Repo, self.repo_id)
            target = _away(release.stage, up)
            await releases.propose(session, repo, self.commit, target, by=self.people[who], ladder=LADDER)

        self.do(act)
        if is_made_ready:
            self.waive(who)
            self.everybody_approves()

    @rule()
    def everybody_approves(self) -> None:
        self.on_newest(lambda proposal: proposal.state is ProposalState.OPEN, self._approve)

    def _approve(self, proposal: Proposal) -> None:
        for by in self.people.values():
            self.do(lambda session, _, by=by: releases.approve_proposal(session, proposal, by=by))  # type: ignore[misc]

    @rule(who=PEOPLE)
    def waive(self, who: str) -> None:
        def waive(proposal: Proposal) -> None:
            for row in (row for row in proposal.criteria if not row["is_met"]):
                self.do(
                    lambda session, _, row=row: releases.waive(  # type: ignore[misc]
                        session, proposal, row["id"], by=self.people[who], reason="It is fine."
                    )
                )

        self.on_newest(lambda proposal: proposal.act is Act.PROMOTE, waive)

    @rule(who=PEOPLE)
    def promote(self, who: str) -> None:
        """Whatever promotion there ever was."""
        for proposal in self.run(self._proposals()):
            self.do(
                lambda session, _, proposal=proposal: releases.promote(  # type: ignore[misc]
                    session, proposal, by=self.people[who], ladder=LADDER
                )
            )

    @rule(who=PEOPLE)
    def close(self, who: str) -> None:
        def close(proposal: Proposal) -> None:
            self.do(lambda session, _: releases.close_proposal(session, proposal, by=self.people[who], reason="No."))

        self.on_newest(lambda proposal: True, close)

    @rule(who=PEOPLE, down=STEPS)
    def demote(self, who: str, down: int) -> None:
        self._change(self.people[who], Act.DEMOTE, _away(self.run(self._release()).stage, -down))

    @rule(who=PEOPLE, act=st.sampled_from((Act.EMBARGO, Act.LIFT)))
    def change_the_embargo(self, who: str, act: Act) -> None:
        self._change(self.people[who], act, None)

    @rule(who=PEOPLE, is_meant=st.integers(0, 9))
    def withdraw(self, who: str, is_meant: int) -> None:
        if not is_meant:  # it ends the walk, so seldom
            self._change(self.people[who], Act.WITHDRAW, None)

    def _change(self, by: Principal, act: Act, target: Stage | None) -> None:
        until = now() + timedelta(days=9)
        self.do(
            lambda session, release: releases.ask_change(
                session, release, act, by=by, ladder=LADDER, reason="Why.", target=target, until=until
            )
        )
        self.on_newest(lambda proposal: proposal.act is not Act.PROMOTE, self._approve)
        self.on_newest(lambda proposal: proposal.act is not Act.PROMOTE, self._carry_out)

    def _carry_out(self, proposal: Proposal) -> None:
        self.do(lambda session, _: releases.carry_out(session, proposal, by=self.people["third"], ladder=LADDER))

    @rule(who=PEOPLE, is_hub=st.booleans())
    def hold(self, who: str, is_hub: bool) -> None:
        by = OPERATOR if is_hub else self.people[who]
        self.do(lambda session, release: releases.hold(session, release, by=by, reason="Wait."))

    @rule(is_hub=st.booleans())
    def resume(self, is_hub: bool) -> None:
        by = OPERATOR if is_hub else self.people["uploader"]
        self.do(lambda session, release: releases.resume(session, release, by=by))

    @rule(who=PEOPLE, days=st.integers(1, 5))
    def announce(self, who: str, days: int) -> None:
        until = now() + timedelta(days=days)
        self.do(
            lambda session, release: releases.embargo(session, release, until, by=self.people[who], reason="Paper.")
        )

    @rule(who=PEOPLE)
    def deprecate(self, who: str) -> None:
        self.do(lambda session, release: releases.deprecate(session, release, by=self.people[who], reason="Old."))

    @rule(days=st.integers(1, 5))
    def time_passes(self, days: int) -> None:
        self.traveller.shift(timedelta(days=days))
        self.do(lambda session, release: releases.open_or_hold(session, release.id, ladder=LADDER))

    def do(self, act: Callable[[AsyncSession, Release], Awaitable[object]]) -> None:
        """Try an act in a transaction of its own. A refusal keeps nothing and says what to do next."""
        self.traveller.shift(timedelta(seconds=1))  # so that ids sort as things happened
        self.run(self._attempt(act))

    async def _attempt(self, act: Callable[[AsyncSession, Release], Awaitable[object]]) -> None:
        before, refusal = await self._release(), None
        try:
            async with self.database.write() as session:
                await act(session, await session.get_one(Release, before.id))
        except GatekeeperError as error:
            refusal = error
        if refusal is not None:
            assert refusal.next_step
            assert (await self._release()).version == before.version

    def on_newest(self, which: Callable[[Proposal], bool], then: Callable[[Proposal], None]) -> None:
        found = next((proposal for proposal in self.run(self._proposals()) if which(proposal)), None)
        if found is not None:
            then(found)

    async def _release(self) -> Release:
        async with self.database.read() as session:
            return (await session.scalars(sa.select(Release).where(col(Release.commit_id) == self.commit))).one()

    async def _proposals(self) -> list[Proposal]:
        async with self.database.read() as session:
            return await releases.proposals_of(session, await self._release())

    @invariant()
    def what_holds_always(self) -> None:
        if hasattr(self, "people"):
            self.run(self._check())

    async def _check(self) -> None:
        release, proposals = await self._release(), await self._proposals()
        async with self.database.read() as session:
            about = [release.id, *(proposal.id for proposal in proposals)]
            query = sa.select(LedgerEvent).where(col(LedgerEvent.subject_id).in_(about)).order_by(col(LedgerEvent.id))
            events = list(await session.scalars(query))
            repo = await session.get_one(Repo, self.repo_id)
            for by in (ANONYMOUS, *self.people.values()):
                place = await authz.load(session, by, repo, commit=self.commit)
                if release.held_at or release.withdrawn_at:
                    for action in (Action.DOWNLOAD, Action.READ_SMALL, Action.GENERATE, Action.REDISTRIBUTE):
                        assert not authz.decide(POLICIES, by, action, place, now()), "what is held is never served"
        _every_change_has_its_event(release, [event for event in events if event.subject_id == release.id])
        _every_proposal_has_its_events(proposals, events)
        _nothing_rises_by_what_was_said_before(events)

    def teardown(self) -> None:
        if hasattr(self, "people"):
            self._leave()
        super().teardown()

    def _leave(self) -> None:
        """From wherever a walk has led, but a tombstone, maintainers and the hub can bring a release on."""
        if self.run(self._release()).withdrawn_at is not None:
            return
        self.resume(is_hub=True)
        if self.run(self._release()).embargoed_until is not None:
            self._end_what_is_open()
            self._change(self.people["third"], Act.LIFT, None)
        self._end_what_is_open()
        if self.run(self._release()).stage is Stage.DRAFT:
            self.propose(who="second", up=1, is_made_ready=False)
            self.promote(who="second")
            assert self.run(self._release()).stage is Stage.INTERNAL
        else:
            self._change(self.people["third"], Act.DEMOTE, Stage.DRAFT)
            assert self.run(self._release()).stage is Stage.DRAFT
        last = self.run(self._release())
        assert (last.held_at, last.embargoed_until) == (None, None)

    def _end_what_is_open(self) -> None:
        for proposal in self.run(self._proposals()):
            self.do(
                lambda session, _, proposal=proposal: releases.close_proposal(  # type: ignore[misc]
                    session, proposal, by=self.people["third"], reason="No."
                )
            )


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
    assert sum(each.act is Act.PROMOTE and each.state is ProposalState.OPEN for each in proposals) <= 1
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


def test_any_order_of_acts_keeps_the_ladder_whole(template: Path) -> None:
    walk(Releases, template, examples=int(os.environ.get("RELEASES_EXAMPLES", "5")), steps=25)
