"""A small world to ask about: one organization, its repository in some state, one person who stands to it somehow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import licensing, releases, tokens
from gatekeeper.access import AccessGrant, AccessRequest, Prerequisite, RepoRequirement, RequestState
from gatekeeper.accounts import OPERATOR, Principal, Reach, organizations, people, principals, sessions
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.tables import Role
from gatekeeper.errors import NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.licensing import ChangeClass
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import AddFile, AddLfs, Gate, RepoKind, RepoObject, StoredObject, catalogue, history
from gatekeeper.tokens import services
from gatekeeper.web.state import Gatekeeper

HOUR = timedelta(hours=1)
WEIGHTS = b"weights of a model" * 500

_SCOPES = {
    "read token": ["read", "download", "generate"],
    "write token": ["read", "download", "generate", "write"],
    "card token": ["read"],
    "download token": ["download"],
    "generate token": ["generate"],
    "every token": ["read", "download", "generate", "write", "review", "admin"],
    "token for it": ["read", "download", "generate", "write"],
    "token for others": ["read", "download", "generate", "write"],
    "token for others and what is public": ["read", "download", "generate"],
    "service token": ["read", "download", "generate", "write"],
}
_CARD = "---\nlicense: other\n{stages}extra_gated_fields:\n  Institution: text\n  Purpose: text\n---\n# A model\n"
_OF_A_STAGE = b"Test Open RAIL-M of a stage\n\nTell us what you find.\n"
_OLD, _PRESENT = b"Test Open RAIL-M\n\nDo no harm.\n", b"Test Open RAIL-M\n\nDo no harm at all.\n"
_TRAINING = "training"
_ANSWERS = {"Institution": "ACME", "Purpose": "Research"}

_names = count(1)


@dataclass(frozen=True)
class Case:
    """How a world is made.

    who also has a service account of the organization instead, where the credential is its token

    place      public, private, auto, manual, or a stage
    who        anonymous, stranger, read, write, admin (roles in the organization) or site admin
    terms      which license text they accepted: in force once, in force now, or (stated for no stage) for all others
    standing   what became of their request
    of_stages  stages whose own license the card states, and which the release's may be among
    demanded   the repository demands a training; they bring one: never, for an hour or for good
    change     what a maintainer said of the change from the license text in force once, "" for nothing
    """

    place: str
    side: str
    is_newer_draft: bool
    who: str
    credential: str
    terms: str
    standing: str
    of_stages: tuple[str, ...] = ()
    demanded: str = ""
    change: str = ""


cases = st.builds(
    Case,
    place=st.sampled_from(["public", "private", "auto", "manual", *(stage.value for stage in Stage)]),
    side=st.sampled_from(["", "", "embargoed", "held", "withdrawn", "deprecated"]),
    is_newer_draft=st.booleans(),
    who=st.sampled_from(["stranger", "stranger", "stranger", "anonymous", "read", "write", "admin", "site admin"]),
    credential=st.sampled_from(["browser", *_SCOPES]),
    terms=st.sampled_from(["none", "old", "of no stage", "present", "present"]),
    standing=st.sampled_from(
        [
            "none",
            "pending",
            "rejected",
            "granted",
            "granted",
            "for an hour",
            "tester",
            "revoked",
            "suspended",
            "approved",
            "granted for nothing said",
        ]
    ),
    of_stages=st.sampled_from([(), *((stage.value, *more) for stage in Stage for more in ((), ("gated", "open")))]),
    demanded=st.sampled_from(["", "", "never", "for an hour", "for good"]),
    change=st.sampled_from(["", *ChangeClass]),
)


@dataclass
class World:
    """What was made. `commits` are old, released and, where there is one, newer than the release."""

    case: Case
    namespace: str
    name: str
    repo_id: str
    owner: Principal
    person_id: str | None
    secret: str
    credential: Mapping[str, str]
    grant_id: str | None = None
    release_id: str | None = None
    token_id: str | None = None
    session_id: str | None = None
    commits: list[str] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"

    async def principal(self, session: AsyncSession, gatekeeper: Gatekeeper) -> Principal | None:
        """Who the credential stands for now; None when it stands for nobody any more."""
        if self.token_id:
            try:
                return await tokens.resolve(session, self.secret, key=gatekeeper.keys.tokens)
            except NotSignedIn:
                return None
        if self.session_id:
            return await sessions.resolve(session, self.secret, key=gatekeeper.keys.sessions) or Principal()
        return Principal()


async def make(session: AsyncSession, gatekeeper: Gatekeeper, case: Case, content: str) -> World:
    """The world of `case`. `content` is the digest of WEIGHTS, which lie in the store."""
    number = next(_names)
    owner = await _person(session, f"owner{number}")
    organization = await organizations.create(session, f"org{number}", by=owner)
    owner = await _as_they_are(session, owner)
    repo = await catalogue.create(session, RepoKind.MODEL, organization.name, f"model{number}", by=owner)
    session.add(RepoObject(repo_id=repo.id, sha256=content))
    await session.flush()
    world = World(case, repo.namespace, repo.name, repo.id, owner, None, "", {})
    stated = "".join(f"  {stage}: STAGE.md\n" for stage in dict.fromkeys(case.of_stages))
    card = _CARD.format(stages=f"stage_licenses:\n{stated}" if stated else "").encode()
    files = {"README.md": card, "LICENSE": _OLD, "STAGE.md": _OF_A_STAGE, "config.json": b"{}", "small.bin": b"\0"}
    large = [AddLfs(path, content, len(WEIGHTS)) for path in ("w.bin", "hidden/README.md")]
    first = [*(AddFile(path, body) for path, body in files.items()), *large]
    for operations in (first, [AddFile("LICENSE", _PRESENT)]):
        world.commits.append(await _commit(session, gatekeeper, repo, operations, owner))
    await _say_what_changed(session, repo, case.change, by=owner)
    await _place(session, world, case)
    if case.demanded:
        session.add(RepoRequirement(repo_id=repo.id, kind=_TRAINING))
    if case.is_newer_draft:
        newer = [AddFile("config.json", b'{"newer": 1}')]
        world.commits.append(await _commit(session, gatekeeper, repo, newer, owner))
    if case.who != "anonymous":
        await _person_of(session, gatekeeper, world, organization)
    return world


async def prepare(session: AsyncSession, gatekeeper: Gatekeeper) -> str:
    """Put WEIGHTS into the store; returns their digest."""
    async with gatekeeper.store.stage() as staged:
        await staged.write(WEIGHTS)
        digest = await staged.keep()
    session.add(StoredObject(sha256=digest, size_bytes=len(WEIGHTS)))
    return digest


async def accept(
    session: AsyncSession, gatekeeper: Gatekeeper, world: World, commit: str, *, of_no_stage: bool = False
) -> None:
    """The world's person accepts the terms in force of `commit`, or those that bind it where no stage has its own."""
    person = await people.get(session, world.person_id or "")
    repo = await catalogue.by_id(session, world.repo_id)
    assert person is not None
    if repo is None or person.is_disabled:
        return
    in_force = licensing.terms_for if of_no_stage else releases.terms_in_force
    terms = await in_force(session, repo, commit)
    assert terms is not None
    principal = await principals.for_person(session, person)
    await licensing.accept(
        session, principal, repo, terms, texts=list(terms.texts), method="api", key=gatekeeper.keys.signing
    )


