"""Lighthouse on pages of a demo in which somebody has been let in: `make browser`."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.identity_provider import node
from tests.journeys.conftest import Demo
from tests.journeys.tour import LIVE, live, lived_in, open_page
from tests.journeys.walk import MODEL

LEAST = 95
_HERE = Path(__file__).parent
# Pages of the portal that are measured, by who looks at them.
_MEASURED = {
    None: (
        "/",
        "/models",
        MODEL,
        f"{MODEL}/access",
        f"{MODEL}/evaluations",
        "/transparency",
        "/verify",
        "/docs",
        "/login",
    ),
    "ada": ("/", "/requests", "/generations", "/settings/tokens", f"{MODEL}/playground", f"{MODEL}/discussions"),
}


def main() -> int:
    """Start a demo, live a little in it, measure its pages. Returns how many complaints there are."""
    program, browser = node(), shutil.which("chromium")
    assert program, "Node.js is missing: run tests/need-packages"
    assert browser, "Chromium is missing: run tests/need-packages"
    with tempfile.TemporaryDirectory() as folder, lived_in(Path(folder)) as demo:
        cookies = _live_in(demo, browser)
        pages = [
            {"name": f"{path} ({person or 'nobody'})", "url": demo.url + path, "cookie": cookies[person]}
            for person, paths in _MEASURED.items()
            for path in paths
        ]
        order = Path(folder) / "order.json"
        order.write_text(json.dumps({"browser": browser, "least": LEAST, "pages": pages}))
        done = subprocess.run(
            [program, "judge.mjs", str(order)], cwd=_HERE, stdout=subprocess.PIPE, text=True, check=True, timeout=1800
        )
    return _tell(json.loads(done.stdout))


def _live_in(demo: Demo, browser: str) -> dict[str | None, str]:
    """Have people meet, ask and answer; returns their cookies."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser)
        people = {person: open_page(opened, demo, person) for person in LIVE}
        cookies = {
            person: "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
            for person, page in people.items()
        }
        live(people, lambda *_, **__: None)
        opened.close()
    return cookies


def _tell(measured: list[dict[str, object]]) -> int:
    """Print what was found; returns the number of complaints."""
    complaints = []
    for page in measured:
        scores: dict[str, int] = page["scores"]  # type: ignore[assignment]
        print("  ".join(f"{name} {score:3d}" for name, score in scores.items()), page["name"])
        if page["error"] or min(scores.values()) < LEAST:
            complaints.append(f"{page['name']}: {page['error']} {page['faults']}")
    print("\n".join(complaints))
    return len(complaints)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
