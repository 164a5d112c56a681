import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Principal
from gatekeeper.community import Discussion, EventKind, Filter, Status, acts, discussions, moderation, pulls, writing
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, TooLarge, TooMany
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import AddFile, Repo, Store, history

pytestmark = pytest.mark.anyio


async def kinds(session: AsyncSession) -> list[str]:
    rows = await session.scalars(sa.select(LedgerEvent))
    return sorted(row.kind for row in rows if row.kind.startswith("community:"))


async def opened(session: AsyncSession, repo: Repo, by: Principal, title: str = "A question") -> Discussion:
    return await discussions.open_discussion(session, repo, title=title, text="What is it?", by=by)


async def test_numbers_run_over_discussions_and_pull_requests(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal
) -> None:
    base = await history.resolve_revision(session, repo, "main")
    first = await opened(session, repo, bob)
    second = await pulls.open_pull(session, repo, title="A change", text="", by=bob, base=base)
    third = await opened(session, repo, ada)
    assert [row.num for row in (first, second, third)] == [1, 2, 3]
    rows, count = await discussions.listing(session, repo, Filter(status="open"))
    assert ([row.num for row in rows], count) == ([3, 2, 1], 3)
    rows, count = await discussions.listing(session, repo, Filter(kind="pull_request"))
    assert ([row.num for row in rows], count) == ([2], 1)
    rows, count = await discussions.listing(session, repo, Filter(author="BOB"), limit=1, start=1)
    assert ([row.num for row in rows], count) == ([1], 2)


async def test_events_stand_in_the_order_in_which_they_happened(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal
) -> None:
    found = await opened(session, repo, bob)
    answer = await acts.comment(session, repo, found, "It is a model.", by=ada)
    await acts.edit(session, repo, found, answer.id.upper(), "It is a *model*.", by=ada)
    await acts.rename(session, repo, found, "What is  it?", by=bob, moderates=False)
    await acts.set_status(session, repo, 1, "closed", by=ada, moderates=True, text="Answered.")
    await session.flush()
    thread = await discussions.thread(session, found)
    assert [entry.event.kind for entry in thread.entries] == [
        EventKind.COMMENT, EventKind.COMMENT, EventKind.TITLE, EventKind.COMMENT, EventKind.STATUS
    ]  # fmt: skip
    assert [text.text for text in thread.entries[1].versions] == ["It is a model.", "It is a *model*."]
    assert thread.entries[2].event.data == {"from": "A question", "to": "What is it?"}
    assert thread.name_of(bob.person_id) == "bob"
    assert found.status is Status.CLOSED
    assert await kinds(session) == [
        "community:comment:edit",
        *["community:comment:write"] * 3,
        "community:discussion:open",
        "community:discussion:rename",
        "community:discussion:status",
    ]


async def test_what_was_written_is_not_in_the_evidence(session: AsyncSession, repo: Repo, bob: Principal) -> None:
    await discussions.open_discussion(session, repo, title="A title of mine", text="Words of mine, @ada", by=bob)
    rows = (await session.scalars(sa.select(LedgerEvent))).all()
    assert not [row for row in rows if "mine" in str(row.body)]


async def test_only_the_author_edits_and_moderators_hide(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal
) -> None:
    found = await opened(session, repo, bob)
    theirs = (await discussions.thread(session, found)).entries[0].event
    with pytest.raises(NotAllowed):
        await acts.edit(session, repo, found, theirs.id, "Other words", by=ada)
    answer = await acts.comment(session, repo, found, "An answer", by=ada)
    with pytest.raises(NotAllowed):
        await acts.hide(session, repo, found, answer.id, by=bob, moderates=False)
    await acts.hide(session, repo, found, theirs.id, by=ada, moderates=True)
    with pytest.raises(Conflict):
        await acts.hide(session, repo, found, theirs.id, by=bob, moderates=False)
    with pytest.raises(Conflict):
        await acts.edit(session, repo, found, theirs.id, "Again", by=bob)
    with pytest.raises(NotFound):
        await acts.hide(session, repo, found, "0" * 26, by=ada, moderates=True)


async def test_a_comment_is_not_reached_through_another_discussion(
    session: AsyncSession, repo: Repo, bob: Principal
) -> None:
    first, second = await opened(session, repo, bob), await opened(session, repo, bob)
    theirs = (await discussions.thread(session, first)).entries[0].event
    with pytest.raises(NotFound):
        await acts.edit(session, repo, second, theirs.id, "Words", by=bob)


