"""A row in every table, made from the models: what migrations are tried on."""

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import AutoString

from gatekeeper import models
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.personal import PersonalJson, PersonalText, PersonKey
from gatekeeper.kit.sealing import Box

# The server's key, and one person's: what is personal in the rows lies under it.
SERVER = Box(bytes(32))
KEY, SEALED_KEY = PersonKey.make(SERVER)


async def fill(session: AsyncSession) -> None:
    """Insert one row into each table, parents first; every key is the same, so that foreign keys fit."""
    for table in models.metadata.sorted_tables:
        row = {column.name: _value(column) for column in table.columns}
        await session.execute(sa.insert(table).values(row | _exceptions(table.name)))


def _exceptions(table: str) -> dict[str, Any]:
    return {
        "ledger_event": {"number": None, "leaf_sha256": None},
        "terms_bundle": {"texts": ["x"]},
        "repo_terms": {"stage": ""},
        "acceptance": {"withdrawn_at": None},
        "collection_item": {"other_id": None},
        "personal_key": {"id": KEY.id, "sealed": SEALED_KEY},
    }.get(table, {})


def _value(column: sa.Column[Any]) -> Any:
    match column.type:
        case UtcDateTime():
            return datetime(2026, 1, 2, tzinfo=UTC)
        case sa.Date():
            return date(2026, 1, 2)
        case EnumText(kind=kind):
            return next(iter(kind))
        case PersonalText():
            return KEY.words("x")
        case PersonalJson():
            return KEY.facts({"a": "b"})
        case sa.String() | AutoString():
            return "x"
        case sa.Boolean():
            return False
        case sa.LargeBinary():
            return b"x"
        case sa.JSON():
            return {"a": "b"}
    return 1