async def _place(session: AsyncSession, world: World, case: Case) -> None:
    repo = await catalogue.by_id(session, world.repo_id)
    assert repo is not None
    repo.is_private = case.place == "private"
    repo.gate = Gate(case.place) if case.place in ("auto", "manual") else Gate.NONE
    repo.is_staged = case.place in {stage.value for stage in Stage}
    if repo.is_staged:
        at = now()
        terms = await licensing.terms_for(session, repo, world.commits[1], stage=case.place)
        release = Release(
            repo_id=repo.id,
            commit_id=world.commits[1],
            manifest_sha256="m" * 64,
            bundle_sha256=terms.sha256 if terms else None,
            stage=Stage(case.place),
            embargoed_until=at + HOUR if case.side == "embargoed" else None,
            held_at=at if case.side == "held" else None,
            withdrawn_at=at if case.side == "withdrawn" else None,
            deprecated_at=at if case.side == "deprecated" else None,
        )
        session.add(release)
        world.release_id = release.id
    session.add(repo)
    await session.flush()


async def _say_what_changed(session: AsyncSession, repo: Any, change_class: str, *, by: Principal) -> None:
    changes = [each for each in await licensing.changes_of(session, repo) if each.old_sha256 is not None]
    for change in changes if change_class else ():
        seen = (await licensing.difference(session, change)).sha256
        await licensing.classify(session, change, ChangeClass(change_class), by=by, seen_sha256=seen, grace_days=1)


