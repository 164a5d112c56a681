"""Fixtures for journeys: the newcomer's own server, and a browser. Nothing is replaced.

demo      `gatekeeper demo` on an empty data directory, once for the session: address, sign-ins, directory; there is one
          of every kind of thing in it (tests/journeys/kinds.py)
browser   Debian's Chromium, once for the session
visit     opens a fresh browser context (its own cookies) as a person, or as nobody
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.gatekeeper.web.site import PASSWORD
from tests.journeys import looking
from tests.journeys.kinds import ORGANIZER

ROOT = Path(__file__).parents[2]
READY_SECONDS = 240


class _Shared(LoadFileScheduling):
    """Files are shared among workers; the walk stays with the story, whose things it comes to."""

    def _split_scope(self, nodeid: str) -> str:
        return super()._split_scope(nodeid).replace("test_walk.py", "test_story.py")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Shared:
    return _Shared(config, log)


def pytest_sessionfinish() -> None:
    if looking.SENT:
        looking.leave()


@dataclass(frozen=True)
class Demo:
    """A running demo."""

    url: str
    passwords: dict[str, str]
    data_dir: Path
    log: Path

    def command(self, *arguments: str) -> str:
        """Run `gatekeeper ...` on this demo's data, as the operator."""
        done = subprocess.run(
            [sys.executable, "-m", "gatekeeper", *arguments],
            env=_environment(self.data_dir),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running_demo(data_dir: Path) -> Iterator[Demo]:
    """`gatekeeper demo` on an empty directory, until the block ends."""
    log = data_dir / "demo.log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gatekeeper", "demo", "--port", str(port)],
            env=_environment(data_dir),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://localhost:{port}"
        _wait_until_ready(url, server, log)
        yield Demo(url, _sign_ins(log.read_text()), data_dir, log)
    finally:
        _stop(server)


def sign_in(page: Page, demo: Demo, person: str) -> None:
    """Sign in by the form."""
    page.goto("/login")
    page.get_by_label("Name or e-mail").fill(person)
    page.get_by_label("Password").fill(demo.passwords[person])
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()
    assert page.url == f"{demo.url}/", page.locator("main").inner_text()


def seed(data_dir: Path, module: str, *arguments: str) -> dict[str, str]:
    """Have `tests.journeys.<module>` fill a demo's data, beside its server or before it; returns sign-ins it prints."""
    command = [sys.executable, "-m", f"tests.journeys.{module}", str(data_dir), *arguments]
    done = subprocess.run(
        command, env=_environment(data_dir), cwd=ROOT, check=True, timeout=120, stdout=subprocess.PIPE, text=True
    )
    return _sign_ins(done.stdout)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        seed(demo.data_dir, "kinds", demo.url)
        yield replace(demo, passwords=demo.passwords | {ORGANIZER: PASSWORD})


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "Chromium is missing: run tests/need-packages"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-background-networking"])
        yield browser
        browser.close()


@pytest.fixture
def visit(demo: Demo, browser: Browser) -> Iterator[Callable[..., Page]]:
    contexts: list[BrowserContext] = []

    def open_page(person: str | None = None, **options: Any) -> Page:
        usual = {"base_url": demo.url, "locale": "en-US", "timezone_id": "UTC"}
        context = looking.follow(browser.new_context(**usual | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        if person:
            sign_in(page, demo, person)
        return page

    yield open_page
    for context in contexts:
        context.close()


def _sign_ins(printed: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+)\s+(\w{20})\s", printed, re.MULTILINE))


def _environment(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEKEEPER_", "INFERENCE_"))}
    return kept | {
        "GATEKEEPER_DATA_DIR": str(data_dir),
        "GATEKEEPER_STYLEGUIDE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(READY_SECONDS * 5):
        assert server.poll() is None, f"the demo did not start:\n{log.read_text()[-3000:]}"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"the demo was not ready after {READY_SECONDS} s:\n{log.read_text()[-3000:]}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        return
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)
