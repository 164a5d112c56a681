"""Lighthouse and an HTML validator on the pages of a demo in which somebody has been let in: `make browser`.

python -m tests.browser.judge [html|lighthouse]     both without a word
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.identity_provider import node
from tests.journeys.conftest import Demo, running_demo
from tests.journeys.tour import LIVE, fill, live, open_page
from tests.journeys.walk import MODEL, WALKS, walk

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
    """Start a demo, live a little in it, look at all pages. Returns how many complaints there are."""
    wanted = sys.argv[1:] or ["html", "lighthouse"]
    program, browser = node(), shutil.which("chromium")
    assert program, "Node.js is missing: run tests/need-packages"
    assert browser, "Chromium is missing: run tests/need-packages"
    with tempfile.TemporaryDirectory() as folder, running_demo(Path(folder)) as demo:
        files, cookies = _pages(demo, Path(folder), browser, is_whole="html" in wanted)
        pages = [
            {"name": f"{path} ({person or 'nobody'})", "url": demo.url + path, "cookie": cookies[person]}
            for person, paths in _MEASURED.items()
            for path in paths
            if "lighthouse" in wanted
        ]
        order = Path(folder) / "order.json"
        order.write_text(json.dumps({"browser": browser, "least": LEAST, "files": files, "pages": pages}))
        done = subprocess.run(
            [program, "judge.mjs", str(order)], cwd=_HERE, stdout=subprocess.PIPE, text=True, check=True, timeout=1800
        )
    return _tell(json.loads(done.stdout), validated=len(files))


def _pages(
    demo: Demo, folder: Path, browser: str, *, is_whole: bool
) -> tuple[list[dict[str, str]], dict[str | None, str]]:
    """The HTML of every kind of page as each person gets it, and their cookies."""
    files: list[dict[str, str]] = []
    cookies: dict[str | None, str] = {}
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser)
        fill(demo)
        people = {person: open_page(opened, demo, person) for person in LIVE}
        for person, page in people.items():
            cookies[person] = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
        live(people, lambda *_, **__: None)
        walkers = [(person, way) for person, way in WALKS.items() if person in people and is_whole]
        for person, way in walkers:
            before = len(files)
            for pattern, path in walk(people[person], way, person=person):
                # As it was sent, before any script: that is what has to be valid.
                text = people[person].request.get(path, headers={"accept": "text/html"}).text()
                file = folder / f"{len(files)}.html"
                file.write_text(text, encoding="utf-8")
                files.append({"name": f"{pattern} ({person or 'nobody'})", "file": str(file)})
            assert len(files) - before >= way.least, f"links were lost on the way of {person or 'nobody'}"
        opened.close()
    return files, cookies


def _tell(found: dict[str, list[dict[str, object]]], *, validated: int) -> int:
    """Print what was found; returns the number of complaints."""
    complaints = [str(fault) for fault in found["invalid"]]
    print(f"HTML: {validated} pages, {len(complaints)} faults")
    for page in found["measured"]:
        scores: dict[str, int] = page["scores"]  # type: ignore[assignment]
        print("  ".join(f"{name} {score:3d}" for name, score in scores.items()), page["name"])
        if page["error"] or min(scores.values()) < LEAST:
            complaints.append(f"{page['name']}: {page['error']} {page['faults']}")
    print("\n".join(complaints))
    return len(complaints)


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
