"""Promises about the API's description: it is complete, and every call says what it does."""

from gatekeeper.app import routes
from gatekeeper.web.portal.api import describe, programs


def test_every_call_for_programs_says_what_it_does() -> None:
    silent = [route.pattern for route in programs(routes()) if not route.summary]
    assert not silent


def test_the_description_holds_every_call_once() -> None:
    described = describe(routes(), server="http://localhost:8000")
    calls = [(path, method) for path, methods in described["paths"].items() for method in methods]
    assert len(calls) == sum(len(route.methods) for route in programs(routes()))
    ids = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
