"""The line of commits and what changed between two: each side is decided as itself."""

import pytest

from gatekeeper import accounts, repos
from gatekeeper.releases import Stage
from gatekeeper.repos import AddFile, DeletePath, Repo, RepoKind, history
from tests.gatekeeper.web.site import CARD, Site, words

pytestmark = pytest.mark.anyio


async def test_a_comparison_tells_files_sizes_texts_and_new_terms(site: Site) -> None:
    repo = await site.plain(RepoKind.MODEL, "plain", card="# One\n\nOld words.\n")
    old = await _head(site, repo)
    new = await _commit(
        site, repo, {"README.md": b"# One\n\nNew words.\n", "LICENSE": b"Do no harm.\n", "train/part.csv": None}
    )

    page = await site.browser().get(f"/lab/plain/compare/{old}..main")

    text = words(page.text)
    assert page.status_code == 200
    assert "3 files differ" in text
    assert "+New words. " in text
    assert "-Old words. " in text
    assert "The terms are not the same" in text
    assert "+ Do no harm." in text
    assert "train/part.csv removed 11 B none" in text
    assert "LICENSE added none 12 B" in text
    back = await site.browser().get(f"/lab/plain/commit/{new}")
    assert back.headers["location"] == f"/lab/plain/compare/{old}..{new}"
    assert "Both versions hold exactly the same" in words(
        (await site.browser().get(f"/lab/plain/compare/{new}..{new[:8]}")).text
    )


async def test_the_line_leads_from_each_commit_to_what_it_changed(site: Site) -> None:
    repo = await site.plain(RepoKind.DATASET, "faces")
    old = await _head(site, repo)
    new = await _commit(site, repo, {"more.csv": b"a,b\n"})

    page = (await site.browser().get("/datasets/lab/faces/commits/main")).text
    chosen = await site.browser().get(f"/datasets/lab/faces/compare?from={old}&to=main")

    assert f'href="/datasets/lab/faces/compare/{old}..{new}"' in page
    assert chosen.headers["location"] == f"/datasets/lab/faces/compare/{old}..main"
    assert (await site.browser().get("/datasets/lab/faces/compare/nonsense")).status_code == 400


async def test_a_draft_behind_a_release_is_neither_listed_nor_compared(site: Site) -> None:
    repo = await site.model("emoji", stage=Stage.OPEN, card=CARD)
    released = await _head(site, repo)
    draft = await _commit(site, repo, {"secret.txt": b"Not yet.\n"}, summary="Secret plan")
    ada, grace = await site.as_("ada"), await site.as_("grace")

    paths = ("/lab/emoji/commits/main", f"/lab/emoji/compare/{released}..{draft}")
    mine = [await grace.get(path) for path in paths]
    theirs = [await ada.get(path) for path in paths]
    turned = await ada.get(f"/lab/emoji/compare/{draft}..{released}")

    assert [answer.status_code for answer in mine] == [200, 200]
    assert "secret.txt" in mine[1].text
    assert "Secret plan" in mine[0].text
    assert theirs[0].status_code == 200
    assert "Secret plan" not in theirs[0].text
    assert theirs[1].status_code == turned.status_code == 404
    assert "secret" not in theirs[1].text + turned.text


async def _head(site: Site, repo: Repo) -> str:
    async with site.gatekeeper.db.read() as session:
        return (await history.heads(session, [repo.id]))[repo.id]


async def _commit(site: Site, repo: Repo, files: dict[str, bytes | None], *, summary: str = "Change") -> str:
    """A commit of these files; None takes one away."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        operations = [
            AddFile(path, content) if content is not None else DeletePath(path) for path, content in files.items()
        ]
        await repos.commit(session, repo, "main", operations, summary=summary, by=by)
    return await _head(site, repo)
