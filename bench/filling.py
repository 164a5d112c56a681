"""A hub full of people, requests, repositories and events, for bench/growth.py and bench/pages.py.

Rows go in by large statements past the house's verbs: filling is not what is measured. Full size is 1,000,000 events,
100,000 people, 100,000 requests, 10,000 repositories and 1,000 organizations; `size` is always the number of events,
and scales all of it.
"""

import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel, col

from gatekeeper import app, community, ledger, licensing, releases, schema, tokens
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts import OPERATOR, Role, namespaces, people, principals, sessions
from gatekeeper.accounts.personal_keys import PersonalKey
from gatekeeper.accounts.tables import Membership, Namespace, Organization, Person
from gatekeeper.generation.tables import Generation, GenerationState, Strike, StrikeKind
from gatekeeper.incidents.tables import Incident
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.personal import PersonKey
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.notices.tables import Notice, Webhook
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import AddFile, RepoKind, catalogue, history
from gatekeeper.repos.tables import CardTag, Gate, GitObject, GitRef, Repo
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper

URL = "http://bench.test"
_BATCH = 5_000
_DISCUSSIONS = 50
_MEMBERS = 5  # of each organization
_CARD = b"---\nlicense: mit\npipeline_tag: text-to-image\nbase_model: keeper/gated\n---\n# A model\n\nDraws pictures.\n"


@dataclass
class Known:
    """Who asks, and for what: headers of an administrator's and a reader's browser, and of a reader's token."""

    admin: dict[str, str]
    browser: dict[str, str]
    reader: dict[str, str]
    reader_id: str
    keeper_id: str
    repo: Repo
    commit: str
    places: dict[str, str]  # what stands for the captures of addresses, see bench/pages.py


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[tuple[Any, Gatekeeper]]:
    """The application on an empty database in `data`, and its parts."""
    settings = Settings(data_dir=data, public_url=URL, inference_url="off", api_calls=0, _env_file=None)
    application = app.build(settings)
    gatekeeper: Gatekeeper = application._app.state.gatekeeper  # type: ignore[attr-defined]
    await schema.upgrade(gatekeeper.db)
    try:
        yield application, gatekeeper
    finally:
        await app.close(gatekeeper)


async def begin(gatekeeper: Gatekeeper) -> Known:
    """An administrator, a reader, and a gated repository that all others will be copies of."""
    keys = gatekeeper.keys
    async with gatekeeper.db.write() as session:
        root = await people.add(session, "keeper", email="keeper@example.org", is_admin=True, by=OPERATOR)
        reader = await people.add(session, "reader", email="reader@example.org", by=OPERATOR)
        await session.flush()
        owner = await principals.for_person(session, root)
        repo = await catalogue.create(session, RepoKind.MODEL, "keeper", "gated", by=owner)
        files = [AddFile("README.md", _CARD), AddFile("config.json", b"{}"), AddFile("LICENSE", b"As you like.\n")]
        commit = await history.commit(session, repo, "main", files, summary="s", by=owner, store=gatekeeper.store)
        repo.gate = Gate.MANUAL
        for number in range(_DISCUSSIONS):
            await community.discussions.open_discussion(session, repo, title=f"Number {number}", text="Hello", by=owner)
        session.add(AccessGrant(repo_id=repo.id, person_id=reader.id))
        await session.flush()
        terms = await releases.terms_in_force(session, repo, commit)
        assert terms is not None
        reading = await principals.for_person(session, reader)
        accepted = await licensing.accept(
            session, reading, repo, terms, texts=list(terms.texts), method="api", key=keys.signing
        )
        namespace = await namespaces.find_namespace(session, "keeper")
        assert namespace is not None
        curated = await community.collections.create(session, namespace, "Good ones", by=owner)
        incident = Incident(repo_id=repo.id, title="It draws pears", reporter_id=reader.id)
        hook = Webhook(owner_id=reader.id, url="https://example.org/hook", domains=["repo"])
        made = Generation(person_id=reader.id, repo_id=repo.id, commit_id=commit, prompt_sha256="p" * 64)
        made.state = GenerationState.REFUSED
        asked = AccessRequest(repo_id=repo.id, person_id=reader.id, state=RequestState.IN_REVIEW)
        session.add_all([incident, hook, made, asked])
        await session.flush()
        session.add(Strike(person_id=reader.id, repo_id=repo.id, kind=StrikeKind.PROMPT_RULE, reason="It was stopped."))
        event_id = await session.scalar(sa.select(sa.func.min(LedgerEvent.id)))
        slug = curated.slug.partition("/")[2]
        _, cookie = await sessions.start(session, root, key=keys.sessions, user_agent="bench", days=1)
        _, other = await sessions.start(session, reader, key=keys.sessions, user_agent="bench", days=1)
        _, secret = await tokens.issue(session, reader, label="bench", role="read", key=keys.tokens)
        return Known(
            admin={"Cookie": f"gatekeeper_session={cookie}", "Accept": "text/html"},
            browser={"Cookie": f"gatekeeper_session={other}", "Accept": "text/html"},
            reader={"Authorization": f"Bearer {secret}"},
            reader_id=reader.id,
            keeper_id=root.id,
            repo=repo,
            commit=commit,
            places={
                "/receipts/{id}": accepted.id,
                "/generations/{id}": made.id,
                "/settings/webhooks/{id}": hook.id,
                "/admin/requests/{id}": asked.id,
                "/admin/incidents/{id}": incident.id,
                "/admin/ledger/{id}": str(event_id),
                "slug": slug,
                "sha256": terms.documents[0].sha256,
            },
        )


