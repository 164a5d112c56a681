"""Pushes of who may only propose, by hand: what no git would send, because no git has it."""

import httpx2
import pytest
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree

from gatekeeper.releases import Stage
from gatekeeper.repos import Repo, history, objects
from tests.gatekeeper.repos.test_git import commit_of, request, row
from tests.gatekeeper.web.hub.test_proposals import POINTER, added, propose, put_secret
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio

PULL = "refs/pr/1"


async def push(browser: httpx2.AsyncClient, repo: Repo, old: str, made: Commit, *sent: ShaFile) -> str:
    body = request((old, made.id.decode(), PULL), objects=tuple(map(row, (made, *sent))))
    answer = await browser.post(f"/{repo.full_name}.git/git-receive-pack", content=body)
    assert answer.status_code == 200, answer.text
    return answer.text


async def tree_of(site: Site, repo: Repo, commit: str) -> Tree:
    async with site.gatekeeper.db.read() as session:
        found = await history.require_commit(session, repo, commit)
        content = await objects.read(session, repo.id, found.tree, "tree")
    assert content is not None
    return Tree.from_string(content)


def with_file(tree: Tree, name: bytes, oid: ObjectID, *, mode: int = 0o100644) -> Tree:
    made = Tree.from_string(tree.as_raw_string())
    made.add(name, mode, oid)
    return made


async def test_a_push_lends_nothing_that_was_not_sent(site: Site) -> None:
    repo = await site.model(stage=Stage.OPEN)
    unreleased = await put_secret(site, repo)
    ada, alan = await site.as_("ada"), await site.as_("alan")
    old = (await propose(ada, repo, added("mine.txt", b"mine"))).json()["commitOid"]
    tree, hidden = await tree_of(site, repo, old), await tree_of(site, repo, unreleased)
    pointer = Blob.from_string(POINTER)
    stolen = with_file(tree, b"stolen.bin", pointer.id)
    nested = with_file(tree, b"stolen", hidden.id, mode=0o040000)
    more = Blob.from_string(b"more")
    mine = with_file(tree, b"more.txt", more.id)
    refused = {
        "by the id of a file": (commit_of(stolen, old), [stolen]),
        "by the id of a folder": (commit_of(nested, old), [nested]),
        "by the text of a pointer": (commit_of(stolen, old), [stolen, pointer]),
        "on a hidden commit": (commit_of(mine, unreleased), [mine, more]),
        "on a hidden commit too": (commit_of(mine, old, unreleased), [mine, more]),
        "the hidden folder as a whole": (commit_of(hidden, old), []),
        "on nothing": (commit_of(mine), [mine, more]),
    }
    for way, (made, sent) in refused.items():
        assert f"ng {PULL}" in await push(ada, repo, old, made, *sent), way
    assert f"ng {PULL}" in await push(alan, repo, old, commit_of(mine, old), mine, more)
    assert await _head(ada, repo) == old
    moved = with_file(mine, b"again.txt", tree[b"mine.txt"][1])  # what is there already need not be sent
    made = commit_of(moved, old)
    assert f"ok {PULL}" in await push(ada, repo, old, made, moved, more)
    assert await _head(ada, repo) == made.id.decode()
    for path, content in (("again.txt", b"mine"), ("more.txt", b"more")):
        assert (await ada.get(f"/{repo.full_name}/resolve/{made.id.decode()}/{path}")).content == content
    assert (await alan.get(f"/{repo.full_name}/resolve/{made.id.decode()}/more.txt")).status_code == 404


async def _head(browser: httpx2.AsyncClient, repo: Repo) -> str:
    refs = (await browser.get(f"/api/models/{repo.full_name}/refs?include_prs=1")).json()
    return str(refs["pullRequests"][0]["targetCommit"])
