"""Everything the hub holds about one person, for themselves, as JSON (GDPR 15 and 20).

Columns are named one by one, so that no secret leaves with a new column; a test holds this list against the tables.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from gatekeeper.accounts.tables import Organization, Person
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos.tables import Repo

FORMAT = "gatekeeper-personal-data"
VERSION = 1
MOST_EVENTS = 100_000

# Section -> table, the column that names the person, and what is told. Sections and names are added, never renamed.
SECTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "former_names": ("namespace", "former_owner_id", ("name",)),
    "memberships": ("membership", "person_id", ("organization_id", "role", "created_at")),
    "invitations": ("membership_offer", "person_id", ("organization_id", "role", "created_at", "expires_at")),
    "sessions": ("browser_session", "person_id", ("id", "signed_in_at", "expires_at", "ended_at", "user_agent")),
    "tokens": (
        "access_token",
        "person_id",
        ("id", "label", "hint", "role", "scopes", "created_at", "expires_at", "revoked_at"),
    ),
    "application_grants": (
        "oauth_grant",
        "person_id",
        ("id", "client_id", "label", "scopes", "created_at", "revoked_at"),
    ),
    "consents": ("oauth_consent", "person_id", ("client_id", "scopes", "given_at")),
    "applications": (
        "oauth_application",
        "owner_id",
        ("id", "name", "redirect_uris", "scopes", "created_at", "removed_at"),
    ),
    "identities": (
        "identity",
        "person_id",
        ("id", "provider", "issuer", "subject", "label", "linked_at", "last_used_at"),
    ),
    "trusted_jobs": (
        "trusted_publisher",
        "person_id",
        ("id", "repo_id", "label", "issuer", "claims", "scopes", "created_at", "removed_at", "used_at"),
    ),
    "passkeys": ("passkey", "person_id", ("name", "created_at", "last_used_at")),
    "code_apps": ("totp", "person_id", ("created_at", "confirmed_at")),
    "recovery_codes": ("recovery_code", "person_id", ("used_at",)),
    "requests": (
        "access_request",
        "person_id",
        (
            "id", "repo_id", "state", "fields", "draft", "submitted_at", "changed_at", "decided_at", "reason",
            "reason_code", "conditions", "conditions_accepted_at", "appealed_at", "close_out",
        ),
    ),
    "grants": (
        "access_grant",
        "person_id",
        ("id", "repo_id", "request_id", "is_tester", "granted_at", "ends_at", "suspended_at", "revoked_at",
         "revoke_reason"),
    ),
    "blocks": ("access_block", "person_id", ("repo_id", "organization_id", "reason", "blocked_at", "lifted_at")),
    "prerequisites": (
        "prerequisite",
        "person_id",
        ("repo_id", "kind", "value", "evidence", "set_at", "ends_at", "withdrawn_at"),
    ),
    "presentations": (
        "presentation",
        "person_id",
        ("id", "repo_id", "bundle_sha256", "shown_sha256", "locale", "shown_at"),
    ),
    "acceptances": (
        "acceptance",
        "person_id",
        ("id", "repo_id", "bundle_sha256", "method", "accepted_at", "withdrawn_at", "receipt"),
    ),
    "generations": (
        "generation",
        "person_id",
        ("id", "repo_id", "commit_id", "state", "settings", "prompt", "negative_prompt", "code", "reason", "receipt",
         "expires_at", "started_at", "finished_at"),
    ),
    "quota": (
        "quota_change",
        "person_id",
        ("images_per_day", "compute_seconds_per_day", "concurrency", "weight", "reason", "changed_at"),
    ),
    "strikes": (
        "strike",
        "person_id",
        ("id", "repo_id", "generation_id", "kind", "fired", "reason", "state", "struck_at", "appeal", "shows_prompt",
         "appealed_at", "note", "reviewed_at"),
    ),
    "reports": (
        "incident",
        "reporter_id",
        ("id", "repo_id", "state", "title", "description", "reported_at", "closed_at"),
    ),
    "incidents": ("incident_link", "person_id", ("incident_id", "kind", "repo_id", "linked_at")),
    "discussions": (
        "discussion",
        "author_id",
        ("repo_id", "num", "title", "status", "is_pull_request", "created_at"),
    ),
    "comments": ("comment_text", "author_id", ("event_id", "version", "text", "written_at")),
    "notices": ("notice", "person_id", ("kind", "facts", "created_at", "read_at", "mailed_at")),
    "notice_preferences": ("notice_preference", "person_id", ("kind", "by_mail")),
    "webhooks": ("webhook", "owner_id", ("id", "url", "domains", "created_at", "disabled_at")),
    "following": ("following", "person_id", ("repo_id", "num", "is_on", "chosen_at")),
    "likes": ("repo_like", "person_id", ("repo_id", "liked_at")),
    "collections": ("collection", "created_by", ("id", "title", "description", "is_private", "created_at")),
    "repositories": ("repo", "owner_person_id", ("id", "kind", "namespace", "name", "is_private", "created_at")),
    "holds": ("legal_hold", "person_id", ("placed_at",)),
}  # fmt: skip

# Section -> what hangs on each of its rows: name, table, the column that refers to the row, and what is told.
PARTS: dict[str, tuple[tuple[str, str, str, tuple[str, ...]], ...]] = {
    "requests": (
        ("steps", "access_step", "request_id", ("act", "at", "before", "after", "note", "data")),
        ("voices", "access_voice", "request_id", ("round", "kind", "value", "note", "at")),
    ),
    "acceptances": (("source", "acceptance_source", "acceptance_id", ("network", "user_agent", "kept_until")),),
    "sessions": (("uses", "session_use", "session_id", ("last_seen_at", "network")),),
}


async def export_of(session: AsyncSession, person: Person) -> dict[str, Any]:
    """What is known about a person. Secrets and their hashes are left out; others appear by id only."""
    sections = {}
    for section, (table, owner, names) in SECTIONS.items():
        columns = SQLModel.metadata.tables[table].columns
        sections[section] = await _rows(session, columns, names, columns[owner] == person.id)
    for section, parts in PARTS.items():
        for row in sections[section]:
            for part, table, refers, names in parts:
                columns = SQLModel.metadata.tables[table].columns
                row[part] = await _rows(session, columns, names, columns[refers] == row["id"])
    acts, has_more = await _acts(session, person)
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_at": instant_text(now()),
        "person": {
            "id": person.id,
            "name": person.name,
            "fullname": person.fullname,
            "email": person.email,
            "is_admin": person.is_admin,
            "created_at": instant_text(person.created_at),
        },
        **sections,
        "downloads": [act for act in acts if act["kind"] in ("repos:file:download", "repos:history:fetch")],
        "acts": acts,
        "acts_are_complete": not has_more,
        "names": await _names(session, sections),
    }


async def _rows(
    session: AsyncSession, columns: Any, names: tuple[str, ...], where: sa.ColumnElement[bool]
) -> list[dict[str, Any]]:
    rows = await session.execute(sa.select(*(columns[name] for name in names)).where(where))
    return [{name: _plain(value) for name, value in row._asdict().items()} for row in rows]


async def _acts(session: AsyncSession, person: Person) -> tuple[list[dict[str, Any]], bool]:
    """What the evidence log holds of them, newest first: what they did, and what was done to their account."""
    query = (
        sa.select(LedgerEvent)
        .where(sa.or_(col(LedgerEvent.actor_id) == person.id, col(LedgerEvent.subject_id) == person.id))
        .order_by(col(LedgerEvent.id).desc())
        .limit(MOST_EVENTS + 1)
    )
    events = list(await session.scalars(query))
    acts = [
        {
            "id": event.id,
            "kind": event.kind,
            "at": instant_text(event.occurred_at),
            "token_id": event.token_id,
            "repo_id": event.repo_id,
            "subject_id": event.subject_id,
            "body": event.body,
        }
        for event in events[:MOST_EVENTS]
    ]
    return acts, len(events) > MOST_EVENTS


async def _names(session: AsyncSession, sections: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """What the ids of repositories and organizations in here are called."""
    wanted = {row.get(key) for rows in sections.values() for row in rows for key in ("repo_id", "organization_id")}
    ids = sorted(each for each in wanted if each)
    found = {}
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        for repo in await session.scalars(sa.select(Repo).where(col(Repo.id).in_(part))):
            found[repo.id] = repo.full_name
        for organization in await session.scalars(sa.select(Organization).where(col(Organization.id).in_(part))):
            found[organization.id] = organization.name
    return found


def _plain(value: Any) -> Any:
    return instant_text(value) if hasattr(value, "astimezone") else value
