"""Somebody proposes changes to what others maintain: with the public client, and talked about on the pages."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo
from tests.journeys.kinds import ORGANIZATION, ORGANIZER
from tests.journeys.looking import look
from tests.journeys.test_story import make_token

HEADER = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER
REPO = f"{ORGANIZATION}/strokes"


@dataclass(frozen=True)
class Side:
    """Somebody's browser and client."""

    page: Page
    api: HfApi

    def says(self, text: str, button: str = "Comment") -> None:
        """Write in the discussion that is open."""
        self.page.get_by_label("Comment", exact=True).fill(text)
        self.page.get_by_role("button", name=button, exact=True).click()
        expect(self.page.get_by_text(text)).to_be_visible()

    def sends(self, path: str, content: bytes, revision: str = "main") -> None:
        """Upload one file of the repository."""
        self.api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=REPO, revision=revision)


def told(page: Page, title: str) -> None:
    """Wait for a notice and open what it is about."""
    notice = page.get_by_role("button", name=title, exact=True)
    for _ in range(150):
        page.goto("/notices")
        if notice.count():
            break
        page.wait_for_timeout(100)
    notice.first.click()


@pytest.fixture
def sides(demo: Demo, visit: Callable[..., Page]) -> Iterator[tuple[Side, Side]]:
    """ada, whose browser runs no script, and olga, of whose organization the repository is."""
    ada, olga = [
        Side(page, HfApi(demo.url, token=make_token(page, "Read and write")))
        for page in (visit("ada", java_script_enabled=False), visit(ORGANIZER))
    ]
    olga.api.create_repo(REPO)
    files = {"README.md": b"---\nlicense: mit\n---\n# Strokes\n\nIt draws strokes.\n", "config.json": b'{"width": 4}\n'}
    files["model.safetensors"] = WEIGHTS + b"olga"
    olga.api.create_commit(REPO, [*map(CommitOperationAdd, files, files.values())], commit_message="A model")
    yield ada, olga
    olga.api.delete_repo(REPO)


@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")
def test_changes_are_proposed_asked_for_merged_and_turned_down(sides: tuple[Side, Side], tmp_path: Path) -> None:
    ada, olga = sides
    files = {"README.md": b"---\nlicense: mit\n---\n# Strokes\n\nIt draws broad strokes.\n"}
    files["model.safetensors"] = WEIGHTS + b"adas"
    operations = [*map(CommitOperationAdd, files, files.values())]
    ada.api.create_commit(REPO, operations, commit_message="Broader strokes", create_pr=True)

    told(olga.page, f"ada opened pull request 1 of {REPO}")
    expect(olga.page.locator("ins").get_by_text("It draws broad strokes.")).to_be_visible()
    expect(olga.page.get_by_text("large file: 72 bytes")).to_be_visible()
    olga.says("Is four wide enough then, @ada?")

    told(ada.page, f"olga mentioned you in {REPO}")
    ada.says("No: eight.")
    ada.page.get_by_role("link", name="Edit or hide").click()
    ada.page.get_by_label("Text").fill("No: it should be eight.")
    ada.page.get_by_role("button", name="Save").click()
    expect(ada.page.get_by_text("No: it should be eight.")).to_be_visible()
    ada.sends("config.json", b'{"width": 8}\n', "refs/pr/1")

    told(olga.page, f"ada added to pull request 1 of {REPO}")
    olga.page.get_by_role("link", name="what it changes").last.click()
    expect(olga.page.locator("ins").get_by_text('{"width": 8}')).to_be_visible()
    olga.page.go_back()
    olga.page.get_by_role("button", name="Merge", exact=True).click()
    expect(olga.page.get_by_text("olga merged this")).to_be_visible()
    told(ada.page, f"olga merged pull request 1 of {REPO}")
    expect(ada.page.get_by_text("Merged", exact=True)).to_be_visible()
    folder = Path(HfApi(ada.api.endpoint, token=False).snapshot_download(REPO, local_dir=tmp_path))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS + b"adas"
    assert (folder / "config.json").read_bytes() == b'{"width": 8}\n'

    draft = ada.api.create_pull_request(REPO, "Nine wide", description="So that it is odd.")
    ada.sends("config.json", b'{"width": 9}\n', draft.git_reference or "")
    ada.page.goto(f"/{REPO}/discussions/{draft.num}")
    ada.page.get_by_role("button", name="It is ready").click()
    olga.sends("config.json", b'{"width": 7}\n')
    ada.page.reload()
    expect(ada.page.get_by_text("main has changed these files, too")).to_be_visible()
    expect(ada.page.get_by_text("Make your change again on these files as they are now")).to_be_visible()
    told(olga.page, f"ada opened pull request 2 of {REPO}")
    expect(olga.page.get_by_text("git merge origin/main")).to_be_visible()
    expect(olga.page.get_by_role("button", name="Merge", exact=True)).to_have_count(0)
    look(olga.page, ORGANIZER)
    olga.says("Seven is odd as well.", "Close with this comment")
    told(ada.page, f"olga closed pull request 2 of {REPO}")
    expect(ada.page.get_by_role("button", name="Open again with this comment")).to_be_visible()


@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")
def test_a_discussion_is_renamed_pinned_put_away_and_locked_by_who_maintains_it(sides: tuple[Side, Side]) -> None:
    ada, olga = sides
    ada.page.goto(f"/{REPO}")
    ada.page.get_by_role("link", name="Community").click()
    ada.page.get_by_role("link", name="New discussion").click()
    ada.page.get_by_label("Title").fill("strokes???")
    ada.page.get_by_label("What you want to say").fill("This is rubbish.")
    ada.page.get_by_role("button", name="Open the discussion").click()

    told(olga.page, f"ada opened discussion 1 of {REPO}")
    olga.page.get_by_role("link", name="Hide", exact=False).click()
    olga.page.get_by_role("button", name="Hide the comment").click()
    for button in ("Change the title", "Pin it", "Lock it"):
        olga.page.locator("summary", has_text="Change the title").click()
        olga.page.get_by_label("Title").fill("How broad are its strokes?")
        olga.page.get_by_role("button", name=button, exact=True).click()
    olga.says("Eight wide. Be kind here.")
    look(olga.page, ORGANIZER)

    ada.page.reload()
    expect(ada.page.get_by_role("heading", name="How broad are its strokes?")).to_be_visible()
    expect(ada.page.get_by_text("This comment has been hidden.")).to_be_visible()
    expect(ada.page.get_by_text("This is rubbish.")).to_have_count(0)
    expect(ada.page.get_by_text("only the repository's owners write in it")).to_be_visible()
    expect(ada.page.get_by_label("Comment", exact=True)).to_have_count(0)
