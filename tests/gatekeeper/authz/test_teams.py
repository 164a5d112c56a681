"""Rights through teams: what they open, and that nothing of them stays behind."""

from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import repos
from gatekeeper.access.deciding import reviewers
from gatekeeper.accounts import OPERATOR, Organization, Person, Role, organizations, people, principals, teams
from gatekeeper.accounts.team_tables import Team
from gatekeeper.authz import Action, Policies, decide, load, visible
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.releases.approvals import maintainers
from gatekeeper.repos import Repo, RepoKind, team_rights

pytestmark = pytest.mark.anyio


@dataclass
class Lab:
    """An organization that grace administrates, with the guest tim in a team that writes to one of two models."""

    session: AsyncSession
    policies: Policies
    organization: Organization
    team: Team
    grace: Person
    tim: Person
    repo: Repo
    other: Repo

    async def may(self, action: Action, repo: Repo | None = None) -> bool:
        """Whether tim may do this, as he stands now."""
        me = await principals.for_person(self.session, self.tim)
        facts = await load(self.session, me, repo or self.repo)
        known = await visible(self.session, self.policies, me, None, instant=now())
        may = bool(decide(self.policies, me, action, facts, now()))
        assert action is not Action.KNOW or may == ((repo or self.repo) in known)
        return may


@pytest.fixture
async def lab(session: AsyncSession, policies: Policies) -> Lab:
    grace, tim = [await people.add(session, name, email=f"{name}@example.org") for name in ("grace", "tim")]
    organization = await organizations.create(session, "lab", by=await principals.for_person(session, grace))
    by = await principals.for_person(session, grace)
    await organizations.add_member(session, organization, tim, Role.GUEST, by=by)
    made = [await repos.create(session, RepoKind.MODEL, "lab", name, by=by, private=True) for name in ("one", "two")]
    team = await teams.create(session, organization, "draughtsmen", by=by)
    await teams.add(session, organization, team, tim, by=by)
    await team_rights.give(session, organization, team, made[0], Role.WRITE, by=by)
    return Lab(session, policies, organization, team, grace, tim, *made)


async def test_a_team_opens_what_it_was_given_and_nothing_beside(lab: Lab) -> None:
    assert await lab.may(Action.KNOW)
    assert await lab.may(Action.WRITE)
    assert not await lab.may(Action.MANAGE)
    assert not await lab.may(Action.KNOW, lab.other)
    assert await reviewers(lab.session, lab.repo) >= {lab.tim.id}
    assert lab.tim.id not in await maintainers(lab.session, lab.repo)

    await team_rights.give(lab.session, lab.organization, lab.team, lab.repo, Role.ADMIN, by=OPERATOR)
    assert await lab.may(Action.MANAGE)
    assert lab.tim.id in await maintainers(lab.session, lab.repo)

    await team_rights.give(lab.session, lab.organization, lab.team, lab.repo, Role.READ, by=OPERATOR)
    assert await lab.may(Action.KNOW)
    assert not await lab.may(Action.WRITE)


async def test_a_role_of_a_member_is_not_made_less_by_a_team(lab: Lab) -> None:
    await organizations.add_member(lab.session, lab.organization, lab.tim, Role.ADMIN, by=OPERATOR)
    assert await lab.may(Action.MANAGE)


async def left_the_team(lab: Lab) -> None:
    me = await principals.for_person(lab.session, lab.tim)
    await teams.remove(lab.session, lab.organization, lab.team, lab.tim, by=me)


async def lost_the_right(lab: Lab) -> None:
    await team_rights.take(lab.session, lab.organization, lab.team, lab.repo, by=OPERATOR)


async def team_deleted(lab: Lab) -> None:
    await teams.delete(lab.session, lab.organization, lab.team, by=OPERATOR)


async def left_and_came_back(lab: Lab) -> None:
    await organizations.remove_member(lab.session, lab.organization, lab.tim, by=OPERATOR)
    await organizations.add_member(lab.session, lab.organization, lab.tim, Role.GUEST, by=OPERATOR)


async def transferred_and_back(lab: Lab) -> None:
    grace = await principals.for_person(lab.session, lab.grace)
    await repos.move(lab.session, lab.repo, "grace", "one", by=grace)
    assert not await lab.may(Action.KNOW)
    await repos.move(lab.session, lab.repo, "lab", "one", by=grace)


async def deleted_and_made_anew(lab: Lab) -> None:
    grace = await principals.for_person(lab.session, lab.grace)
    await repos.delete(lab.session, lab.repo, by=grace)
    lab.repo = await repos.create(lab.session, RepoKind.MODEL, "lab", "one", by=grace, private=True)


@pytest.mark.parametrize(
    "happens",
    [left_the_team, lost_the_right, team_deleted, left_and_came_back, transferred_and_back, deleted_and_made_anew],
)
async def test_what_is_removed_transferred_or_made_anew_leaves_no_right_of_a_team(lab: Lab, happens) -> None:
    assert await lab.may(Action.WRITE)

    await happens(lab)
    await lab.session.flush()

    assert not await lab.may(Action.KNOW)
    assert not await lab.may(Action.WRITE)


async def test_a_renamed_repository_keeps_its_team_and_its_old_name_gives_nothing(lab: Lab) -> None:
    grace = await principals.for_person(lab.session, lab.grace)
    await repos.move(lab.session, lab.repo, "lab", "renamed", by=grace)
    anew = await repos.create(lab.session, RepoKind.MODEL, "lab", "one", by=grace, private=True)

    assert await lab.may(Action.WRITE)
    assert not await lab.may(Action.KNOW, anew)


async def test_only_administrators_change_teams_and_only_with_members_and_own_repositories(lab: Lab) -> None:
    grace = await principals.for_person(lab.session, lab.grace)
    tim = await principals.for_person(lab.session, lab.tim)
    eve = await people.add(lab.session, "eve", email="eve@example.org")
    foreign = await repos.create(lab.session, RepoKind.MODEL, "grace", "hers", by=grace)

    with pytest.raises(NotAllowed):
        await team_rights.give(lab.session, lab.organization, lab.team, lab.repo, Role.ADMIN, by=tim)
    with pytest.raises(NotAllowed):
        await teams.create(lab.session, lab.organization, "mine", by=tim)
    with pytest.raises(Conflict):
        await teams.add(lab.session, lab.organization, lab.team, eve, by=grace)
    with pytest.raises(Conflict):
        await team_rights.give(lab.session, lab.organization, lab.team, foreign, Role.READ, by=grace)


async def test_who_hands_the_administration_over_keeps_the_lesser_role(lab: Lab) -> None:
    grace = await principals.for_person(lab.session, lab.grace)
    await organizations.add_member(lab.session, lab.organization, lab.tim, Role.ADMIN, by=grace)
    await organizations.add_member(lab.session, lab.organization, lab.grace, Role.READ, by=grace)

    with pytest.raises(NotAllowed):  # with what she knew before, too
        await organizations.add_member(lab.session, lab.organization, lab.grace, Role.ADMIN, by=grace)
    assert lab.grace.id not in await maintainers(lab.session, lab.repo)
