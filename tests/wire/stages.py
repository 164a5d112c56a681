"""What maintainers do to a running hub's database from beside it, and what people answer: for tests of stages."""

from typing import Any

from gatekeeper import releases, repos
from gatekeeper.accounts import people, principals
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import RepoKind
from gatekeeper.web.state import Gatekeeper
from tests.wire.server import Hub

CARD = (
    b"---\nlicense: other\nlicense_name: kind\npipeline_tag: text-to-image\nlibrary_name: diffusers\n---\n# Kind\n"
    + (b"A model for tests of stages. It is meant for nothing else.\n" * 3)
)


def accept_terms(hub: Hub, person_name: str, name: str) -> None:
    """Accept every text and answer every question, as the page would."""
    with hub.http(person_name) as http:
        stands = http.get(f"/api/models/{name}/access").json()
        asked = {"accept": [text["sha256"] for text in stands["terms"]], "fields": {}}
        asked["fields"] = {field["name"]: answer_field(field) for field in stands["fields"]}
        assert http.post(f"/api/models/{name}/access", json=asked).status_code == 201


def answer_field(field: dict[str, Any]) -> Any:
    """Something that fits the question."""
    match field["type"]:
        case "checkbox":
            return True
        case "select":
            return field["options"][0]["value"]
        case "country":
            return "DE"
        case "date_picker":
            return "2026-01-31"
    return "a university"


async def stage(gatekeeper: Gatekeeper, name: str) -> None:
    """From now on releases decide."""
    async with gatekeeper.db.write() as session:
        repo = await repos.require(session, RepoKind.MODEL, name)
        by = await principals.for_person(session, await person(session, "ada"))
        await releases.enable_staging(session, repo, by=by)


async def release(gatekeeper: Gatekeeper, name: str) -> None:
    """Bring the head of main up to open."""
    ladder = Ladder.load(None)
    async with gatekeeper.db.read() as session:
        repo = await repos.require(session, RepoKind.MODEL, name)
        commit = await repos.resolve_revision(session, repo, "main")
    await repos.scanning.scan(gatekeeper.db, gatekeeper.store, repo.id, [commit], seconds=60)
    async with gatekeeper.db.write() as session:
        repo = await repos.require(session, RepoKind.MODEL, name)
        by = await principals.for_person(session, await person(session, "ada"))
        commit = await repos.resolve_revision(session, repo, "main")
        proposal = await releases.propose(session, repo, commit, Stage.OPEN, by=by, ladder=ladder, note="")
        await releases.approve_proposal(session, proposal, by=by)
        await releases.promote(session, proposal, by=by, ladder=ladder)


async def hold(gatekeeper: Gatekeeper, name: str) -> None:
    """Stop the open release."""
    async with gatekeeper.db.write() as session:
        repo = await repos.require(session, RepoKind.MODEL, name)
        by = await principals.for_person(session, await person(session, "ada"))
        release = next(row for row in await releases.list_for(session, repo) if row.stage is Stage.OPEN)
        await releases.hold(session, release, by=by, reason="An incident is looked into.")


async def person(session: Any, name: str) -> Any:
    """A person who is there."""
    found = await people.find(session, name)
    assert found is not None
    return found
