"""Makes the tour of all pages, `docs/tour.md` with its pictures, from a demo in which people have lived a little.

python -m tests.journeys.tour
"""

import io
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.gatekeeper.web.site import PASSWORD
from tests.journeys.conftest import ROOT, Demo, running_demo, seed, sign_in
from tests.journeys.lived import APPLICANTS, MEMBERS
from tests.journeys.test_story import approve
from tests.journeys.walk import MODEL, Way, report, route_of, walk

LIVE = (None, "ada", "grace", "meitner", "lamarr", "maintainer")  # who `live` is about
FOLDER = ROOT / "docs" / "tour"
_TALLEST = 1600  # pixels of a page that are shown
_WIDTH, _SHOWN = 1280, 800
_PHONE = 320
_ABOVE = 24  # pixels that are shown above where a picture begins
_TOP = "element => element.getBoundingClientRect().top + window.scrollY"
_IMAGES = """() => Promise.all([...document.images].filter(image => image.checkVisibility()).map(image => {
    image.loading = "eager";
    return image.decode().catch(() => null);
}))"""
_ANSWERS = {
    "ada": {"Name": "Ada Byron", "Affiliation": "University of Turin"},
    "grace": {"Name": "Grace Murray", "Affiliation": "None: posters for a school play"},
}
_CHAPTERS = (
    (None, "Everybody", "What is seen without signing in.", ("/", MODEL, "/login")),
    ("ada", "An applicant", "ada was let in to the bundled model and made an image.", ("/", MODEL, "/settings")),
    ("maintainer", "Maintaining", "The pages behind “Maintain”, as somebody who runs the hub sees them.", ("/admin",)),
)
# Of what others saw already, what looks another way to who was let in, and to who maintains.
_AGAIN = {
    "ada": {"/", "/{ns}/{name}", "/{ns}/{name}/access", "/{ns}/{name}/playground", "/{ns}/{name}/discussions/{num}"},
    "maintainer": {"/", "/{ns}/{name}", "/{ns}/{name}/releases", "/{ns}/{name}/releases/{rev}", "/{ns}/{name}/terms"},
}
_AGAIN_NAMES = {"ada": "let-in", "maintainer": "maintained"}
_ON_A_PHONE = (("ada", ("/", MODEL, f"{MODEL}/access", f"{MODEL}/playground", "/generations", "/requests")),
               ("maintainer", ("/admin", "/admin/requests", f"{MODEL}/releases", "/admin/ledger")))  # fmt: skip


class Tour:
    """The page of documentation as it grows, and its pictures."""

    def __init__(self) -> None:
        self.count = 0
        self._lines = [
            "# A tour of the pages",
            "",
            "Made by `make tour` from a fresh demo in which people asked, were answered and reported, so the pictures",
            "are what the program shows. The weeks before were lived through with a clock set back, and their images",
            "made by a stand-in. One page of each kind.",
        ]

    def chapter(self, title: str, text: str) -> None:
        """Begin another part."""
        self._lines += ["", f"## {title}", "", text]

    def take(
        self, page: Page, name: str, heading: str = "", *, shown: int = _SHOWN, begin: Locator | None = None
    ) -> None:
        """A picture of the page as it is, from its top or from where `begin` stands."""
        heading = heading or page.locator("h1").first.inner_text()
        top = max(int(begin.evaluate(_TOP)) - _ABOVE, 0) if begin else 0
        page.evaluate(_IMAGES)
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
        shot = shot.crop((0, top, shot.width, min(shot.height, top + _TALLEST)))
        shot = shot.resize((shown, shot.height * shown // shot.width), Image.Resampling.LANCZOS)
        shot.save(FOLDER / f"{name}.webp", quality=70, method=6)
        route = route_of(urlsplit(page.url).path)
        where = [f"`{route.pattern}`", ""] if route else []
        self._lines += ["", f"### {heading}", "", *where, f"![{heading}](tour/{name}.webp)"]
        self.count += 1

    def write(self) -> None:
        """Keep the page."""
        (ROOT / "docs" / "tour.md").write_text("\n".join(self._lines) + "\n", encoding="utf-8")


def main() -> None:
    """Start a demo, live in it, and take a picture of every kind of page and of the moments between."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    path = shutil.which("chromium")
    assert path, "Chromium is missing: run tests/need-packages"
    tour = Tour()
    with (
        tempfile.TemporaryDirectory() as data_dir,
        lived_in(Path(data_dir)) as demo,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path)
        pages = {person: open_page(browser, demo, person) for person in LIVE}
        tour.chapter("From the license to an image", "ada asks for access, is let in and makes an image.")
        live(pages, tour.take)
        taken: set[str] = set()
        for person, title, text, starts in _CHAPTERS:
            tour.chapter(title, text)
            for pattern, name in _new(pages[person], person, starts, taken):
                tour.take(pages[person], name)
                taken.add(pattern)
        tour.chapter("On a phone, in the dark", "The same pages, 320 pixels wide.")
        for person, paths in _ON_A_PHONE:
            page = open_page(browser, demo, person, width=_PHONE, color_scheme="dark")
            for place in paths:
                page.goto(place)
                tour.take(page, f"phone-{_slug(place)}", shown=_PHONE)
        browser.close()
    tour.write()
    print(f"{tour.count} pictures in docs/tour.md")


@contextmanager
def lived_in(data_dir: Path) -> Iterator[Demo]:
    """A demo with reports, in which people asked, were answered and reported for weeks; they sign in like others."""
    passwords = dict.fromkeys((*APPLICANTS, *MEMBERS), PASSWORD) | seed(data_dir, "lived")
    with running_demo(data_dir) as demo:
        yield replace(demo, passwords=passwords)


def live(pages: Mapping[str | None, Page], take: Callable[..., None]) -> None:
    """What makes pages worth looking at: requests, an approval, an image, a discussion.

    take  is given the page at each moment, a name and a heading for it
    """
    ada, grace, maintainer = pages["ada"], pages["grace"], pages["maintainer"]
    ada.goto(f"{MODEL}/access")
    take(ada, "moment-license", "The license, in short and in full")
    for page in (ada, grace):
        _fill_and_send(page, {})
    questions = ada.get_by_role("heading", name="what the maintainers ask you")
    take(ada, "moment-form", "The questions of the maintainers", begin=questions)
    ada.locator("main form").first.evaluate("form => { form.noValidate = true }")
    ada.get_by_label("Name", exact=True).fill(_ANSWERS["ada"]["Name"])
    ada.locator("main form button.button-main").click()
    ada.get_by_text("are not right yet").wait_for()
    take(ada, "moment-errors", "A form with something wrong, and everything typed still there")
    ada.get_by_role("button", name="Save as a draft").click()
    ada.get_by_role("status").first.wait_for()
    take(ada, "moment-draft", "Answers kept for later")
    for person, page in (("ada", ada), ("grace", grace)):
        _fill_and_send(page, _ANSWERS[person])
        page.get_by_text("Your request", exact=False).first.wait_for()
    ada.goto("/requests")
    take(ada, "moment-waiting", "A request that waits")
    _answered(pages["meitner"], pages["lamarr"], take)
    maintainer.goto("/admin/requests")
    take(maintainer, "moment-queue", "The queue of the maintainers")
    for name in ("lovelace", "johnson"):
        maintainer.get_by_label(f"Choose the request of {name} ").check()
    maintainer.get_by_role("button", name="Approve").click()
    take(maintainer, "moment-outcomes", "What became of requests that were decided at once")
    maintainer.goto("/admin/requests")
    maintainer.locator("main a[href^='/admin/requests/']").get_by_text("ada", exact=True).click()
    take(maintainer, "moment-review", "A request before its decision")
    approve(maintainer)
    ada.goto("/requests")
    take(ada, "moment-approved", "A request that was approved")
    _images(ada, take)
    _simulate(maintainer, take)
    maintainer.goto("/admin/incidents")
    maintainer.get_by_role("link", name="Faces of one skin tone").click()
    maintainer.get_by_role("heading", name="Faces of one skin tone").wait_for()
    take(maintainer, "moment-incident", "An incident that is being handled")
    report(ada)
    ada.goto(f"{MODEL}/discussions/new")
    ada.get_by_label("Title").fill("How well does it draw fruit?")
    ada.locator("main form textarea").first.fill("Apples look fine. Has anybody tried pears?")
    ada.locator("main form button.button-main").click()
    ada.wait_for_load_state()
    ada.goto("/settings/tokens")
    ada.get_by_label("Label").fill("notebook at home")
    ada.get_by_role("button", name="Make the token").click()
    take(ada, "moment-token", "A token, shown once")
    *_, safety, counter, first = ada.request.get(f"/api/models{MODEL}/evaluations").json()["evaluations"]
    ada.goto(f"{MODEL}/evaluations/{first['id']}?against={counter['id']}&adjective=&adjective=angry")
    take(ada, "moment-bias", "A bias report and the one that contests it (both made up for this tour)")
    ada.goto(f"{MODEL}/evaluations/{safety['id']}")
    take(ada, "moment-safety", "A safety report (made up for this tour)")


def _answered(returned: Page, rejected: Page, take: Callable[..., None]) -> None:
    """What somebody reads whose request came back, and somebody who was refused."""
    returned.goto("/")
    take(returned, "moment-home", "Home, with something to do")
    returned.goto(f"{MODEL}/access")
    take(returned, "moment-returned", "A request that came back with a question")
    rejected.goto(f"{MODEL}/access")
    rejected.get_by_text("Appeal", exact=True).first.click()
    rejected.get_by_label("Why it should be looked at again").fill(
        "The film is about bias in pictures: see the script."
    )
    take(rejected, "moment-rejected", "A request that was refused, and the appeal")
    rejected.get_by_role("button", name="Appeal").click()
    rejected.wait_for_load_state()


def _simulate(page: Page, take: Callable[..., None]) -> None:
    """What a stricter rule would change, before it is put in force."""
    page.goto("/admin/policies?file=generate.cedar")
    text = page.get_by_label("Its changed text")
    text.fill(text.input_value().replace("context.termsAccepted && (", "context.termsAccepted && context.grant && ("))
    page.get_by_role("button", name="Show what would change").click()
    found = page.get_by_role("heading", name="What would change")
    found.wait_for()
    take(page, "moment-simulation", "What a stricter rule would change", begin=found)


def _images(page: Page, take: Callable[..., None]) -> None:
    """Images, one while it is made, one that was refused; and what a picture from somewhere is."""
    page.goto(f"{MODEL}/playground")
    page.locator("[name=prompt]").first.fill("a bomb")
    page.locator("main form button.button-main").first.click()
    page.locator("main .notice-stop, main .error").first.wait_for()
    take(page, "moment-refused", "A prompt that is refused")
    for number, prompt in enumerate(("a red apple", "a rocket on a black background", "a cat")):
        page.goto(f"{MODEL}/playground")
        page.locator("[name=prompt]").first.fill(prompt)
        if number == 1:
            take(page, "moment-playground", "The playground")
            page.get_by_text("Settings", exact=True).click()
            page.get_by_role("spinbutton", name="Steps").fill("50")
        page.locator("main form button.button-main").first.click()
        if number == 1:
            page.locator("[data-preview]").wait_for()
            take(page, "moment-progress", "While an image is made")
        page.wait_for_url("**/generations/**")
        page.locator("main img").first.wait_for()
    source = page.locator("main img").first.get_attribute("src")
    picture = page.request.get(source or "").body()
    page.goto("/verify")
    page.locator("input[type=file]").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": picture})
    page.get_by_role("button", name="Look at it").click()
    page.get_by_role("heading", name="What was found").wait_for()
    take(page, "moment-verify", "What an image says about itself")


def open_page(browser: Browser, demo: Demo, person: str | None, *, width: int = _WIDTH, **options: str) -> Page:
    context = browser.new_context(
        base_url=demo.url,
        locale="en-US",
        timezone_id="UTC",
        viewport={"width": width, "height": 900},
        **options,  # type: ignore[arg-type]  # as the library names them
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    if person:
        sign_in(page, demo, person)
    return page


def _fill_and_send(page: Page, answers: dict[str, str]) -> None:
    page.goto(f"{MODEL}/access")
    fields = page.locator("main form input[type=text]:visible, main form textarea:visible")
    for field in fields.all():
        label = page.locator(f"label[for='{field.get_attribute('id')}']").inner_text()
        field.fill(next((answer for name, answer in answers.items() if name in label), "As above"))
    for choice in page.locator("form select:visible").all():
        choice.select_option(index=1)
    for box in page.locator("form input[type=checkbox]:visible").all():
        box.check()
    page.locator("main form button.button-main").click()
    page.wait_for_load_state()


def _new(page: Page, person: str | None, starts: tuple[str, ...], taken: set[str]) -> Iterator[tuple[str, str]]:
    """Kinds of pages that have no picture yet, or look another way to this person; and the picture's name."""
    for pattern, _ in walk(page, Way(starts, 0), person=person):
        is_other = pattern in _AGAIN.get(person or "", ())
        if (pattern in taken and not is_other) or (pattern.startswith("/admin") and person != "maintainer"):
            continue
        if pattern.startswith("/datasets/{ns}/{name}/"):
            continue  # as of a model
        yield pattern, _slug(pattern) + (f"-{_AGAIN_NAMES[person]}" if person and is_other else "")


def _slug(address: str) -> str:
    return "-".join(re.findall(r"[\w]+", address)) or "home"


if __name__ == "__main__":
    main()
