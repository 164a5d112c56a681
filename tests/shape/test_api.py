"""Promises about the API's description: it is complete, and every call says what it does."""

import re

from gatekeeper.app import routes
from gatekeeper.web.portal.api import describe, programs, said

# At least three words, beginning like a sentence and ending as one, that make sense without another call's.
_SENTENCE = re.compile(r"[A-Z`*2](?!he same\b)\S*( \S+){2,}[.]")


def test_every_call_for_programs_says_what_it_does() -> None:
    silent = [f"{route.pattern}: {said(route)}" for route in programs(routes()) if not _SENTENCE.fullmatch(said(route))]
    assert not silent


def test_two_calls_do_not_say_the_same() -> None:
    by_sentence: dict[str, set[str]] = {}
    for route in programs(routes()):
        by_sentence.setdefault(said(route), set()).add(route.name)
    assert not {sentence: names for sentence, names in by_sentence.items() if len(names) > 1}


def test_the_description_holds_every_call_once() -> None:
    described = describe(routes(), server="http://localhost:8000")
    calls = [(path, method) for path, methods in described["paths"].items() for method in methods]
    assert len(calls) == sum(len(route.methods) for route in programs(routes()))
    ids = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
