"""However many rows a list shows, it asks the database as often: the statements of each are counted, not timed."""

import json
import struct

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, community, releases, repos
from gatekeeper.access.tables import AccessGrant, AccessRequest
from gatekeeper.accounts import OPERATOR, Principal, Role, namespaces
from gatekeeper.community import ItemKind
from gatekeeper.kit.clock import now
from gatekeeper.notices.tables import Notice
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import AddFile, Gate, Repo, RepoKind, cards, objects, revisions
from gatekeeper.repos.lru import Lru
from gatekeeper.web.hub import schemas
from tests.gatekeeper.web.site import Site

pytestmark = pytest.mark.anyio

_EVERYTHING = "&".join(f"expand={name}" for name in schemas.EXPANDABLE[RepoKind.MODEL])
_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
_WEIGHTS = struct.pack("<Q", len(_HEADER)) + _HEADER + bytes(4)
_CARD = """---
license: other
license_name: {license}
base_model: lab/base
base_model_relation: {relation}
pipeline_tag: text-to-image
---
Draws small pictures of everyday things, such as apples and trees, from their names.

## Changes

Smaller.
"""
# who asks, what they ask
LISTS = {
    "models by API, every detail": ("ada", f"/api/models?limit=100&{_EVERYTHING}"),
    "models by API with files and cards": ("grace", "/api/models?limit=100&full=true&cardData=true"),
    "models by API for nobody in particular": ("", "/api/models?limit=100"),
    "tags": ("ada", "/api/models-tags-by-type"),
    "one model with its derivatives": ("ada", "/api/models/lab/base?expand=childrenModelCount"),
    "derivatives, page": ("ada", "/lab/base"),
    "home": ("ada", "/"),
    "browse": ("ada", "/models"),
    "search": ("grace", "/models?q=made"),
    "collections by API": ("ada", "/api/collections"),
    "collections": ("grace", "/collections"),
    "review queue": ("grace", "/admin/requests"),
    "repositories in care": ("grace", "/admin/repositories"),
    "dashboard": ("grace", "/admin"),
    "grants": ("grace", "/lab/base/grants"),
    "organizations": ("grace", "/admin/organizations"),
    "releases": ("grace", "/lab/base/releases"),
    "releases by API": ("ada", "/api/models/lab/base/releases"),
    "discussions": ("ada", "/lab/base/discussions"),
    "discussions by API": ("ada", "/api/models/lab/base/discussions"),
    "notices": ("grace", "/notices"),
    "my requests": ("ada", "/requests"),
}


async def test_lists_ask_the_database_as_often_for_many_rows_as_for_few(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.model("base")
    readers = {name: await site.as_(name) if name else site.browser() for name in ("", "ada", "grace")}
    await _grow(site, range(3))
    few = await _statements(site, readers, monkeypatch)
    await _grow(site, range(3, 9))

    many = await _statements(site, readers, monkeypatch)

    assert {name: (count, many[name]) for name, count in few.items() if many[name] > count} == {}


async def _statements(
    site: Site, readers: dict[str, httpx2.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """How many statements each list takes in a process that remembers no folder, commit or card."""
    found = {}
    for name, (reader, path) in LISTS.items():
        for module, cache in ((objects, "_folders"), (revisions, "_commits"), (cards, "_cards")):
            monkeypatch.setattr(module, cache, Lru(1_000_000))
        with site.statements() as statements:
            answer = await readers[reader].get(path)
        assert answer.status_code == 200, (path, answer.text[:500])
        found[name] = len(statements)
    return found


async def _grow(site: Site, numbers: range) -> None:
    """For each number a plain, a licensed and a staged model made from lab/base, and more of all that hangs on it."""
    ladder = Ladder.load()
    async with site.gatekeeper.db.write() as session:
        grace, ada = (site.people[name] for name in ("grace", "ada"))
        by = await accounts.principals.for_person(session, grace)
        base = await repos.require(session, RepoKind.MODEL, "lab/base")
        lab = await namespaces.find_namespace(session, "lab")
        assert lab is not None
        for number in numbers:
            for kind in ("plain", "licensed", "staged"):
                made = await repos.create(session, RepoKind.MODEL, "lab", f"{kind}{number}", by=by)
                card = _CARD.format(
                    license="nobody-knows" if kind == "plain" else "gatekeeper-emoji-openrail-m",
                    relation="finetune" if number % 2 else "adapter",
                )
                files = [AddFile("README.md", card.encode()), AddFile("unet/config.json", b"{}")]
                files += [
                    AddFile("config.json", b'{"model_type": "%d"}' % number),
                    AddFile("model.safetensors", _WEIGHTS),
                ]
                files += [AddFile("LICENSE", f"As you like, number {number}.".encode())] if kind == "plain" else []
                commit = await repos.commit(session, made, "main", files, summary="Upload", by=by)
                if kind == "plain":
                    await repos.update_settings(session, made, gate=Gate.MANUAL, by=by)
                if kind == "staged":
                    await releases.enable_staging(session, made, by=by)
                    await _release(session, made, commit, by, ladder)
                session.add(AccessRequest(repo_id=made.id, person_id=ada.id, waiting_since=now()))
            curated = await community.collections.create(session, lab, f"Of {number}", by=by, private=number % 2 == 0)
            await community.collection_items.add(session, curated.collection, made, ItemKind.MODEL, by=by)
            commit = await repos.commit(
                session, base, "main", [AddFile("n.json", b"%d" % number)], summary=f"Number {number}", by=by
            )
            await _release(session, base, commit, by, ladder)
            await community.discussions.open_discussion(session, base, title=f"Number {number}", text="Hello", by=by)
            person = await accounts.people.add(session, f"reader{number}", email=f"r{number}@example.org", by=OPERATOR)
            group = await accounts.organizations.create(session, f"group{number}", by=by)
            await accounts.offers.make(session, group, person, Role.READ, by=by)
            await accounts.organizations.add_member(session, group, ada, Role.WRITE, by=by)
            await session.flush()  # the grant refers to them
            session.add(AccessGrant(repo_id=base.id, person_id=person.id, granted_by=person.id))
            session.add(
                Notice(person_id=grace.id, kind="request-approved", event_key=str(number), facts={"repo": "lab/base"})
            )


async def _release(session: AsyncSession, repo: Repo, commit: str, by: Principal, ladder: Ladder) -> None:
    proposal = await releases.propose(session, repo, commit, Stage.RESEARCH_PREVIEW, by=by, ladder=ladder)
    await releases.approve_proposal(session, proposal, by=by)
    await releases.promote(session, proposal, by=by, ladder=ladder)
