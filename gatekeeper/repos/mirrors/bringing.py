"""Bringing a mirror up to its upstream: what changed there, the objects and files that are lacking, one transaction.

Three steps, so that no transaction is open while bytes travel: `bring` (network and disk; large files are noted one by
one), then `apply` (one short transaction that moves the references), or nothing at all.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, Invalid, RevisionNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import git, refs
from gatekeeper.repos.git.graph import Node, load_graph, parse, reach
from gatekeeper.repos.git.pushed import Command, Push
from gatekeeper.repos.git.unpack import Unpacked, unpack
from gatekeeper.repos.mirrors import large, rows
from gatekeeper.repos.mirrors.line import Advert, Line
from gatekeeper.repos.mirrors.tables import Mirror
from gatekeeper.repos.paths import is_oid
from gatekeeper.repos.storage import Store
from gatekeeper.repos.tables import Repo

_MOST_COMMITS = 100_000
_MOST_ROWS = 20_000_000
_PULLS = "refs/pr/"
_ALL = "*"


@dataclass(frozen=True, slots=True)
class Brought:
    """What is ready to be applied.

    heads      what the upstream's references point at
    revisions  those that are followed from now on; none means all
    rewound    references whose history here will be replaced
    lost       commits that no reference will lead to any more
    gone       references that the upstream no longer has; they are kept here
    """

    push: Push
    checked: git.Checked
    heads: Mapping[str, str]
    revisions: tuple[str, ...]
    rewound: tuple[str, ...]
    lost: frozenset[str]
    gone: tuple[str, ...]
    large_bytes: int


@asynccontextmanager
async def bring(
    db: Database,
    store: Store,
    repo: Repo,
    mirror: Mirror,
    line: Line,
    *,
    asked: Sequence[str] = (),
    folder: Path,
    limit_bytes: int,
    by: Principal,
    force: bool = False,
    say: large.Say,
) -> AsyncIterator[Brought]:
    """Fetch what the mirror lacks; its push is empty where nothing changed.

    asked        references to follow beside those of the times before; none means all branches and tags
    folder       for parts of files; what is there already is not fetched again
    limit_bytes  the largest file that is taken
    force        replace history here by the upstream's where the two differ

    Raises Conflict where they differ, and what the upstream refuses.
    """
    async with large.working_folder(folder, repo) as place:
        say(f"Asking {line.upstream.endpoint} for {line.upstream.full_name}.")
        advert = await line.advert()
        followed = _followed(mirror, asked)
        choose(advert, asked)
        chosen = choose(advert, followed)
        async with db.read() as s:
            here = {ref.name: ref.object_id for ref in await refs.listing(s, repo)}
            graph = await load_graph(s, repo)
        commands = _commands(mirror, here, chosen, force=force)
        unpacked = Unpacked(place)
        try:
            push = Push(tuple(commands), unpacked, bands=False, shallow=advert.boundary)
            known = {oid for oid in here.values() if oid in graph}
            await _fetch(line, push, known=known, graph=graph, folder=place, say=say)
            rewound, lost = _rewound(mirror, push, here, graph, force=force)
            files = await asyncio.to_thread(large.named_by, push)
            size = await large.bring(
                db, store, repo, line, files, folder=place, limit_bytes=limit_bytes, by=by, say=say
            )
            if commands:
                say("Checking every commit and file.")
            async with db.read() as s:
                checked = await git.check(
                    s,
                    repo,
                    push,
                    store=store,
                    most_commits=_MOST_COMMITS,
                    most_rows=_MOST_ROWS,
                    may_make_pulls=True,
                )
            gone = tuple(sorted(set(mirror.heads) - set(chosen) - {refs.MAIN}))
            yield Brought(push, checked, chosen, followed, rewound, lost, gone, size)
        finally:
            unpacked.close()


async def apply(s: AsyncSession, repo: Repo, brought: Brought, *, by: Principal) -> list[tuple[str, str]]:
    """Write the objects, move the references and note it, in the caller's transaction.

    Returns what follows from each new commit, as `git.apply`. Raises Stale when somebody was faster.
    """
    notes = []
    if brought.push.commands:
        notes = await git.apply(s, repo, brought.push, brought.checked, by=by, may_rewind=True, way="mirror")
    mirror = await rows.find(s, repo)
    if mirror is None:
        raise Conflict(f"{repo.full_name} is no mirror any more.", next_step="Begin again under another name.")
    moved = {command.ref: [command.old, command.new] for command in brought.push.commands}
    mirror.heads = mirror.heads | dict(brought.heads)
    mirror.revisions = list(brought.revisions)
    mirror.brought_at = mirror.checked_at = now()
    mirror.problem = ""
    s.add(mirror)
    if not moved:
        return notes
    body = {
        "endpoint": mirror.endpoint,
        "upstream": mirror.upstream,
        "refs": moved,
        "replaced": list(brought.rewound),
        "commits": len(brought.checked.commits),
        "large_bytes": brought.large_bytes,
    }
    await ledger.record(
        s, "repos:mirror:bring", actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body=body
    )
    return notes


def _followed(mirror: Mirror, asked: Sequence[str]) -> tuple[str, ...]:
    """What is followed from now on: once it was all branches and tags, it stays so."""
    if mirror.brought_at is None:
        return tuple(asked)
    return tuple(sorted({*(mirror.revisions or [_ALL]), *asked}))


def choose(advert: Advert, revisions: Sequence[str]) -> dict[str, str]:
    """The upstream's references that are followed. Raises RevisionNotFound.

    revisions  branches and tags by short or full name, pull requests as `refs/pr/3`, `*` or none for all but the latter
    """
    if not advert.refs:
        raise Invalid("The upstream shows no branch of the repository.", next_step="Check that you may read it there.")
    chosen: dict[str, str] = {}
    for revision in revisions or [_ALL]:
        if revision == _ALL:
            chosen |= {name: oid for name, oid in advert.refs.items() if not name.startswith(_PULLS)}
            continue
        names = [revision, f"refs/heads/{revision}", f"refs/tags/{revision}"]
        name = next((name for name in names if name in advert.refs), None)
        if name is None:
            hint = "A mirror follows branches and tags, not single commits" if is_oid(revision) else "There are"
            short = [name.removeprefix("refs/heads/").removeprefix("refs/tags/") for name in sorted(advert.refs)]
            raise RevisionNotFound(
                f"The upstream has no branch, tag or pull request {revision[:80]}.",
                next_step=f"{hint}: {', '.join(short[:20])}.",
            )
        chosen[name] = advert.refs[name]
    return chosen


def _commands(mirror: Mirror, here: Mapping[str, str], chosen: Mapping[str, str], *, force: bool) -> list[Command]:
    commands = []
    for name, new in sorted(chosen.items()):
        old = here.get(name)
        if old == new:
            continue
        if old and name.startswith(_PULLS) and name not in mirror.heads:
            raise Conflict(
                f"{name} is a pull request that was opened here.",
                next_step="Leave it out: a number means one thing in a repository. A second mirror can hold it.",
            )
        if old != mirror.heads.get(name) and not force:
            what = "was deleted here" if old is None else "has commits of its own here"
            raise Conflict(
                f"{name} {what}, so it is no longer a copy of the upstream's.",
                next_step="Move your commits to another branch, or run this with --force to have the upstream's again.",
            )
        commands.append(Command(name, old, new))
    return commands


async def _fetch(
    line: Line, push: Push, *, known: set[str], graph: Mapping[str, Node], folder: Path, say: large.Say
) -> None:
    wanted = sorted({command.new for command in push.commands if command.new and command.new not in graph})
    if not wanted:
        return
    say(f"Fetching {len(wanted)} branches and tags.")
    with tempfile.TemporaryFile(dir=folder) as file:
        await line.fetch(wanted, sorted(known), file)
        await asyncio.to_thread(unpack, file, push.unpacked)


def _rewound(
    mirror: Mirror, push: Push, here: Mapping[str, str], graph: Mapping[str, Node], *, force: bool
) -> tuple[tuple[str, ...], frozenset[str]]:
    """References that do not go forward, and the commits that are lost with them. Conflict unless `force`."""
    pack = push.unpacked
    whole = dict(graph)
    whole |= {oid: parse(pack.read(oid)) for oid, packed in pack.objects.items() if packed.kind == "commit"}
    rewound = []
    for command in push.commands:
        if command.old is None or command.new is None or command.old == mirror.first:
            continue
        if command.ref.startswith("refs/tags/") or command.old not in reach(whole, [command.new]):
            rewound.append(command.ref)
    if rewound and not force:
        raise Conflict(
            f"The upstream's {', '.join(rewound)[:200]} no longer leads to what was brought from it.",
            next_step="Its history was rewritten. Look at it, then run this with --force to replace the copy here.",
        )
    after = dict(here) | {command.ref: command.new or "" for command in push.commands}
    return tuple(rewound), frozenset(reach(whole, here.values()) - reach(whole, after.values()) - {mirror.first})
