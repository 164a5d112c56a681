"""The application in this process, and what tests ask of it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.testclient import TestClient

from gatekeeper import app, models, worker
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper

T = TypeVar("T")

# Kept by the server on its own account: when a token was seen, the sealed form of the log, jobs that are due, what
# scans found, how far notices were handed out.
_OWN_ACCOUNT = frozenset(
    {"token_use", "session_use", "api_use", "ledger_checkpoint", "ledger_node", "job", "content_scan", "file_scan"}
    | {"notice", "notice_cursor", "refusal_count", "transparency_report"}
)
_COUNTED = "tests:rows:count"


class Hub:
    """A started application. `client` keeps no cookies between requests."""

    def __init__(self, client: TestClient, gatekeeper: Gatekeeper) -> None:
        self.client = client
        self.gatekeeper = gatekeeper

    @classmethod
    @contextmanager
    def start(cls, data_dir: Path) -> Iterator["Hub"]:
        """The application on `data_dir`, whose database is migrated. A worker is named, so that orders are decided."""
        settings = Settings(data_dir=data_dir, inference_url="http://127.0.0.1:9", _env_file=None)
        made = app.build(settings)
        with TestClient(made, raise_server_exceptions=True, follow_redirects=False) as client:
            yield cls(client, made._app.state.gatekeeper)  # type: ignore[attr-defined]

    def ask(self, method: str, path: str, credential: Mapping[str, str], **options: Any) -> httpx2.Response:
        """One request with the headers of a credential."""
        headers = {**credential, **options.pop("headers", {})}
        answer = self.client.request(method, path, headers=headers, **options)
        self.client.cookies.clear()
        return answer

    def write(self, act: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `act` in one write transaction."""

        async def run() -> T:
            async with self.gatekeeper.db.write() as session:
                return await act(session)

        return self._portal.call(run)

    def read(self, act: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run `act` on a snapshot."""

        async def run() -> T:
            async with self.gatekeeper.db.read() as session:
                return await act(session)

        return self._portal.call(run)

    def end_embargoes(self) -> None:
        """Open or hold what is due now, as the server does every few seconds: not between two questions."""
        self._portal.call(worker.end_embargoes, self.gatekeeper)

    def rows(self) -> dict[str, int]:
        """How many rows each table has, without those that the server keeps on its own account."""
        # Downloads are recorded within a second; what waits is on disk once this is.
        self._portal.call(self.gatekeeper.evidence.append_durably, {"kind": _COUNTED})

        async def count(session: AsyncSession) -> dict[str, int]:
            return {
                table.name: await session.scalar(_counted(table)) or 0
                for table in models.metadata.sorted_tables
                if table.name not in _OWN_ACCOUNT
            }

        return self.read(count)

    @property
    def _portal(self) -> Any:
        assert self.client.portal is not None
        return self.client.portal


def _counted(table: sa.Table) -> sa.Select[int]:
    query = sa.select(sa.func.count()).select_from(table)
    return query.where(table.c.kind != _COUNTED) if table.name == "ledger_event" else query
