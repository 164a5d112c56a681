"""Fixtures that every kind of test may use.

seaweed   a real S3 server, started once when a test first asks for it
"""

from collections.abc import Iterator

import pytest

from tests.seaweed import Seaweed, running


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    with running() as server:
        yield server
