"""What a reviewer is shown of an applicant beside a request: only what happened in repositories that they review."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import notices
from gatekeeper.access import AccessGrant, AccessRequest, RequestState
from gatekeeper.generation import Strike
from gatekeeper.kit.clock import now
from gatekeeper.notices import Notice
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.admin.scope import decided, in_care
from gatekeeper.web.guard import Call

_MOST = 20
_OF_ACCESS = ("access-", "request-")  # beginnings of the notices that are about access


@dataclass(frozen=True)
class Asked:
    """Another request of theirs, and what became of it."""

    id: str
    full_name: str
    facts: words.StateFacts
    submitted_at: datetime
    decided_at: datetime | None
    reason: str


@dataclass(frozen=True)
class Holding:
    """Access of theirs that is there now."""

    full_name: str
    granted_at: datetime
    ends_at: datetime | None
    is_suspended: bool


@dataclass(frozen=True)
class Struck:
    """An order of theirs that safety stopped."""

    full_name: str
    struck_at: datetime
    kind: str
    state: str


@dataclass(frozen=True)
class Applicant:
    """The person as far as this reviewer may know.

    told    what the hub told them of these repositories, and when
    is_cut  there is more of something than is listed
    """

    asked: tuple[Asked, ...]
    holds: tuple[Holding, ...]
    strikes: tuple[Struck, ...]
    told: tuple[tuple[str, datetime], ...]
    is_cut: bool


async def applicant_of(call: Call, request: AccessRequest) -> Applicant:
    """What else the applicant asked for, was given and did, the newest first."""
    person_id, instant = request.person_id, now()
    asked = await _rows(
        call,
        AccessRequest,
        col(AccessRequest.person_id) == person_id,
        col(AccessRequest.id) != request.id,
        col(AccessRequest.state) != RequestState.DRAFT,
    )
    held = await _rows(
        call,
        AccessGrant,
        col(AccessGrant.person_id) == person_id,
        col(AccessGrant.revoked_at).is_(None),
        sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > instant),
    )
    struck = await _rows(call, Strike, col(Strike.person_id) == person_id)
    this = await call.session.get_one(Repo, request.repo_id)
    known = {repo.id: repo for repo in await decided(call, [this, *(repo for _, repo in (*asked, *held, *struck))])}
    names = {id: repo.full_name for id, repo in known.items()}
    return Applicant(
        asked=tuple(
            Asked(
                row.id,
                names[repo.id],
                words.REQUEST_STATES[row.state],
                row.submitted_at,
                row.decided_at,
                row.reason,
            )
            for row, repo in asked
            if repo.id in known
        ),
        holds=tuple(
            Holding(names[repo.id], row.granted_at, row.ends_at, row.suspended_at is not None)
            for row, repo in held
            if repo.id in known
        ),
        strikes=tuple(
            Struck(names[repo.id], row.struck_at, words.STRIKE_KINDS[row.kind], words.STRIKE_STATES[row.state])
            for row, repo in struck
            if repo.id in known
        ),
        told=await _told(call, person_id, frozenset(names.values())),
        is_cut=any(len(rows) == _MOST for rows in (asked, held, struck)),
    )


async def _rows(call: Call, table: Any, *where: sa.ColumnElement[bool]) -> Sequence[Any]:
    """Rows of the table with their repositories, in those that the caller reviews; decided again by who asks."""
    query = (
        sa.select(table, Repo)
        .join(Repo, col(Repo.id) == table.repo_id)
        .where(in_care(call), *where)
        .order_by(table.id.desc())
        .limit(_MOST)
    )
    return (await call.session.execute(query)).all()


async def _told(call: Call, person_id: str, names: frozenset[str]) -> tuple[tuple[str, datetime], ...]:
    rows = await call.session.scalars(
        sa.select(Notice).where(col(Notice.person_id) == person_id).order_by(col(Notice.id).desc()).limit(5 * _MOST)
    )
    mine = [notice for notice in rows if notice.facts.get("repo") in names and notice.kind.startswith(_OF_ACCESS)]
    return tuple((notices.say(notice.kind, notice.facts).title, notice.created_at) for notice in mine[:_MOST])
