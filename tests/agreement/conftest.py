"""Fixtures of a whole hub in this process: the real application on a real SQLite file, driven through its one entrance.

hub   the application, started; one for each module of tests
"""

from collections.abc import Iterator

import pytest

from gatekeeper import schema
from tests.agreement.hub import Hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data_dir = tmp_path_factory.mktemp("agreement")
    schema.make_template(data_dir / "gatekeeper.sqlite3")
    with Hub.start(data_dir) as running:
        yield running
