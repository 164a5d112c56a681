import copy
import dataclasses
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger, licensing
from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, NotSignedIn
from gatekeeper.kit.canonical import canonical_json, digest_of
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing import Terms
from gatekeeper.licensing.tables import Acceptance, AcceptanceSource
from gatekeeper.repos import Repo
from tests.gatekeeper.licensing.builders import (
    ANSWERS,
    LICENSE,
    accept_terms,
    commit_files,
    events,
    make_person,
    make_repo,
)

pytestmark = pytest.mark.anyio

KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
async def ada(session: AsyncSession) -> Principal:
    return await make_person(session, "ada")


@pytest.fixture
async def offer(session: AsyncSession) -> tuple[Repo, Terms]:
    repo, commit = await make_repo(session, await make_person(session))
    terms = await licensing.terms_for(session, repo, commit)
    assert terms is not None
    return repo, terms


async def test_page_acceptance_gives_a_receipt_that_verifies_offline(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    shown = await licensing.present(session, ada, repo, terms)
    with ledger.working("portal", policy=lambda: "a" * 64):
        made = await licensing.accept(
            session,
            ada,
            repo,
            terms,
            texts=list(terms.texts),
            presentation_id=shown.id,
            method="page",
            key=KEY,
            fields=ANSWERS,
        )
    verdict = licensing.verify_receipt(licensing.read_receipt(canonical_json(made.receipt)), KEY.public)
    assert verdict.is_valid
    statement = verdict.statement
    assert statement is not None
    assert statement["person"] == {"id": ada.person_id, "name": "ada"}
    assert [text["sha256"] for text in statement["texts"]] == list(terms.texts)
    assert statement["presentation"]["sha256"] == shown.shown_sha256
    assert (statement["repository"], statement["commit"]) == (repo.full_name, terms.commit_id)
    assert (statement["method"], statement["policy_sha256"]) == ("page", "a" * 64)
    assert statement["answers"]["sha256"] == digest_of({"answers": ANSWERS, "salt": statement["answers"]["salt"]})
    [event] = await events(session, "licensing:terms:accept")
    assert made.receipt["event"] == event.id
    assert event.body["statement_sha256"] == digest_of(statement)
    assert "ada" not in str(event.body)


async def test_any_change_of_the_receipt_is_detected(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    shown = await licensing.present(session, ada, repo, terms)
    made = await licensing.accept(
        session, ada, repo, terms, texts=list(terms.texts), presentation_id=shown.id, method="page", key=KEY
    )
    places = list(_leaves(made.receipt))
    assert len(places) > 15
    for place in places:
        changed = copy.deepcopy(made.receipt)
        _change(changed, place)
        verdict = licensing.verify_receipt(changed, KEY.public)
        assert not verdict.is_valid, place
        assert verdict.problem
        removed = copy.deepcopy(made.receipt)
        _remove(removed, place)
        assert not licensing.verify_receipt(removed, KEY.public).is_valid, place
    added = made.receipt | {"statement": made.receipt["statement"] | {"note": "more"}}
    assert not licensing.verify_receipt(added, KEY.public).is_valid


async def test_every_byte_of_the_receipt_file_counts(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    data = canonical_json((await accept_terms(session, ada, repo, terms, KEY)).receipt)
    for position in range(len(data)):
        for other in (data[position] ^ 1, data[position] ^ 0x20):
            changed = data[:position] + bytes([other]) + data[position + 1 :]
            try:
                receipt = licensing.read_receipt(changed)
            except Invalid:
                continue
            assert not licensing.verify_receipt(receipt, KEY.public).is_valid, (position, changed[position])


@pytest.mark.parametrize("receipt", [None, [], "x", {}, {"format": "x"}, {"statement": 1}])
def test_what_is_no_receipt_is_told_so(receipt: object) -> None:
    assert "not a receipt" in licensing.verify_receipt(receipt, KEY.public).problem


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[" * 100_000, b"x" * 2**21]
)
def test_file_that_is_no_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        licensing.read_receipt(data)


async def test_another_key_does_not_verify(session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]) -> None:
    repo, terms = offer
    made = await accept_terms(session, ada, repo, terms, KEY)
    other = SigningKey(Ed25519PrivateKey.generate())
    assert "signing key" in licensing.verify_receipt(made.receipt, other.public).problem


async def test_api_acceptance_names_every_text(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    for texts, says in [([], "was not accepted"), (["0" * 64, *terms.texts], "not part of the present terms")]:
        with pytest.raises(Invalid, match=says) as refused:
            await licensing.accept(session, ada, repo, terms, texts=texts, method="api", key=KEY)
        assert refused.value.status == 422
        assert refused.value.details["texts"]
    for texts in ("all", [7], None):
        with pytest.raises(Invalid):
            await licensing.accept(session, ada, repo, terms, texts=texts, method="api", key=KEY)  # type: ignore[arg-type]
    assert await licensing.current_acceptance(session, ada.person_id, terms) is None


@pytest.mark.parametrize("method", ["page", "terminal"])
async def test_page_needs_a_presentation(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms], method: str
) -> None:
    repo, terms = offer
    with pytest.raises(Invalid, match="not shown"):
        await licensing.accept(session, ada, repo, terms, texts=list(terms.texts), method=method, key=KEY)


async def test_presentation_of_somebody_else_does_not_serve(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    shown = await licensing.present(session, await make_person(session), repo, terms)
    for presentation_id in (shown.id, "unknown"):
        with pytest.raises(Invalid, match="not issued to you"):
            await licensing.accept(
                session,
                ada,
                repo,
                terms,
                texts=list(terms.texts),
                presentation_id=presentation_id,
                method="page",
                key=KEY,
            )


async def test_presentation_of_other_terms_does_not_serve(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    shown = await licensing.present(session, ada, repo, terms)
    owner = Principal(person_id=repo.owner_person_id, name=repo.namespace)
    commit = await commit_files(session, repo, {"LICENSE": b"Another license."}, by=owner)
    changed = await licensing.terms_for(session, repo, commit)
    assert changed is not None
    with pytest.raises(Conflict, match="have changed"):
        await licensing.accept(
            session, ada, repo, changed, texts=list(changed.texts), presentation_id=shown.id, method="page", key=KEY
        )


@pytest.mark.parametrize(
    ("age", "is_good"), [(timedelta(hours=24) - timedelta(seconds=1), True), (timedelta(hours=24), False)]
)
async def test_presentation_lives_24_hours(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms], age: timedelta, is_good: bool
) -> None:
    repo, terms = offer
    start = now()
    with time_machine.travel(start, tick=False):
        shown = await licensing.present(session, ada, repo, terms)
    with time_machine.travel(start + age, tick=False):
        accepting = licensing.accept(
            session, ada, repo, terms, texts=list(terms.texts), presentation_id=shown.id, method="page", key=KEY
        )
        if is_good:
            assert (await accepting).accepted_at == now()
        else:
            with pytest.raises(Invalid, match="24 hours"):
                await accepting


async def test_page_must_hold_every_text_in_full(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    with pytest.raises(Invalid, match="in full"):
        await licensing.present(session, ada, repo, terms, shown="Test Open RAIL-M. Click here.")
    shown = await licensing.present(session, ada, repo, terms, shown=f"Read this:\n\n{LICENSE.decode()}\n[ ] I accept")
    assert [event.body["shown_sha256"] for event in await events(session, "licensing:terms:present")] == [
        shown.shown_sha256
    ]


async def test_nobody_signed_in_accepts_nothing(session: AsyncSession, offer: tuple[Repo, Terms]) -> None:
    repo, terms = offer
    with pytest.raises(NotSignedIn):
        await licensing.present(session, ANONYMOUS, repo, terms)
    with pytest.raises(NotSignedIn):
        await accept_terms(session, ANONYMOUS, repo, terms, KEY)
    assert await licensing.current_acceptance(session, None, terms) is None


async def test_a_service_account_accepts_nothing(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    service = dataclasses.replace(ada, is_service=True)
    with pytest.raises(NotAllowed, match="never by a service account"):
        await licensing.present(session, service, repo, terms)
    with pytest.raises(NotAllowed, match="never by a service account"):
        await accept_terms(session, service, repo, terms, KEY)
    assert await licensing.current_acceptance(session, ada.person_id, terms) is None


async def test_unknown_method_is_refused(session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]) -> None:
    repo, terms = offer
    with pytest.raises(Invalid, match="download"):
        await licensing.accept(session, ada, repo, terms, texts=list(terms.texts), method="download", key=KEY)


async def test_accepting_twice_is_one_acceptance(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    first = await accept_terms(session, ada, repo, terms, KEY)
    assert await accept_terms(session, ada, repo, terms, KEY) is first
    assert len(await events(session, "licensing:terms:accept")) == 1


async def test_acceptance_holds_for_one_repository_and_its_unchanged_text(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    owner = Principal(person_id=repo.owner_person_id, name=repo.namespace)
    made = await accept_terms(session, ada, repo, terms, KEY)
    other, commit = await make_repo(session, await make_person(session))
    same_text = await licensing.terms_for(session, other, commit)
    commit = await commit_files(session, repo, {"README.md": b"---\nextra_gated_fields:\n  Why: text\n---\n"}, by=owner)
    other_form = await licensing.terms_for(session, repo, commit)
    commit = await commit_files(session, repo, {"LICENSE": LICENSE + b"More.\n"}, by=owner)
    other_text = await licensing.terms_for(session, repo, commit)
    assert same_text is not None
    assert other_form is not None
    assert other_text is not None
    assert same_text.sha256 == terms.sha256
    assert await licensing.current_acceptance(session, ada.person_id, terms) is made
    assert await licensing.current_acceptance(session, ada.person_id, other_form) is made
    assert await licensing.current_acceptance(session, ada.person_id, same_text) is None
    assert await licensing.current_acceptance(session, ada.person_id, other_text) is None


async def test_withdrawn_acceptance_counts_no_more(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    made = await accept_terms(session, ada, repo, terms, KEY)
    with pytest.raises(NotAllowed):
        await licensing.withdraw_acceptance(session, await make_person(session), made)
    await licensing.withdraw_acceptance(session, ada, made)
    assert await licensing.current_acceptance(session, ada.person_id, terms) is None
    with pytest.raises(Conflict):
        await licensing.withdraw_acceptance(session, ada, made)
    again = await accept_terms(session, ada, repo, terms, KEY)
    assert again.id != made.id
    assert [row.id for row in await licensing.acceptances_of(session, ada.person_id or "")] == [again.id, made.id]
    assert len(await events(session, "licensing:terms:withdraw")) == 1


async def test_withdrawing_ends_every_acceptance_of_that_repository_and_no_other(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    first = await accept_terms(session, ada, repo, terms, KEY)
    claim = dataclasses.replace(licensing.BY_API, institution="Institute", has_authority=True)
    second = await licensing.accept(session, ada, repo, terms, texts=terms.texts, method="api", key=KEY, act=claim)
    elsewhere, commit = await make_repo(session, await make_person(session))
    others = await licensing.terms_for(session, elsewhere, commit)
    assert others is not None
    await accept_terms(session, ada, elsewhere, others, KEY)
    assert first.id != second.id

    await licensing.withdraw_acceptance(session, ada, second)

    assert await licensing.current_acceptance(session, ada.person_id, terms) is None
    assert await licensing.current_acceptance(session, ada.person_id, others) is not None
    [event] = await events(session, "licensing:terms:withdraw")
    assert event.body["acceptances"] == sorted([first.id, second.id])


async def test_receipts_are_their_owner_s(session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]) -> None:
    repo, terms = offer
    made = await accept_terms(session, ada, repo, terms, KEY)
    assert await licensing.own_acceptance(session, ada, made.id) is made
    for principal in (await make_person(session), ANONYMOUS):
        with pytest.raises(NotFound):
            await licensing.own_acceptance(session, principal, made.id)
    assert await session.scalar(sa.select(sa.func.count()).select_from(Acceptance)) == 1


async def test_the_record_says_what_was_done_by_whom_and_for_what(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer
    shown = await licensing.present(session, ada, repo, terms)
    first = await licensing.accept(
        session,
        ada,
        repo,
        terms,
        texts=list(terms.texts),
        presentation_id=shown.id,
        method="page",
        key=KEY,
        act=licensing.Act("boxes and button", "Accept the license", terms.texts),
        stage="gated",
    )
    statement = first.receipt["statement"]
    [box] = statement["act"]["boxes"]
    assert box == {"text_sha256": terms.texts[0], "was_ticked": False, "is_ticked": True}
    assert (statement["act"]["element"], statement["act"]["label"]) == ("boxes and button", "Accept the license")
    [text] = statement["texts"]
    assert text["canonical_sha256"] == licensing.canonical_sha256(LICENSE)
    assert (text["language"], text["shown"]) == ("en", "in full")
    assert statement["scope"] == {"repository_id": repo.id, "commit": terms.commit_id, "stage": "gated"}
    assert (statement["supersedes"], statement["source"]) == (None, None)
    owner = Principal(person_id=repo.owner_person_id, name=repo.namespace)
    commit = await commit_files(session, repo, {"LICENSE": LICENSE + b"More.\n"}, by=owner)
    changed = await licensing.terms_for(session, repo, commit)
    assert changed is not None
    by_token = dataclasses.replace(ada, token_id="t" * 26, scopes=frozenset({"write", "read"}))
    second = (await accept_terms(session, by_token, repo, changed, KEY)).receipt["statement"]
    assert second["supersedes"] == first.id
    assert second["authentication"] == {"by": "token", "scopes": ["read", "write"], "signed_in_at": None}
    assert (second["act"]["element"], second["texts"][0]["shown"]) == ("api", "named")


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::9", "2001:db8:1::/48"), ("testclient", ""), ("", "")],
)
async def test_the_network_is_kept_briefly_and_apart(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms], address: str, network: str
) -> None:
    repo, terms = offer
    source = licensing.Source.of(address, "a browser\n")
    start = now()
    with time_machine.travel(start, tick=False):
        made = await licensing.accept(
            session,
            ada,
            repo,
            terms,
            texts=list(terms.texts),
            method="api",
            key=KEY,
            source=source,
            keeping=licensing.Keeping(source_days=2),
        )
        [row] = list(await session.scalars(sa.select(AcceptanceSource)))
        assert (row.network, row.user_agent) == (network, "a browser")
        told = {"network": row.network, "user_agent": row.user_agent, "salt": row.salt}
        assert made.receipt["statement"]["source"] == digest_of(told)
        assert "a browser" not in str(made.receipt)
        assert await licensing.forget_sources(session) == 0
    with time_machine.travel(start + timedelta(days=2), tick=False):
        assert await licensing.forget_sources(session) == 1
    assert licensing.verify_receipt(made.receipt, KEY.public).is_valid


async def test_a_stage_may_demand_a_typed_name_and_the_receipt_says_the_ground(
    session: AsyncSession, ada: Principal, offer: tuple[Repo, Terms]
) -> None:
    repo, terms = offer

    async def accept(typed_name: str) -> Acceptance:
        act = dataclasses.replace(licensing.BY_API, typed_name=typed_name)
        keeping = licensing.Keeping(legal_basis="consent", retention_days=100)
        return await licensing.accept(
            session,
            ada,
            repo,
            terms,
            texts=terms.texts,
            method="api",
            key=KEY,
            act=act,
            must_sign=True,
            keeping=keeping,
        )

    with pytest.raises(Invalid, match="full name"):
        await accept("")
    statement = (await accept("Ada Lovelace")).receipt["statement"]

    assert statement["act"]["typed_name"] == "Ada Lovelace"
    assert statement["legal_basis"] == "consent"
    assert statement["retention"] == {"class": "acceptance", "days_after_access": 100}


async def test_a_sealed_receipt_proves_that_it_is_in_the_log(database: Database) -> None:
    async with database.write() as session:
        ada = await make_person(session, "ada")
        repo, commit = await make_repo(session, await make_person(session))
        terms = await licensing.terms_for(session, repo, commit)
        assert terms is not None
        made = await accept_terms(session, ada, repo, terms, KEY)
        assert await licensing.with_proof(session, made.receipt) == made.receipt
        other = await accept_terms(session, await make_person(session), repo, terms, KEY)
    await ledger.Sealer(database, KEY, origin="hub.test/ledger").seal()
    async with database.read() as session:
        whole = await licensing.with_proof(session, made.receipt)
        others = await licensing.with_proof(session, other.receipt)
    verdict = licensing.verify_receipt(licensing.read_receipt(canonical_json(whole)), KEY.public)
    assert verdict.is_valid
    assert verdict.number == whole["proof"]["number"]
    assert licensing.verify_receipt(made.receipt, KEY.public).number is None
    swapped = licensing.verify_receipt(whole | {"proof": others["proof"]}, KEY.public)
    assert "not show" in swapped.problem
    for odd in (None, {}, [], whole["proof"] | {"more": 1}, whole["proof"] | {"number": True}):
        assert not licensing.verify_receipt(whole | {"proof": odd}, KEY.public).is_valid
    data = canonical_json(whole)
    for position in range(data.index(b'"proof"'), data.index(b'"signature"')):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        try:
            receipt = licensing.read_receipt(changed)
        except Invalid:
            continue
        assert not licensing.verify_receipt(receipt, KEY.public).is_valid, (position, changed[position])


def _leaves(value: object, path: tuple[object, ...] = ()):  # type: ignore[no-untyped-def]
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, (*path, number))
    else:
        yield path


def _change(value, path):  # type: ignore[no-untyped-def]
    for step in path[:-1]:
        value = value[step]
    old = value[path[-1]]
    match old:
        case str() if old:
            value[path[-1]] = ("b" if old[0] == "a" else "a") + old[1:]
        case bool():
            value[path[-1]] = not old
        case int() | float():
            value[path[-1]] = old + 1
        case _:
            value[path[-1]] = "something"


def _remove(value, path):  # type: ignore[no-untyped-def]
    for step in path[:-1]:
        value = value[step]
    del value[path[-1]]
