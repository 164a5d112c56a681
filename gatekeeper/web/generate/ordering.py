"""From a request to an order in the making: decided, checked, charged, begun. Shared by every door to the images."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, generation
from gatekeeper.authz import Action, Allowed, Denied, Resource
from gatekeeper.errors import GatekeeperError, Unavailable
from gatekeeper.generation import Generation, OrderRequest, Ruling, Safety
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, catalogue, history
from gatekeeper.web.guard import Call
from gatekeeper.web.principal import authenticate
from gatekeeper.web.state import Gatekeeper

_START_SECONDS = 90


async def begin(
    call: Call,
    session: AsyncSession,
    repo: Repo,
    resource: Resource,
    values: Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
) -> tuple[Generation, OrderRequest, Any]:
    """Take an order in, inside the caller's write transaction. What is returned is for `start` after its commit.

    resource  loaded in this session, so that the decision and the charge are of one instant
    names     our field -> the name the caller used, for messages
    """
    gatekeeper, principal, instant = call.gatekeeper, call.principal, now()
    allowed = authz.require(gatekeeper.policies, principal, Action.GENERATE, resource, instant)
    commit = await revision_of(session, repo, allowed, resource)
    # Only an order that names a safety level asks for the right to choose one, and has its smaller quota.
    is_adjusted = bool(values.get("sld_level")) and bool(
        authz.decide(gatekeeper.policies, principal, Action.GENERATE_ADJUSTED, resource, instant)
    )
    stage = allowed.revision.stage if allowed.revision is not None else None
    level = Safety.load(gatekeeper.policies.directory).at(stage, is_adjusted=is_adjusted)
    request = OrderRequest.parse(values, level=level, names=names)
    manifest = await gatekeeper.studio.prepare(session, repo, commit)
    made = await generation.admit(
        session,
        principal,
        repo,
        commit,
        request,
        level=level,
        ruling=Ruling(allowed.policies, gatekeeper.policies.sha256),
        privacy_key=gatekeeper.keys.privacy,
    )
    return made, request, manifest


def start(call: Call, made: Generation, repo: Repo, request: OrderRequest, manifest: Any) -> None:
    """Begin what `begin` took in, once its transaction is committed.

    The decision is made again before images are given out, so a hold or a revocation meanwhile binds this order too.
    """

    async def recheck(session: AsyncSession) -> str | None:
        try:
            principal = await authenticate(call.request, session, call.gatekeeper)
            # Read again: `repo` still has the settings with which the order was taken in.
            fresh = await catalogue.by_id(session, repo.id)
            if fresh is None:
                return "The repository was deleted while this was being made."
            resource = await authz.load(session, principal, fresh, commit=made.commit_id)
        except GatekeeperError as error:
            return error.sentence
        decision = authz.decide(call.gatekeeper.policies, principal, Action.GENERATE, resource, now())
        return f"{decision.reason} {decision.next_step}" if isinstance(decision, Denied) else None

    call.gatekeeper.studio.start(made, repo, request, manifest, recheck=recheck)


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
