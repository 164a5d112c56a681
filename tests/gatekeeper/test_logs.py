import io
import json
import sys
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
import structlog

from gatekeeper import logs
from gatekeeper.db import Database

PROMPT = "a prompt that is nobody's business"


@pytest.fixture(params=[False, True], ids=["file", "terminal"])
def stderr(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    found = io.StringIO()
    found.isatty = lambda: request.param  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", found)
    before = structlog.get_config()
    logs.configure()
    yield found
    structlog.configure(**before)


def test_a_logged_error_tells_its_kind_and_place_and_not_its_text(stderr: io.StringIO) -> None:
    prompt = PROMPT
    try:
        raise ValueError(f"cannot read {prompt}")
    except ValueError:
        structlog.get_logger("anything").exception("it failed", order="1")
    logged = stderr.getvalue()
    assert "it failed" in logged
    assert "ValueError" in logged
    assert __name__ in logged
    assert PROMPT not in logged
    if not stderr.isatty():
        assert json.loads(logged)["at"].startswith(f"{__name__}:")


@pytest.mark.anyio
async def test_a_database_error_does_not_repeat_its_values(database: Database) -> None:
    with pytest.raises(sa.exc.SQLAlchemyError) as caught:
        async with database.read() as session:
            await session.execute(sa.text("SELECT nothing FROM nowhere WHERE x = :x"), {"x": PROMPT})
    assert PROMPT not in str(caught.value)
