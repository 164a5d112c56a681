"""What may happen to a world between two requests. Each does nothing where it does not apply."""

from collections.abc import Awaitable, Callable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import access, licensing, releases, tokens
from gatekeeper.access import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts import OPERATOR, organizations, people, principals, sessions
from gatekeeper.accounts.tables import Membership, Organization
from gatekeeper.kit.clock import now
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.releases import Ladder, rows, stage_terms
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import AddFile, Gate, catalogue, history
from gatekeeper.tokens import approval
from gatekeeper.web.state import Gatekeeper
from tests.agreement.world import World, accept

Change = Callable[[AsyncSession, Gatekeeper, World], Awaitable[None]]


async def revoke_the_grant(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    grant = await session.get(AccessGrant, world.grant_id) if world.grant_id else None
    if grant is not None and grant.revoked_at is None:
        await access.revoke(session, grant, by=world.owner, reason="It was misused.")


async def hold(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    release = await _release(session, world)
    if release is not None and release.held_at is None:
        await releases.hold(session, release, by=world.owner, reason="Under examination.")


async def resume(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    release = await _release(session, world)
    if release is not None and release.held_at is not None:
        await releases.resume(session, release, by=world.owner)


async def withdraw(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    release = await _release(session, world)
    if release is not None:
        await releases.withdraw(session, release, by=world.owner, reason="It was a mistake.")


async def move_to_gated(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    """Up or down, with the terms of the stage where it comes to stand; what a promotion checks before is not asked."""
    release = await _release(session, world)
    repo = await catalogue.by_id(session, world.repo_id)
    if release is not None and repo is not None and release.stage is not Stage.GATED:
        bundle = await stage_terms.bind(session, repo, release, Stage.GATED, by=world.owner, ladder=Ladder.load())
        values = {"stage": Stage.GATED, "staged_at": now(), "bundle_sha256": bundle}
        await rows.change(session, release, "promote", values, by=world.owner)


async def close_it(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    """Private where that is a setting, with a gate where it was open."""
    repo = await catalogue.by_id(session, world.repo_id)
    if repo is not None and not repo.is_staged:
        is_open = not repo.is_private and repo.gate is Gate.NONE
        gate = Gate.MANUAL if is_open else None
        await catalogue.update_settings(session, repo, private=None if is_open else True, gate=gate, by=world.owner)


async def open_it(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    repo = await catalogue.by_id(session, world.repo_id)
    if repo is not None and not repo.is_staged:
        await catalogue.update_settings(session, repo, private=False, gate=Gate.NONE, by=world.owner)


async def disable_the_person(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    person = await people.get(session, world.person_id or "")
    if person is not None and not person.is_admin:
        await people.disable(session, person, by=OPERATOR)


async def end_the_credential(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    if world.token_id is not None:
        await tokens.revoke(session, world.token_id, by=OPERATOR)
    if world.session_id is not None and world.person_id is not None:
        person = await people.get(session, world.person_id)
        assert person is not None
        principal = await principals.for_person(session, person)
        await sessions.end(session, world.session_id, by=principal)


async def accept_the_terms(session: AsyncSession, gatekeeper: Gatekeeper, world: World) -> None:
    if world.person_id is not None:
        await accept(session, gatekeeper, world, world.commits[1])


async def take_acceptances_back(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    rows = await session.scalars(
        sa.select(Acceptance).where(
            col(Acceptance.person_id) == world.person_id, col(Acceptance.withdrawn_at).is_(None)
        )
    )
    for row in {row.repo_id: row for row in rows.all()}.values():  # one speaks for all of its repository
        person = await people.get(session, row.person_id)
        assert person is not None
        await licensing.withdraw_acceptance(session, await principals.for_person(session, person), row)


async def leave_the_organization(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    organization = await session.scalar(sa.select(Organization).where(col(Organization.name) == world.namespace))
    person = await people.get(session, world.person_id or "")
    if organization is None or person is None:
        return
    belongs = await session.scalar(
        sa.select(Membership).where(
            col(Membership.organization_id) == organization.id, col(Membership.person_id) == person.id
        )
    )
    if belongs is not None:
        await organizations.remove_member(session, organization, person, by=world.owner)


async def change_the_license(session: AsyncSession, gatekeeper: Gatekeeper, world: World) -> None:
    repo = await catalogue.by_id(session, world.repo_id)
    if repo is not None:
        made = await history.commit(
            session,
            repo,
            "main",
            [AddFile("LICENSE", b"Test Open RAIL-M\n\nEven less.\n")],
            summary="new terms",
            by=world.owner,
            store=gatekeeper.store,
        )
        await releases.take_note(session, repo, made, branch="main", by=world.owner)
        world.commits.append(made)


async def suspend_the_grant(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    """Or let it go on, where it is suspended."""
    grant = await session.get(AccessGrant, world.grant_id) if world.grant_id else None
    request = await session.get(AccessRequest, grant.request_id) if grant is not None else None
    if request is not None and request.state is RequestState.ACTIVE:
        await access.suspend(session, request, by=world.owner, reason="Under examination.")
    elif request is not None and request.state is RequestState.SUSPENDED:
        await access.resume(session, request, by=world.owner)


async def demand_a_training(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    """Or no longer, where it is demanded."""
    repo = await catalogue.by_id(session, world.repo_id)
    if repo is None:
        return
    if await access.requirements_of(session, repo):
        await access.no_longer_require(session, repo, "training", by=world.owner)
    else:
        await access.require(session, repo, "training", by=world.owner)


async def call_the_change_typographic(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    repo = await catalogue.by_id(session, world.repo_id)
    for change in await licensing.changes_of(session, repo) if repo is not None else ():
        if change.old_sha256 is not None:
            seen = (await licensing.difference(session, change)).sha256
            kind = licensing.ChangeClass.TYPOGRAPHIC
            await licensing.classify(session, change, kind, by=world.owner, seen_sha256=seen, grace_days=1)


async def ask_to_approve_tokens(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    """From now on tokens open something of the organization only once it has approved them."""
    organization = await session.scalar(sa.select(Organization).where(col(Organization.name) == world.namespace))
    assert organization is not None
    await approval.set_policy(session, organization, needs_approval=True, max_days=None, by=world.owner)


async def delete_the_repository(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    repo = await catalogue.by_id(session, world.repo_id)
    if repo is not None:
        await catalogue.delete(session, repo, by=world.owner)


async def an_hour_passes(session: AsyncSession, _: Gatekeeper, world: World) -> None:
    """Nothing is written: the test moves the clock."""


async def _release(session: AsyncSession, world: World) -> Release | None:
    release = await session.get(Release, world.release_id) if world.release_id else None
    return release if release is not None and release.withdrawn_at is None else None


ALL: tuple[Change, ...] = (
    revoke_the_grant,
    hold,
    resume,
    withdraw,
    move_to_gated,
    close_it,
    open_it,
    disable_the_person,
    end_the_credential,
    accept_the_terms,
    take_acceptances_back,
    leave_the_organization,
    change_the_license,
    suspend_the_grant,
    demand_a_training,
    ask_to_approve_tokens,
    call_the_change_typographic,
    delete_the_repository,
    an_hour_passes,
)
