import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import organizations
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.accounts.tables import Person, Role
from gatekeeper.errors import Conflict, Invalid, NotAllowed
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import Repo, RepoKind, catalogue, find_by_any_name, key_of, move

pytestmark = pytest.mark.anyio
MODEL = RepoKind.MODEL


async def find_moved(session: AsyncSession, kind: RepoKind, full_name: str) -> Repo | None:
    """The repository that only had this name."""
    found = await find_by_any_name(session, kind, full_name)
    return None if found is None or found.key == key_of(kind, full_name) else found


async def test_a_moved_repository_has_the_new_name_and_is_found_by_the_old(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    await move(session, repo, "Ada", "Renamed", by=ada)
    assert repo.full_name == "ada/Renamed"
    assert await catalogue.find(session, MODEL, "ada/demo") is None
    assert await find_moved(session, MODEL, "ADA/Demo") is repo
    assert await find_moved(session, RepoKind.DATASET, "ada/demo") is None
    assert await catalogue.find(session, MODEL, "ada/renamed") is repo


async def test_a_name_that_is_used_again_leads_nowhere_else(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await move(session, repo, "ada", "second", by=ada)
    await move(session, repo, "ada", "third", by=ada)
    assert await find_moved(session, MODEL, "ada/demo") is repo
    other = await catalogue.create(session, MODEL, "ada", "DEMO", by=ada)
    assert await find_moved(session, MODEL, "ada/demo") is None
    assert await catalogue.find(session, MODEL, "ada/demo") is other
    await move(session, other, "ada", "second", by=ada)
    assert await find_moved(session, MODEL, "ada/second") is None
    assert await find_moved(session, MODEL, "ada/demo") is other


async def test_moving_back_leaves_the_other_name_behind(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await move(session, repo, "ada", "second", by=ada)
    await move(session, repo, "ada", "demo", by=ada)
    assert await find_moved(session, MODEL, "ada/demo") is None
    assert await find_moved(session, MODEL, "ada/second") is repo


async def test_only_the_case_may_change(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await move(session, repo, "ada", "Demo", by=ada)
    assert await catalogue.find(session, MODEL, "ada/demo") is repo
    assert await find_moved(session, MODEL, "ada/demo") is None
    with pytest.raises(Invalid, match="already"):
        await move(session, repo, "ada", "Demo", by=ada)


async def test_names_of_a_deleted_repository_lead_nowhere(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await move(session, repo, "ada", "second", by=ada)
    await catalogue.delete(session, repo, by=ada)
    assert await find_moved(session, MODEL, "ada/demo") is None


async def test_a_taken_name_is_a_conflict_and_changes_nothing(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    await catalogue.create(session, MODEL, "ada", "Taken", by=ada)
    with pytest.raises(Conflict, match="A model repository called ada/taken already exists"):
        await move(session, repo, "ada", "taken", by=ada)
    assert repo.full_name == "ada/demo"
    assert await catalogue.find(session, MODEL, "ada/demo") is repo
    assert await find_moved(session, MODEL, "ada/demo") is None


async def test_other_peoples_namespaces_are_refused_alike_whatever_lies_there(
    session: AsyncSession, repo: Repo, ada: Principal, grace: Principal
) -> None:
    await catalogue.create(session, MODEL, "grace", "secret", by=grace, private=True)
    told = set()
    for namespace, name in (("grace", "secret"), ("grace", "nothing"), ("nobody", "secret"), ("grace", "..")):
        with pytest.raises(NotAllowed) as caught:
            await move(session, repo, namespace, name, by=ada)
        told.add(caught.value.message.replace("nobody", "grace"))
    assert len(told) == 1
    assert repo.full_name == "ada/demo"


async def test_rights_follow_the_new_owner_and_none_stay_behind(
    session: AsyncSession, repo: Repo, ada: Principal, grace: Principal
) -> None:
    lab = await organizations.create(session, "lab", by=OPERATOR)
    person = await session.get(Person, ada.person_id)
    assert person is not None
    await organizations.add_member(session, lab, person, Role.WRITE, by=OPERATOR)
    ada = Principal(person_id=ada.person_id, name="ada", organizations={lab.id: Role.WRITE})
    await move(session, repo, "lab", "demo", by=ada)
    assert catalogue.role_of(ada, repo) is Role.WRITE  # no longer as its owner
    admin = Principal(person_id=grace.person_id, name="grace", organizations={lab.id: Role.ADMIN})
    await move(session, repo, "grace", "demo", by=admin)
    assert catalogue.role_of(ada, repo) is None
    assert repo.owner_organization_id is None
    assert catalogue.role_of(grace, repo) is Role.ADMIN


async def test_a_move_is_recorded_by_ids_of_owners_only(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await move(session, repo, "ada", "second", by=ada)
    await session.flush()
    event = (await session.scalars(sa.select(LedgerEvent).where(LedgerEvent.kind == "repos:repo:move"))).one()
    assert event.repo_id == repo.id
    assert event.body == {"before": {"owner": ada.person_id}, "after": {"owner": ada.person_id}}
