"""Another server key: what the database holds sealed is opened with the old one and sealed with the new one."""

from collections.abc import Mapping
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from gatekeeper import ledger
from gatekeeper.errors import Conflict
from gatekeeper.jobs.tables import Job
from gatekeeper.kit.sealing import Box
from gatekeeper.notices import MAIL, MAIL_LINK

# What each value is sealed for, made of its row: as the rooms that seal it say it.
PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "oidc_newcomer.sealed": "oidc newcomer {id}",
        "oidc_session.sealed_id_token": "id token {identity_id}",
        "oidc_trip.sealed": "oidc trip {id}",
        "personal_key.sealed": "personal_key {id}",
        "totp.sealed": "totp {person_id}",
        "webhook.secret_sealed": "webhook {id}",
    }
)
_JOBS = {MAIL: "mail {id}", MAIL_LINK: "link {id}"}


async def reseal(session: AsyncSession, old: Box, new: Box) -> dict[str, int]:
    """Seal everything again; returns how much there was in each table. Raises Conflict for what `old` did not seal."""
    done: dict[str, int] = {}

    def again(sealed: str, purpose: str, table: str) -> str:
        done[table] = done.get(table, 0) + 1
        try:
            return new.seal(old.open(sealed, purpose=purpose), purpose=purpose)
        except ValueError:
            raise Conflict(
                f"A value in {table} was not sealed with the key that is there.",
                next_step="Put the sealing key back that belongs to this database.",
            ) from None

    for name, purpose in PURPOSES.items():
        table = SQLModel.metadata.tables[name.partition(".")[0]]
        column = table.c[name.partition(".")[2]]
        for row in (await session.execute(sa.select(table).where(column != ""))).mappings().all():
            sealed = again(row[column.name], purpose.format_map(row), table.name)
            same = [each == row[each.name] for each in table.primary_key]
            await session.execute(sa.update(table).where(*same).values({column.name: sealed}))
    waiting = sa.select(Job).where(col(Job.kind).in_(_JOBS), col(Job.finished_at).is_(None))
    for job in await session.scalars(waiting):
        sealed = again(job.payload["sealed"], _JOBS[job.kind].format_map(job.payload), "job")
        job.payload = job.payload | {"sealed": sealed}
    await ledger.record(session, "operator:key:replace", body=done)
    return done
