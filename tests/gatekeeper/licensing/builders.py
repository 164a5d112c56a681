"""What tests of licensing, access, releases and generation are about: people, a repository, commits, terms."""

from itertools import count

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from gatekeeper import licensing
from gatekeeper.accounts import people, principals
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger import LedgerEvent
from gatekeeper.licensing import Terms
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.repos import Gate, Repo, RepoKind, catalogue, history

CARD = """---
license: other
license_name: test-rail
pipeline_tag: text-to-image
extra_gated_fields:
  Institution: text
  Country: country
  Purpose:
    type: select
    options: [Research, Teaching]
  I keep to the terms: checkbox
---
# A model
"""
LICENSE = b"Test Open RAIL-M\n\nAttachment A: do no harm.\n"
ANSWERS = {"Institution": "ACME", "Country": "DE", "Purpose": "Research", "I keep to the terms": True}

_numbers = count(1)


async def make_person(session: AsyncSession, name: str = "", *, is_admin: bool = False) -> Principal:
    name = name or f"person{next(_numbers)}"
    person = await people.add(session, name, email=f"{name}@example.org", is_admin=is_admin)
    await session.flush()
    return await principals.for_person(session, person)


async def make_repo(
    session: AsyncSession,
    owner: Principal,
    *,
    name: str = "",
    files: dict[str, bytes] | None = None,
    gate: Gate = Gate.MANUAL,
    is_staged: bool = False,
    kind: RepoKind = RepoKind.MODEL,
) -> tuple[Repo, str]:
    """A repository with one commit of `files` (a card and a license by default), and that commit's id."""
    repo = await catalogue.create(session, kind, owner.name, name or f"repo{next(_numbers)}", by=owner)
    repo.gate, repo.is_staged = gate, is_staged
    files = {"README.md": CARD.encode(), "LICENSE": LICENSE} if files is None else files
    commit = await commit_files(session, repo, files, by=owner)
    return repo, commit


async def commit_files(session: AsyncSession, repo: Repo, files: dict[str, bytes], *, by: Principal) -> str:
    operations = [history.AddFile(path, content) for path, content in files.items()]
    return await history.commit(session, repo, "main", operations, summary="change files", by=by)


async def accept_terms(
    session: AsyncSession, principal: Principal, repo: Repo, terms: Terms, key: SigningKey
) -> Acceptance:
    return await licensing.accept(session, principal, repo, terms, texts=list(terms.texts), method="api", key=key)


async def events(session: AsyncSession, kind: str) -> list[LedgerEvent]:
    await session.flush()
    return list(
        await session.scalars(select(LedgerEvent).where(LedgerEvent.kind == kind).order_by(col(LedgerEvent.id)))
    )
