"""What was accepted: finding the acceptance that counts, one's own ones, and withdrawing."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.licensing import changes
from gatekeeper.licensing.tables import Acceptance, TermsBundle
from gatekeeper.licensing.terms import Terms
from gatekeeper.repos.tables import Repo


async def current_acceptance(
    session: AsyncSession, person_id: str | None, wanted: Terms, *, repo: Repo | None = None
) -> Acceptance | None:
    """This person's acceptance of all texts of these terms for this repository, None when there is none.

    The texts count, not the questions: who accepted the same texts with another form has accepted them. So has who
    accepted older texts that a person found to differ in nothing that matters.
    """
    repo_id = repo.id if repo else wanted.repo_id
    if person_id is None:
        return None
    found = await session.execute(
        sa.select(Acceptance, col(TermsBundle.texts))
        .join(TermsBundle, col(TermsBundle.sha256) == col(Acceptance.bundle_sha256))
        .where(
            col(Acceptance.person_id) == person_id,
            col(Acceptance.repo_id) == repo_id,
            col(Acceptance.withdrawn_at).is_(None),
        )
        .order_by((col(Acceptance.bundle_sha256) == wanted.sha256).desc(), col(Acceptance.accepted_at).desc())
    )
    given = [(acceptance, frozenset(texts)) for acceptance, texts in found]
    covering = [frozenset(wanted.texts)]
    if given and not any(covering[0] <= texts for _, texts in given):
        earlier = await changes.earlier_texts(session, repo_id, wanted.texts)
        covering += [each.texts for each in earlier if each.until is None]
    return next((acceptance for acceptance, texts in given if any(needed <= texts for needed in covering)), None)


async def latest_acceptance(session: AsyncSession, person_id: str | None, repo: Repo) -> Acceptance | None:
    """The last terms of this repository that a person accepted and did not withdraw, whatever binds now."""
    if person_id is None:
        return None
    return await session.scalar(
        sa.select(Acceptance)
        .where(
            col(Acceptance.person_id) == person_id,
            col(Acceptance.repo_id) == repo.id,
            col(Acceptance.withdrawn_at).is_(None),
        )
        .order_by(col(Acceptance.accepted_at).desc(), col(Acceptance.id).desc())
        .limit(1)
    )


def claim_of(acceptance: Acceptance) -> dict[str, Any] | None:
    """`{"institution", "claims_authority"}` where the person said that they accept for an institution."""
    found: dict[str, Any] | None = acceptance.receipt.get("statement", {}).get("on_behalf_of")
    return found


async def withdraw_acceptance(session: AsyncSession, principal: Principal, acceptance: Acceptance) -> None:
    """End this acceptance and every other one that the person gave for the same repository.

    All of them, for which one counts is nothing that a person can see. Access that needs terms ends at once, duties for
    what was done before do not. Raises Conflict where this one was withdrawn before.
    """
    if acceptance.person_id != principal.person_id:
        raise errors.NotAllowed(
            "Only the person who accepted can withdraw the acceptance.", next_step="Sign in as that person."
        )
    ended = await session.scalars(
        sa.update(Acceptance)
        .where(
            col(Acceptance.person_id) == acceptance.person_id,
            col(Acceptance.repo_id) == acceptance.repo_id,
            col(Acceptance.withdrawn_at).is_(None),
        )
        .values(withdrawn_at=now())
        .returning(col(Acceptance.id))
        .execution_options(synchronize_session=False)
    )
    ids = sorted(ended)
    if acceptance.id not in ids:
        raise errors.Conflict("This acceptance was withdrawn already.", next_step="Reload the page.")
    await session.refresh(acceptance)
    await ledger.record(
        session,
        "licensing:terms:withdraw",
        actor=principal.person_id,
        token=principal.token_id,
        repo=acceptance.repo_id,
        subject=acceptance.id,
        body={"bundle_sha256": acceptance.bundle_sha256, "acceptances": ids},
    )


async def acceptances_of(session: AsyncSession, person_id: str) -> list[Acceptance]:
    """Everything a person accepted, newest first."""
    found = await session.scalars(
        sa.select(Acceptance).where(col(Acceptance.person_id) == person_id).order_by(col(Acceptance.id).desc())
    )
    return list(found)


async def own_acceptance(session: AsyncSession, principal: Principal, acceptance_id: str) -> Acceptance:
    """One of the principal's own acceptances. Raises NotFound, also for somebody else's."""
    found = await session.get(Acceptance, acceptance_id)
    if found is None or found.person_id != principal.person_id:
        raise errors.NotFound("There is no such receipt.", next_step="Your receipts are listed on your receipts page.")
    return found
