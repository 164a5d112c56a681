"""Every page that links lead to, for each kind of person: it fits, reads and keeps quiet, with script and without, and
the Tab key leads through it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.journeys import looking, plainly, tabbing
from tests.journeys.conftest import Demo
from tests.journeys.walk import MODEL, WALKS, report, walk


@pytest.mark.parametrize("person", WALKS)
def test_every_page_is_accessible_and_fits(demo: Demo, visit: Callable[..., Page], person: str | None) -> None:
    page = visit(person)
    page.emulate_media(reduced_motion="reduce")
    if person == "maintainer":
        report(page)
    complaints: list[tuple[str, str]] = []  # with the address they were made at: files are passed by, too

    def complain(text: str) -> None:
        complaints.append((page.url, text))

    page.on("console", lambda said: complain(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complain(str(error)))
    plain = visit(java_script_enabled=False, storage_state=page.context.storage_state())
    for each in (page, plain):
        each.on("request", lambda sent: None if sent.url.startswith((demo.url, "data:")) else complain(sent.url))
    found: list[str] = []
    way, seen = WALKS[person], 0
    for pattern, path in walk(page, way, *(() if person else _reports(page)), person=person):
        seen += 1
        size = tabbing.DESK if seen % 2 else tabbing.PHONE
        faults = (*looking.faults(page, person), *plainly.faults(plain, page), *tabbing.faults(page, size))
        found += [f"{path}: {fault}" for fault in faults]
        found += [f"{path}: {text}" for url, text in complaints if url == page.url]
        complaints.clear()
        print(pattern, path)
    assert not found, "\n".join(found)
    assert seen >= way.least


def _reports(page: Page) -> list[str]:
    """A bias report beside the one that contests it, and a safety report: two pages at one kind of address."""
    listed = page.request.get(f"/api/models{MODEL}/evaluations").json()["evaluations"]
    *_, safety, counter, first = (f"{MODEL}/evaluations/{each['id']}" for each in listed)
    return [f"{first}?against={counter.rpartition('/')[2]}&adjective=&adjective=angry", safety]
