"""Which repositories there are, whose they are, and how they are found."""

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.accounts.tables import Namespace, Organization, Role
from gatekeeper.errors import Conflict, Invalid, NotAllowed, RepoNotFound
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.repos import Gate, Repo, RepoKind, catalogue, history

pytestmark = pytest.mark.anyio


async def test_a_new_repository_has_the_first_commit_of_the_public_hub(session: AsyncSession, repo: Repo) -> None:
    head = await history.resolve_revision(session, repo, "main")
    [commit] = await history.commits(session, repo, "main")
    [entry] = await history.tree(session, repo, head)

    assert (commit.oid, commit.title, commit.author) == (head, "initial commit", "ada")
    assert entry.path == ".gitattributes"
    assert b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n" in await history.read_blob(session, repo, entry.oid)


async def test_creation_is_recorded(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await session.flush()
    event = (await session.scalars(sa.select(LedgerEvent))).one()
    assert (event.kind, event.actor_id, event.repo_id) == ("repos:repo:create", ada.person_id, repo.id)


async def test_a_repository_is_found_whatever_the_case(session: AsyncSession, repo: Repo) -> None:
    found = await catalogue.require(session, RepoKind.MODEL, "Ada/DEMO")
    assert found.full_name == "ada/demo"
    assert await catalogue.find(session, RepoKind.DATASET, "ada/demo") is None


@pytest.mark.parametrize("name", ["ada/nothing", "ada", "", "ada/demo\0", "ada/\ud800", "x" * 400, "ada/demo/main"])
async def test_a_missing_repository_is_not_found(session: AsyncSession, repo: Repo, name: str) -> None:
    with pytest.raises(RepoNotFound):
        await catalogue.require(session, RepoKind.MODEL, name)


async def test_creating_it_again_is_a_conflict_that_names_it(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    with pytest.raises(Conflict) as refused:
        await catalogue.create(session, RepoKind.MODEL, "ada", "DEMO", by=ada)
    assert refused.value.details["full_name"] == "ada/demo"


@pytest.mark.parametrize(
    "name",
    ["", "a" * 97, "a--b", "a..b", ".a", "a.", "-a", "a-", "a.git", "a.GIT", "a/b", "a b", "é", "a\n", "..", "a\0"],
)
async def test_a_bad_name_is_refused(session: AsyncSession, ada: Principal, name: str) -> None:
    with pytest.raises(Invalid):
        await catalogue.create(session, RepoKind.MODEL, "ada", name, by=ada)


@pytest.mark.parametrize("name", ["a", "a" * 96, "a_b", "a.b", "a-b", "_a", "Stable-Diffusion.v1_5"])
async def test_a_good_name_is_taken(session: AsyncSession, ada: Principal, name: str) -> None:
    assert (await catalogue.create(session, RepoKind.MODEL, "ada", name, by=ada)).name == name


async def test_nobody_creates_in_a_foreign_or_unknown_namespace(
    session: AsyncSession, ada: Principal, grace: Principal
) -> None:
    texts = set()
    for namespace in ("ada", "nobody"):
        with pytest.raises(NotAllowed) as refused:
            await catalogue.create(session, RepoKind.MODEL, namespace, "x", by=grace)
        texts.add(refused.value.message.replace(namespace, "…"))
    assert len(texts) == 1  # a namespace that exists is refused like one that does not
    with pytest.raises(NotAllowed):
        await catalogue.create(session, RepoKind.MODEL, "ada", "x", by=ANONYMOUS)


@pytest.mark.parametrize(("role", "may"), [(Role.ADMIN, True), (Role.WRITE, True), (Role.READ, False)])
async def test_an_organization_role_decides_who_creates(
    session: AsyncSession, ada: Principal, role: Role, may: bool
) -> None:
    org = Organization(name="lab", name_key="lab")
    session.add(org)
    await session.flush()
    session.add(Namespace(key="lab", name="lab", skeleton="lab", organization_id=org.id))
    await session.flush()
    member = Principal(person_id=ada.person_id, name="ada", organizations={org.id: role})
    if may:
        repo = await catalogue.create(session, RepoKind.MODEL, "Lab", "x", by=member)
        assert catalogue.role_of(member, repo) is role
        assert catalogue.role_of(ada, repo) is None
    else:
        with pytest.raises(NotAllowed):
            await catalogue.create(session, RepoKind.MODEL, "Lab", "x", by=member)


async def test_only_the_owner_has_a_role_in_a_persons_repository(repo: Repo, ada: Principal, grace: Principal) -> None:
    assert catalogue.role_of(ada, repo) is Role.ADMIN
    assert catalogue.role_of(grace, repo) is None
    assert catalogue.role_of(ANONYMOUS, repo) is None
    assert catalogue.role_of(Principal(person_id="x", is_admin=True), repo) is None


async def test_settings_change_what_is_given(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    await catalogue.update_settings(session, repo, gate=Gate.MANUAL, by=ada)
    assert (repo.gate, repo.is_private) == (Gate.MANUAL, False)
    repo.is_staged = True
    with pytest.raises(Invalid):
        await catalogue.update_settings(session, repo, private=True, by=ada)


async def test_a_deleted_repository_is_gone_and_its_name_is_free(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    await catalogue.delete(session, repo, by=ada)
    assert await catalogue.find(session, RepoKind.MODEL, "ada/demo") is None
    assert await catalogue.by_id(session, repo.id) is None
    again = await catalogue.create(session, RepoKind.MODEL, "ada", "demo", by=ada)
    assert again.id != repo.id


async def test_the_listing_searches_pages_and_keeps_to_what_is_visible(session: AsyncSession, ada: Principal) -> None:
    for name in ("cat-1", "cat_2", "cat-3", "dog"):
        await catalogue.create(session, RepoKind.MODEL, "ada", name, by=ada, private=name == "cat-3")
    public = Repo.is_private == sa.false()
    seen, after = [], None
    while page := await catalogue.listing(
        session, RepoKind.MODEL, visible=public, search="Ada t-", author="ADA", sort="created_at", after=after, limit=1
    ):
        seen.append(page[0].name)
        after = page[0].id
    assert seen == ["cat_2", "cat-1"]
    assert len(await catalogue.listing(session, RepoKind.MODEL, visible=public, search="CAT_")) == 2
    for odd in ("c%t", "cat\0", "\ud800", "x" * 999):
        assert await catalogue.listing(session, RepoKind.MODEL, visible=public, search=odd) == []
