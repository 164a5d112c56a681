"""Fixtures for tests of notices.

receiver  an HTTP server on loopback that takes deliveries
"""

from collections.abc import Iterator

import pytest

from tests.gatekeeper.notices.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver
