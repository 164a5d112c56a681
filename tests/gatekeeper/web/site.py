"""A whole hub in one process for tests of its pages: real routes, database, policies; only the worker is a stand-in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import event

from gatekeeper import accounts, licensing, releases, repos
from gatekeeper.accounts import OPERATOR, Person, Role
from gatekeeper.app import build
from gatekeeper.generation import Certifier, Studio
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import AddFile, Gate, Repo, RepoKind
from gatekeeper.settings import Settings
from gatekeeper.web.generate import still_allowed
from gatekeeper.web.state import Gatekeeper
from tests.gatekeeper.generation.stub import StubWorker

PASSWORD = "correct horse battery"
URL = "http://hub.test"
MODEL = "/lab/emoji"
PAGE = {"accept": "text/html"}
CARD = """---
license: other
license_name: gatekeeper-emoji-openrail-m
library_name: diffusers
pipeline_tag: text-to-image
extra_gated_fields:
  Affiliation: text
  Country: country
  I agree to be kind: checkbox
---
# Emoji

A small model that draws emoji from their names, made for tests of these pages and for nothing else at all.
"""


@dataclass
class Site:
    """The hub, its application and its people by name: grace maintains, ada and alan ask, olga runs the hub."""

    app: Any
    gatekeeper: Gatekeeper
    people: dict[str, Person]
    url: str = URL

    def browser(self) -> httpx2.AsyncClient:
        """A browser without script that nobody has signed in with yet."""
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url=self.url, headers=PAGE)

    async def as_(self, name: str) -> httpx2.AsyncClient:
        """A browser in which this person is signed in."""
        browser = self.browser()
        answer = await browser.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """What the database is asked meanwhile."""
        asked: list[str] = []

        def saw(*args: object) -> None:
            asked.append(str(args[2]))

        engine = self.gatekeeper.db.engine.sync_engine
        event.listen(engine, "before_cursor_execute", saw)
        try:
            yield asked
        finally:
            event.remove(engine, "before_cursor_execute", saw)

    def worker(self, worker: StubWorker) -> StubWorker:
        """Have images made by this stand-in."""
        house = self.gatekeeper
        house.studio = Studio(
            house.db,
            worker,  # type: ignore[arg-type]
            house.images,
            house.store,
            key=house.keys.signing,
            privacy_key=house.keys.privacy,
            certifier=Certifier(house.notary),
            recheck=still_allowed(house),
        )
        return worker

    async def model(
        self, name: str = "emoji", *, stage: Stage = Stage.GATED, card: str = CARD, more: dict[str, bytes] | None = None
    ) -> Repo:
        """A model of the lab, released at a stage."""
        ladder = Ladder.load()
        license_text = (bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt").read_bytes()
        async with self.gatekeeper.db.write() as session:
            by = await accounts.principals.for_person(session, self.people["grace"])
            repo = await repos.create(session, RepoKind.MODEL, "lab", name, by=by)
            files = {
                "README.md": card.encode(),
                "LICENSE": license_text,
                "model_index.json": b"{}",
                "unet/config.json": b"{}",
                "vocabulary.json": b'{"words": ["a", "red", "apple"], "examples": ["a red apple"]}',
                **(more or {}),
            }
            commit = await repos.commit(
                session,
                repo,
                "main",
                [AddFile(path, content) for path, content in files.items()],
                summary="Upload",
                by=by,
            )
            await releases.enable_staging(session, repo, by=by)
            if stage is not Stage.DRAFT:
                oid = commit if isinstance(commit, str) else commit.oid
                proposal = await releases.propose(session, repo, oid, stage, by=by, ladder=ladder)
                await releases.approve_proposal(session, proposal, by=by)
                await releases.promote(session, proposal, by=by, ladder=ladder)
            return repo

    async def plain(self, kind: RepoKind, name: str, *, card: str = "# For tests\n", gate: Gate = Gate.NONE) -> Repo:
        """A repository of the lab without stages."""
        async with self.gatekeeper.db.write() as session:
            by = await accounts.principals.for_person(session, self.people["grace"])
            repo = await repos.create(session, kind, "lab", name, by=by)
            files = [AddFile("README.md", card.encode()), AddFile("train/part.csv", b"emoji,name\n")]
            await repos.commit(session, repo, "main", files, summary="Upload", by=by)
            return await repos.update_settings(session, repo, gate=gate, by=by)


async def open_site(data_dir: Path, *, url: str = URL, **more: Any) -> Site:
    """A fresh hub on a migrated database in `data_dir`, with four people and an organization; `more` are settings."""
    settings = Settings(data_dir=data_dir, public_url=url, inference_url="off", _env_file=None, **more)
    app = build(settings)
    gatekeeper: Gatekeeper = app._app.state.gatekeeper
    async with gatekeeper.db.write() as session:
        await licensing.import_catalogue(session, bundled_dir("policies") / "licenses")
        people = {
            name: await accounts.people.add(
                session,
                name,
                email=f"{name}@example.org",
                password=PASSWORD,
                is_admin=name == "olga",
                by=OPERATOR,
            )
            for name in ("grace", "ada", "alan", "olga")
        }
        lab = await accounts.organizations.create(session, "lab", by=OPERATOR)
        await accounts.organizations.add_member(session, lab, people["grace"], Role.ADMIN, by=OPERATOR)
    return Site(app, gatekeeper, people, url)


def words(html: str) -> str:
    """The page's text on one line, as a reader sees it."""
    body = re.sub(r"(?s)<head>.*?</head>", " ", html)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def inputs(html: str) -> dict[str, str]:
    """Values of the hidden inputs, which a browser sends back with a form."""
    found = re.findall(r'<input type="hidden"\s+name="([^"]+)"\s+value="([^"]*)"', html)
    return {name: unescape(value) for name, value in found}


async def accept_terms(browser: httpx2.AsyncClient, model: str = MODEL, **typed: str) -> httpx2.Response:
    """Tick the box of the license on the access page as a browser would, and send the form."""
    page = await browser.get(f"{model}/access")
    accept = dict(re.findall(r'name="(accept-\d)"\s+value="([0-9a-f]{64})"', page.text))
    assert accept, words(page.text)
    return await _send(browser, model, page, accept | typed)


async def ask_for_access(browser: httpx2.AsyncClient, model: str = MODEL, **answers: str) -> httpx2.Response:
    """Accept the license and ask for access as a browser would, every question answered: on one page or on two."""
    given = {"q-0": "University", "q-1": "DE", "q-2": "yes"} | answers
    page = await browser.get(f"{model}/access")
    if 'name="q-0"' not in page.text:
        accepted = await accept_terms(browser, model, **answers)
        page = await browser.get(f"{model}/access")
        if accepted.status_code != 303 or 'name="q-0"' not in page.text:
            return accepted
    elif 'name="accept-1"' in page.text:
        return await accept_terms(browser, model, **given)
    return await _send(browser, model, page, given)


async def _send(
    browser: httpx2.AsyncClient, model: str, page: httpx2.Response, given: dict[str, str]
) -> httpx2.Response:
    filled = {name: value for name, value in given.items() if value}
    return await browser.post(f"{model}/access", data=inputs(page.text) | filled)
