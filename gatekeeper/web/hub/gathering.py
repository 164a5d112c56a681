"""Gathering what the API says of repositories, for many at once: as far as the caller may see each."""

from collections.abc import Sequence
from dataclasses import replace

from gatekeeper import authz
from gatekeeper.authz import Action, Resource
from gatekeeper.kit.clock import now
from gatekeeper.repos import Card, Repo, cards, history, popularity, scanning
from gatekeeper.repos.history import TreeEntry
from gatekeeper.repos.popularity import Popularity
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.described import Described
from gatekeeper.web.hub.details import ASKED, Place, details
from gatekeeper.web.hub.paging import flag


async def describe(
    call: Call, rows: Sequence[tuple[Repo, Resource]], *, with_files: bool, wanted: frozenset[str] = frozenset()
) -> list[Described]:
    """What the caller may see of each: files and card only as far as those rights go, and the `wanted` details."""
    session, instant, policies = call.session, now(), call.gatekeeper.policies

    def may(action: Action, place: Place) -> bool:
        return bool(authz.decide(policies, call.principal, action, place.resource, instant))

    commits = {repo.id: call.commit for repo, _ in rows} if call.commit else await visible_commits(call, rows)
    places = [Place(repo, resource, commits[repo.id]) for repo, resource in rows]
    if with_files:
        listed = [place for place in places if may(Action.LIST_FILES, place)]
        await history.warm(session, [(place.repo.id, place.commit) for place in listed], is_whole=True)
        read = {place.repo.id: await _files(call, place) for place in listed}
        places = [replace(place, files=read.get(place.repo.id, ())) for place in places]
    readable = [(place.repo, place.commit) for place in places if may(Action.READ_CARD, place)]
    card = await cards.cards_of(session, readable)
    files = {place.repo.id: place.files for place in places if place.files and flag(call, "securityStatus")}
    scans = await scanning.results_of_each(session, files) if files else {}
    numbers = await popularity.of(session, commits)
    more = await details(call, places, wanted) if wanted & ASKED else {}
    found = []
    for place in places:
        repo, known = place.repo, authz.decide(policies, call.principal, Action.KNOW, place.resource, instant)
        stage = known.revision.stage if known.revision is not None else None
        found.append(
            Described(
                repo,
                place.commit,
                place.files,
                card.get((repo.id, place.commit), Card()),
                _is_private(repo, stage),
                _gated(repo, stage),
                scans.get(repo.id),
                numbers.get(repo.id, Popularity()),
                more.get(repo.id, {}),
            )
        )
    return found


async def visible_commits(call: Call, rows: Sequence[tuple[Repo, Resource]]) -> dict[str, str]:
    """What `main` means for the caller, by repository: for writers the branch, else the best release they may know."""
    instant, policies = now(), call.gatekeeper.policies
    found: dict[str, str] = {}
    for repo, resource in rows:
        known = authz.decide(policies, call.principal, Action.KNOW, resource, instant)
        sees_branch = repo.is_staged and authz.decide(policies, call.principal, Action.WRITE, resource, instant)
        if known.revision is not None and known.revision.commit and not sees_branch:
            found[repo.id] = known.revision.commit
    branches = [repo.id for repo, _ in rows if repo.id not in found]
    return found | (await history.heads(call.session, branches) if branches else {})


async def visible_commit(call: Call, repo: Repo, resource: Resource) -> str:
    """The same for one repository."""
    return (await visible_commits(call, [(repo, resource)]))[repo.id]


async def _files(call: Call, place: Place) -> tuple[TreeEntry, ...]:
    tree = await history.tree(call.session, place.repo, place.commit, recursive=True)
    return tuple(entry for entry in tree if entry.type == "file")


def _is_private(repo: Repo, stage: object) -> bool:
    """Whether the public hub would call it private: not everybody may know it."""
    return repo.is_private if not repo.is_staged else stage in (None, "draft", "internal", "trusted_test")


def _gated(repo: Repo, stage: object) -> str | bool:
    """What the public hub's clients show. A release in stages below open is given by hand."""
    return schemas.gated(repo.gate) if not repo.is_staged else ("manual" if stage != "open" else "auto")