async def fill(gatekeeper: Gatekeeper, known: Known, have: int, size: int) -> None:
    """From `have` to `size` events, with people, requests and repositories in proportion; then all is sealed."""
    chance = random.Random(size)
    persons = [_person(number) for number in range(have // 10, size // 10)]
    await _insert(gatekeeper, Person, persons)
    await _insert(
        gatekeeper,
        Namespace,
        [Namespace(key=person.name_key, name=person.name, person_id=person.id) for person in persons],
    )
    groups = [_organization(number) for number in range(-(-have // 1000), -(-size // 1000))]
    await _insert(gatekeeper, Organization, groups)
    await _insert(
        gatekeeper,
        Namespace,
        [Namespace(key=group.name_key, name=group.name, organization_id=group.id) for group in groups],
    )
    members = [
        Membership(organization_id=group.id, person_id=chosen.id, role=Role.WRITE)
        for group in groups
        for chosen in chance.sample(persons, _MEMBERS)
    ]
    if not have:
        members.append(Membership(organization_id=groups[0].id, person_id=known.keeper_id, role=Role.ADMIN))
    await _insert(gatekeeper, Membership, members)
    repos = [_repository(known, number) for number in range(have // 100, max(size // 100, 1))]
    await _insert(gatekeeper, Repo, repos)
    await _copy_history(gatekeeper, known, repos)
    await _insert(gatekeeper, Release, [_release(known, repo) for repo in repos if repo.is_staged])
    keys = [PersonKey.make(gatekeeper.keys.sealing) for _ in persons]
    owned = list(zip(persons, keys, strict=True))
    sealed = [PersonalKey(id=key.id, person_id=person.id, sealed=sealed) for person, (key, sealed) in owned]
    await _insert(gatekeeper, PersonalKey, sealed)
    requests = [_request(person, key, chance.choice(repos)) for person, (key, _) in owned]
    await _insert(gatekeeper, AccessRequest, requests)
    held = [repo for repo in repos if chance.random() < 0.02]
    grants = [AccessGrant(repo_id=repo.id, person_id=known.reader_id) for repo in held]
    grants += [AccessGrant(repo_id=known.repo.id, person_id=person.id) for person in persons[::100]]
    await _insert(gatekeeper, AccessGrant, grants)
    await _insert(gatekeeper, Notice, [_notice(known, person) for person in persons[::10]])
    await _insert(gatekeeper, LedgerEvent, _events(size - have, persons, repos, chance))
    sealer = ledger.Sealer(gatekeeper.db, gatekeeper.keys.signing, origin=gatekeeper.settings.ledger_origin)
    while await _pending(gatekeeper):
        await sealer.seal(most=20_000)


async def _copy_history(gatekeeper: Gatekeeper, known: Known, repos: list[Repo]) -> None:
    """Give each repository the objects, references and tags of the first one."""
    for table in (GitObject, GitRef, CardTag):
        columns = [column for column in sa.inspect(table).columns if column.name != "repo_id"]
        for start in range(0, len(repos), 500):
            ids = [repo.id for repo in repos[start : start + 500]]
            copies = (
                sa.select(col(Repo.id), *columns)
                .select_from(Repo)
                .join(table, table.repo_id == known.repo.id)
                .where(col(Repo.id).in_(ids))
            )
            names = ["repo_id", *(column.name for column in columns)]
            async with gatekeeper.db.write() as session:
                await session.execute(sa.insert(table).from_select(names, copies))


async def _pending(gatekeeper: Gatekeeper) -> int:
    async with gatekeeper.db.read() as session:
        query = sa.select(sa.func.count()).select_from(LedgerEvent).where(col(LedgerEvent.number).is_(None))
        return await session.scalar(query) or 0


async def _insert(gatekeeper: Gatekeeper, table: type[SQLModel], rows: Iterable[SQLModel]) -> None:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append({name: getattr(row, name) for name in table.model_fields})
        if len(group) == _BATCH:
            await _write(gatekeeper, table, group)
            group = []
    if group:
        await _write(gatekeeper, table, group)


async def _write(gatekeeper: Gatekeeper, table: type[SQLModel], group: list[dict[str, Any]]) -> None:
    async with gatekeeper.db.write() as session:
        await session.execute(sa.insert(table), group)


def _person(number: int) -> Person:
    name = f"person{number:07}"
    return Person(name=name, name_key=name, email=f"{name}@example.org", email_key=f"{name}@example.org")


def _organization(number: int) -> Organization:
    return Organization(name=f"group{number:05}", name_key=f"group{number:05}")


def _repository(known: Known, number: int) -> Repo:
    """Half public, some gated, some private, some staged."""
    kind, name = number % 8, f"model{number:06}"
    return Repo(
        namespace="keeper",
        name=name,
        key=f"models/keeper/{name}",
        owner_person_id=known.keeper_id,
        is_private=kind == 1,
        is_staged=kind == 2,
        gate=Gate.MANUAL if kind in (3, 4) else Gate.NONE,
        created_by=known.keeper_id,
    )


def _release(known: Known, repo: Repo) -> Release:
    return Release(repo_id=repo.id, commit_id=known.commit, manifest_sha256="m" * 64, stage=Stage.RESEARCH_PREVIEW)


def _request(person: Person, key: PersonKey, repo: Repo) -> AccessRequest:
    """One in ten waits; the others were decided."""
    waits = person.name.endswith("0")
    return AccessRequest(
        repo_id=repo.id,
        person_id=person.id,
        state=RequestState.IN_REVIEW if waits else RequestState.REJECTED,
        fields=key.facts({"Institution": "ACME", "Purpose": "Research"}),
        decided_at=None if waits else now() + timedelta(days=1),
    )


def _notice(known: Known, person: Person) -> Notice:
    facts = {"person": person.name, "repo": known.repo.full_name}
    return Notice(person_id=known.keeper_id, kind="request-submitted", event_key=person.id, facts=facts)


def _events(count: int, persons: list[Person], repos: list[Repo], chance: random.Random) -> Iterator[LedgerEvent]:
    digest = hashlib.sha256(b"file").hexdigest()
    for number in range(count):
        yield LedgerEvent(
            id=new_id(),
            kind="repos:file:download",
            actor_id=chance.choice(persons).id,
            repo_id=chance.choice(repos).id,
            subject_id=f"{number:040x}",
            policy_sha256="p" * 64,
            body={"path": "unet/model.safetensors", "digest": digest, "action": "download"},
        )