async def _person_of(session: AsyncSession, gatekeeper: Gatekeeper, world: World, organization: Any) -> None:
    case = world.case
    is_service = case.credential == "service token"
    if is_service:
        scopes = _SCOPES[case.credential]
        made = await services.create(session, organization, f"robot{next(_names)}", scopes=scopes, by=world.owner)
        world.person_id = made.person.id
    else:
        principal = await _person(session, f"asker{next(_names)}", is_admin=case.who == "site admin")
        world.person_id = principal.person_id
    person = await people.get(session, world.person_id or "")
    assert person is not None
    if not is_service and case.who in {role.value for role in Role}:
        await organizations.add_member(session, organization, person, Role(case.who), by=world.owner)
    if case.demanded in ("for an hour", "for good"):
        session.add(
            Prerequisite(
                person_id=person.id,
                kind=_TRAINING,
                evidence=(await key_of(session, person.id)).words("A certificate."),
                ends_at=now() + HOUR if case.demanded == "for an hour" else None,
            )
        )
    if case.terms != "none" and not is_service:
        commit = world.commits[0 if case.terms == "old" else 1]
        await accept(session, gatekeeper, world, commit, of_no_stage=case.terms == "of no stage")
    await _standing(session, world, case.standing)
    if case.credential == "browser":
        row, world.secret = await sessions.start(
            session, person, key=gatekeeper.keys.sessions, user_agent="test", days=3
        )
        world.session_id = row.id
        world.credential = {"Cookie": f"gatekeeper_session={world.secret}", "Sec-Fetch-Site": "same-origin"}
        return
    if is_service:
        token, world.secret = await services.issue(
            session,
            organization,
            person.id,
            label="t",
            expires_at=None,
            max_days=365,
            key=gatekeeper.keys.tokens,
            by=world.owner,
        )
    else:
        token, world.secret = await _token(session, gatekeeper, world, person)
    world.token_id = token.id
    world.credential = {"Authorization": f"Bearer {world.secret}"}


async def _token(session: AsyncSession, gatekeeper: Gatekeeper, world: World, person: Any) -> tuple[Any, str]:
    credential = world.case.credential
    reach = {
        "token for it": Reach(repositories=frozenset({world.repo_id})),
        "token for others": Reach(owners=frozenset({person.id})),
        "token for others and what is public": Reach(owners=frozenset({person.id}), is_public=True),
    }.get(credential)
    scopes = _SCOPES[credential]
    role = "write" if {"write", "review", "admin"} & set(scopes) else "read"
    return await tokens.issue(
        session, person, label="t", role=role, scopes=scopes, reach=reach, key=gatekeeper.keys.tokens
    )


async def _standing(session: AsyncSession, world: World, standing: str) -> None:
    states = {
        "pending": RequestState.IN_REVIEW,
        "returned": RequestState.RETURNED,
        "approved": RequestState.AWAITING_TERMS,
        "rejected": RequestState.REJECTED,
        "expired": RequestState.EXPIRED,
        "revoked": RequestState.REVOKED,
        "suspended": RequestState.SUSPENDED,
    }
    if standing == "none" or world.person_id is None:
        return
    at = now()
    request = AccessRequest(
        repo_id=world.repo_id,
        person_id=world.person_id,
        state=states.get(standing, RequestState.ACTIVE),
        fields=(await key_of(session, world.person_id)).facts({} if "nothing said" in standing else _ANSWERS),
    )
    session.add(request)
    await session.flush()
    if standing in ("pending", "returned", "approved", "rejected", "expired"):
        return
    grant = AccessGrant(
        repo_id=world.repo_id,
        person_id=world.person_id,
        request_id=request.id,
        is_tester=standing == "tester",
        ends_at=at + HOUR if standing == "for an hour" else None,
        revoked_at=at if standing == "revoked" else None,
        suspended_at=at if standing == "suspended" else None,
    )
    session.add(grant)
    await session.flush()
    world.grant_id = grant.id


async def _person(session: AsyncSession, name: str, *, is_admin: bool = False) -> Principal:
    person = await people.add(session, name, email=f"{name}@example.org", is_admin=is_admin, by=OPERATOR)
    await session.flush()
    return await principals.for_person(session, person)


async def _as_they_are(session: AsyncSession, principal: Principal) -> Principal:
    """The principal with the roles they have by now."""
    person = await people.get(session, principal.person_id or "")
    assert person is not None
    return await principals.for_person(session, person)


async def _commit(session: AsyncSession, gatekeeper: Gatekeeper, repo: Any, operations: Any, by: Principal) -> str:
    store = gatekeeper.store
    made = await history.commit(session, repo, "main", operations, summary="change", by=by, store=store)
    await releases.take_note(session, repo, made, branch="main", by=by)
    return made
