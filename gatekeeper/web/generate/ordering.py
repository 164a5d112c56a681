"""From a request to an order in the making: decided, checked, charged, begun. Shared by every door to the images."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, generation, licensing, releases
from gatekeeper.authz import Action, Allowed, Resource
from gatekeeper.errors import Invalid, Unavailable
from gatekeeper.generation import (
    Admitted,
    Generation,
    Once,
    OrderRequest,
    Ruling,
    Safety,
    SafetyLevel,
    Terms,
)
from gatekeeper.generation.orders import DEFAULT_STEPS
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Catalogue, Known
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo, RepoKind, find_by_any_name, history
from gatekeeper.repos.lru import Lru
from gatekeeper.web.finding import missing_repo
from gatekeeper.web.guard import Call
from gatekeeper.web.principal import authenticate
from gatekeeper.web.state import Gatekeeper

_START_SECONDS = 90
_LONGEST_KEY = 255

# By repository and commit: access version and catalogue under which they were read, terms, licenses.
_licenses: "Lru[tuple[str, str], tuple[int, Catalogue, licensing.Terms | None, Sequence[Known | None]]]" = Lru(2**24)


@dataclass(frozen=True, slots=True)
class Demand:
    """By what an order is let in: the permission, what it is about, and the safety that it must meet."""

    allowed: Allowed
    commit: str
    stage: Stage | None
    safety: Safety
    level: SafetyLevel
    bundle: licensing.Terms | None


async def begin(
    call: Call,
    session: AsyncSession,
    repo: Repo,
    resource: Resource,
    values: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    usual_steps: int = DEFAULT_STEPS,
    is_awaited: bool = False,
) -> Admitted:
    """Take an order in, inside the caller's write transaction. What is returned is for `start` after its commit.

    resource     loaded in this session, so that the decision and the charge are of one instant
    names        our field -> the name the caller used, for messages
    usual_steps  where none are given, as far as the stage offers them
    is_awaited   the caller gets the images by this very call
    """
    gatekeeper, principal = call.gatekeeper, call.principal
    # Only an order that names a safety level asks for the right to choose one, and has its smaller quota.
    asked = await demand(call, session, repo, resource, names_level=bool(values.get("sld_level")))
    commit, level = asked.commit, asked.level
    request = OrderRequest.parse(values, level=level, names=names, usual_steps=usual_steps)
    manifest = await gatekeeper.studio.prepare(session, repo, commit)
    ruling = Ruling(asked.allowed.policies, gatekeeper.policies.sha256, asked.stage)
    admitted = await generation.admit(
        session,
        principal,
        repo,
        commit,
        request,
        terms=Terms(asked.safety, level, ruling, gatekeeper.keys.privacy, asked.bundle),
        process=gatekeeper.studio.process,
        once=once(call, resource),
        is_awaited=is_awaited,
    )
    return replace(admitted, manifest=manifest)


async def demand(call: Call, session: AsyncSession, repo: Repo, resource: Resource, *, names_level: bool) -> Demand:
    """By what an order of this caller would be let in. Raises what the decision raises, and NotAllowed (SafetyReview).

    names_level  it names a level of steering, which may be a lower one for who may adjust safety
    """
    gatekeeper, principal, instant = call.gatekeeper, call.principal, now()
    allowed = authz.require(gatekeeper.policies, principal, Action.GENERATE, resource, instant)
    commit = await revision_of(session, repo, allowed, resource)
    is_adjusted = names_level and bool(
        authz.decide(gatekeeper.policies, principal, Action.GENERATE_ADJUSTED, resource, instant)
    )
    stage = allowed.revision.stage if allowed.revision is not None else None
    safety = Safety.load(gatekeeper.policies.directory)
    bundle, known = await _license(gatekeeper, session, repo, commit)
    level = safety.at(stage, is_adjusted=is_adjusted)
    level = await generation.demanded(session, principal, known, level, safety=safety)
    return Demand(allowed, commit, stage, safety, level, bundle)


async def _license(
    gatekeeper: Gatekeeper, session: AsyncSession, repo: Repo, commit: str
) -> tuple[licensing.Terms | None, Sequence[Known | None]]:
    """The terms in force for a commit and what its texts are: read again only when the access version has changed."""
    version = gatekeeper.version.current()  # before they are read
    catalogue = Catalogue.load(gatekeeper.policies.directory or bundled_dir("policies"))
    kept = _licenses.get((repo.id, commit))
    if kept is not None and version is not None and kept[0] == version and kept[1] is catalogue:
        return kept[2], kept[3]
    bundle = await releases.terms_in_force(session, repo, commit)
    known = await generation.licenses_of(session, bundle, catalogue=catalogue)
    if version is not None:
        size = sum(len(document.body) for document in bundle.documents) if bundle else 0
        _licenses.put((repo.id, commit), (version, catalogue, bundle, known), size + 1000)
    return bundle, known


async def begin_named(
    call: Call,
    model: str,
    revision: str | None,
    values: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    usual_steps: int = DEFAULT_STEPS,
    is_awaited: bool = False,
) -> tuple[Admitted, Repo]:
    """`begin`, of what a body names: found before the writers' lock is taken, and again where something changed since.

    The transaction is committed. Raises what `begin` and `named` raise.
    """
    async with call.gatekeeper.db.read() as session:
        repo, resource = await named(call, session, model, revision)
    async with call.gatekeeper.db.write() as session:
        if not await call.stands(session):
            call.principal = await authenticate(call.request, session, call.gatekeeper)
            repo, resource = await named(call, session, model, revision)
        return await begin(
            call, session, repo, resource, values, names=names, usual_steps=usual_steps, is_awaited=is_awaited
        ), repo


async def named(call: Call, session: AsyncSession, model: str, revision: str | None) -> tuple[Repo, Resource]:
    """The repository and the revision that a body names, for the caller.

    Raises RepoNotFound and RevisionNotFound alike for what is not there and for what they may not know.
    """
    policies = call.gatekeeper.policies
    repo = await find_by_any_name(session, RepoKind.MODEL, model)
    if repo is None:
        raise await missing_repo(session, call.gatekeeper.policies, call.principal)
    resource = await authz.load(session, call.principal, repo)
    authz.require(policies, call.principal, Action.KNOW, resource, now())
    if revision is not None:
        commit = await history.resolve_revision(session, repo, revision)
        resource = await authz.load(session, call.principal, repo, commit=commit)
        if not authz.decide(policies, call.principal, Action.KNOW, resource, now()):
            raise history.unknown(revision)
    return repo, resource


def start(call: Call, admitted: Admitted) -> None:
    """Begin what `begin` took in, once its transaction is committed. What was begun before is not begun again."""
    if admitted.is_new:
        call.gatekeeper.studio.start(admitted.made, admitted.manifest)


def once(call: Call, resource: Resource) -> Once | None:
    """By what a second try of this request is known, None for a caller without a key. Raises Invalid for a long one."""
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= _LONGEST_KEY:
        raise Invalid(
            f"Idempotency-Key must have 1 to {_LONGEST_KEY} characters.", status=422, next_step="Send a UUID."
        )
    return Once(key, resource.commit)


async def ended(call: Call, made: Generation) -> Generation:
    """The order when it has ended. It is cancelled when its caller goes away, for nobody would see the image; not one
    with an Idempotency-Key, for its caller will ask again."""
    waiting = asyncio.ensure_future(call.gatekeeper.studio.wait(made))
    leaving = asyncio.ensure_future(_gone(call))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await abandon(call, made)
        return await waiting
    finally:
        leaving.cancel()
        waiting.cancel()


async def abandon(call: Call, made: Generation) -> None:
    """The caller went away: stop the order, unless they will ask for it again."""
    if made.is_awaited:
        await call.gatekeeper.studio.cancel(made)


async def _gone(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


async def revision_of(session: AsyncSession, repo: Repo, allowed: Allowed, resource: Resource) -> str:
    """The commit that the permission is about: the one asked for, else the best release, else main."""
    if resource.commit is not None:
        return resource.commit
    if allowed.revision is not None and allowed.revision.commit:
        return allowed.revision.commit
    return await history.resolve_revision(session, repo, "main")


async def worker_is_up(gatekeeper: Gatekeeper) -> None:
    """Wait while the inference process is starting. Raises Unavailable when it takes too long or is switched off."""
    gatekeeper.studio.require_worker()
    if gatekeeper.supervisor is None:
        return
    try:
        await gatekeeper.supervisor.wait_ready(_START_SECONDS)
    except TimeoutError:
        raise Unavailable(
            "The inference process is still starting.", code="ModelLoading", next_step="Try again in a minute."
        ) from None
