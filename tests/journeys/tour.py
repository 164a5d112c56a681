"""Makes the tour of all pages, `docs/tour.md` with its pictures, from a demo in which somebody has been let in.

python -m tests.journeys.tour
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from gatekeeper.cli.demo import NAME, NAMESPACE
from tests.journeys.conftest import ROOT, running_demo, sign_in
from tests.journeys.test_story import approve, ask_for_access
from tests.journeys.walk import report, walk

MODEL = f"/{NAMESPACE}/{NAME}"
FOLDER = ROOT / "docs" / "tour"
_TALLEST = 1600  # pixels of a page that are shown
_WIDTH, _SHOWN = 1280, 800
_CHAPTERS = (
    (None, "Everybody", "What is seen without signing in.", ("/", MODEL, "/login")),
    (
        "ada",
        "An applicant",
        "ada was let in to the bundled model and made an image.",
        ("/", MODEL, "/settings"),
    ),
    ("maintainer", "Maintaining", "The pages behind “Maintain”, as somebody who runs the hub sees them.", ("/admin",)),
)


def main() -> None:
    """Start a demo, live a little in it, and take a picture of every kind of page."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    lines = [
        "# A tour of the pages",
        "",
        "Made by `make tour` from a fresh demo, so the pictures are what the program shows. One page of each kind.",
    ]
    path = shutil.which("chromium")
    assert path, "Chromium is missing: run tests/need-packages"
    with (
        tempfile.TemporaryDirectory() as data_dir,
        running_demo(Path(data_dir)) as demo,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path)
        pages: dict[str | None, Page] = {}
        for person, *_ in _CHAPTERS:
            context = browser.new_context(
                base_url=demo.url, locale="en-US", timezone_id="UTC", viewport={"width": _WIDTH, "height": 900}
            )
            pages[person] = context.new_page()
            pages[person].set_default_timeout(60_000)
            if person:
                sign_in(pages[person], demo, person)
        live(pages["ada"], pages["maintainer"])
        taken: set[str] = set()
        for person, title, text, starts in _CHAPTERS:
            lines += ["", f"## {title}", "", text]
            for pattern, _ in walk(pages[person], *starts):
                if pattern in taken or (pattern.startswith("/admin") and person != "maintainer"):
                    continue
                taken.add(pattern)
                name = _picture(pages[person], pattern)
                heading = pages[person].locator("h1").first.inner_text()
                lines += ["", f"### {heading}", "", f"`{pattern}`", "", f"![{heading}](tour/{name})"]
        browser.close()
    (ROOT / "docs" / "tour.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(taken)} pages in docs/tour.md")


def live(ada: Page, maintainer: Page) -> None:
    """What makes pages worth looking at: a request, an approval, an image, a discussion."""
    ask_for_access(ada)
    approve(maintainer)
    ada.goto(f"{MODEL}/playground")
    ada.locator("[name=prompt]").first.fill("a red apple")
    ada.locator("main form button.button-main").first.click()
    ada.wait_for_url("**/generations/**")
    report(ada)
    ada.goto(f"{MODEL}/discussions/new")
    ada.get_by_label("Title").fill("How well does it draw fruit?")
    ada.locator("main form textarea").first.fill("Apples look fine. Has anybody tried pears?")
    ada.locator("main form button.button-main").click()
    ada.wait_for_load_state()


def _picture(page: Page, pattern: str) -> str:
    """Take the page as it is, smaller; returns the file's name."""
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    shot = shot.crop((0, 0, shot.width, min(shot.height, _TALLEST)))
    shot = shot.resize((_SHOWN, shot.height * _SHOWN // shot.width), Image.Resampling.LANCZOS)
    words = "-".join(part for part in pattern.replace("{", " ").replace("}", " ").replace("/", " ").split())
    name = f"{words.replace(':', '-') or 'home'}.webp"
    shot.save(FOLDER / name, quality=70, method=6)
    return name


if __name__ == "__main__":
    main()
