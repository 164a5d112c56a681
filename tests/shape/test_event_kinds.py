"""The list of event kinds is what the code records and what docs/domain.md promises."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper import access
from gatekeeper.ledger import KINDS
from gatekeeper.web import words

ROOT = Path(__file__).parents[2]
SOURCES = {kind.partition(":")[0] for kind in KINDS}
KIND = re.compile(rf"(?:{'|'.join(sorted(SOURCES))}):[a-z-]+:[a-z-]*")

PAGE = (ROOT / "docs" / "domain.md").read_text()
SPECIFIED = {
    "requests": """create save submit screen claim unclaim return refer answer vote add-terms approve activate reject
        withdraw correct appeal grant cancel undo suspend resume expire renew revoke close-out close delegate""",
    "grants": "expiring",
    "terms": "present accept withdraw change classify",
    "blocks": "block unblock",
    "releases": "promote hold resume demote withdraw deprecate embargo lift open",
    "proposals": "propose approve waive ask refuse withdraw",
}
PREFIXES = {
    "requests": "access:request",
    "grants": "access:grant",
    "terms": "licensing:terms",
    "blocks": "access:person",
    "releases": "releases:release",
    "proposals": "releases:proposal",
}


def _texts() -> Iterator[tuple[str, str]]:
    """Every text of the code that reads like a kind, with its file; of an f-string what precedes the first value."""
    for path in sorted((ROOT / "gatekeeper").rglob("*.py")):
        if path.name == "kinds.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and KIND.fullmatch(node.value):
                yield str(path.relative_to(ROOT)), node.value


NAMED = sorted(set(_texts()))


def test_every_kind_that_the_code_names_is_in_the_list() -> None:
    unknown = {
        (path, text)
        for path, text in NAMED
        if text not in KINDS and not (text.endswith(":") and any(kind.startswith(text) for kind in KINDS))
    }
    assert not unknown, "add them to gatekeeper/ledger/kinds.py"


def test_the_list_holds_nothing_that_the_code_does_not_record() -> None:
    whole = {text for _, text in NAMED if not text.endswith(":")}
    begun = tuple({text for _, text in NAMED if text.endswith(":")})
    code = "".join(path.read_text() for path in (ROOT / "gatekeeper").rglob("*.py") if path.name != "kinds.py")
    for kind in KINDS - whole:
        assert kind.startswith(begun), kind
        assert f'"{kind.rpartition(":")[2]}"' in code, kind


def test_every_kind_has_words() -> None:
    assert not KINDS - set(words.EVENTS), "say in gatekeeper/web/wording/events.py what they mean"


@pytest.mark.parametrize("what", SPECIFIED)
def test_every_event_of_the_specification_is_in_the_list(what: str) -> None:
    assert {f"{PREFIXES[what]}:{act}" for act in SPECIFIED[what].split()} <= KINDS


def test_every_act_of_the_request_machine_is_an_event_and_stands_in_the_page() -> None:
    acts = {act.name for act in access.ACTS}
    assert {f"access:request:{act}" for act in acts} <= KINDS
    for kind in KINDS:
        if kind.startswith("access:request:"):
            assert re.search(rf"\b{kind.rpartition(':')[2]}\b", PAGE), kind
