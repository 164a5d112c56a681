"""Fixtures for tests of the decision.

policies   the bundle that comes with the program, loaded once
"""

import pytest

from gatekeeper.authz import Policies


@pytest.fixture(scope="session")
def policies() -> Policies:
    return Policies.load()