@pytest.mark.parametrize("title", ["", "ab", " a ", "a" * 201, "one\u202etwo"], ids=ascii)
async def test_titles_that_say_nothing_or_hide_something_are_refused(
    session: AsyncSession, repo: Repo, bob: Principal, title: str
) -> None:
    with pytest.raises(Invalid):
        await opened(session, repo, bob, title)


async def test_comments_have_a_length_and_a_pace(
    session: AsyncSession, repo: Repo, bob: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await opened(session, repo, bob)
    with pytest.raises(TooLarge):
        await acts.comment(session, repo, found, "a" * (writing.MAX_COMMENT_CHARS + 1), by=bob)
    for text in (" \n ", "a\0b", "\ud800"):
        with pytest.raises(Invalid):
            await acts.comment(session, repo, found, text, by=bob)
    monkeypatch.setattr(writing, "MAX_EVENTS_AN_HOUR", 2)
    await acts.comment(session, repo, found, "second", by=bob)
    with pytest.raises(TooMany):
        await acts.comment(session, repo, found, "third", by=bob)


async def test_who_is_mentioned_is_recorded_once(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal
) -> None:
    found = await opened(session, repo, bob)
    text = "Hello @Ada and @ada, not me@bob.org, not `@bob`, nor @nobody."
    made = await acts.comment(session, repo, found, text, by=bob)
    await session.flush()
    await acts.edit(session, repo, found, made.id, f"{text} Greetings to @bob.", by=bob)
    rows = await session.scalars(sa.select(LedgerEvent))
    mentioned = sorted(row.subject_id or "" for row in rows if row.kind == "community:person:mention")
    assert mentioned == sorted([ada.person_id or "", bob.person_id or ""])


async def test_a_status_is_changed_once_and_by_its_people(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal
) -> None:
    await opened(session, repo, bob)
    with pytest.raises(Conflict):
        await acts.set_status(session, repo, 1, "open", by=bob, moderates=False)
    with pytest.raises(NotAllowed):
        await acts.set_status(session, repo, 1, "closed", by=ada, moderates=False)
    with pytest.raises(Invalid):
        await acts.set_status(session, repo, 1, "merged", by=bob, moderates=True)
    for num in ("2", "0", "-1", "1e3", "9" * 30, "١"):
        with pytest.raises(NotFound):
            await acts.set_status(session, repo, num, "closed", by=bob, moderates=True)


async def test_in_a_locked_discussion_only_moderators_write(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal
) -> None:
    found = await opened(session, repo, bob)
    own = await acts.comment(session, repo, found, "More words", by=bob)
    await moderation.lock(session, repo, found, True, by=ada)

    for refused in (
        lambda: acts.comment(session, repo, found, "Again", by=bob),
        lambda: acts.edit(session, repo, found, own.id, "Other words", by=bob),
        lambda: acts.rename(session, repo, found, "Another title", by=bob, moderates=False),
        lambda: acts.set_status(session, repo, found.num, "closed", by=bob, moderates=False),
    ):
        with pytest.raises(NotAllowed, match="locked"):
            await refused()
    await acts.comment(session, repo, found, "The last word", by=ada, moderates=True)
    with pytest.raises(Conflict, match="is locked"):
        await moderation.lock(session, repo, found, True, by=ada)
    await moderation.lock(session, repo, found, False, by=ada)
    await acts.comment(session, repo, found, "Again", by=bob)
    assert (await kinds(session)).count("community:discussion:lock") == 2


async def test_nothing_is_added_to_a_locked_pull_request(
    session: AsyncSession, repo: Repo, ada: Principal, bob: Principal, store: Store
) -> None:
    base = await history.resolve_revision(session, repo, "main")
    pull = await pulls.open_pull(session, repo, title="A change", text="", by=bob, base=base)
    await moderation.lock(session, repo, pull, True, by=ada)
    files = [AddFile("new.txt", b"new")]
    with pytest.raises(NotAllowed, match="locked"):
        await pulls.commit(session, repo, pull, files, summary="New", by=bob, store=store, may_write=False)
    await pulls.commit(session, repo, pull, files, summary="New", by=ada, store=store, may_write=True)


async def test_pinned_discussions_stand_first_and_are_few(session: AsyncSession, repo: Repo, ada: Principal) -> None:
    made = [await opened(session, repo, ada) for _ in range(moderation.MOST_PINNED + 2)]
    for found in made[: moderation.MOST_PINNED]:
        await moderation.pin(session, repo, found, True, by=ada)
    with pytest.raises(Conflict, match="At most"):
        await moderation.pin(session, repo, made[-1], True, by=ada)
    await moderation.pin(session, repo, made[0], False, by=ada)
    rows, _ = await discussions.listing(session, repo, Filter())
    assert [row.num for row in rows] == [3, 2, 5, 4, 1]
