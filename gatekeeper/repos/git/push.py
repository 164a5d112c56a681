"""Receive-pack: the commands of a push, its pack on disk, and the one transaction that makes it happen.

A push is all or nothing: one reference that is refused refuses the others.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import GatekeeperError, Invalid, Stale
from gatekeeper.kit.clock import now
from gatekeeper.repos import arrivals, commits, refs, revisions
from gatekeeper.repos.git import pktline
from gatekeeper.repos.git.checks import Checked
from gatekeeper.repos.git.graph import load_graph, reach
from gatekeeper.repos.git.pushed import Command, Push
from gatekeeper.repos.git.unpack import Unpacked, unpack
from gatekeeper.repos.paths import is_oid
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import GitObject, GitRef, Repo

_CAPABILITIES = "report-status delete-refs side-band-64k ofs-delta no-thin atomic agent=gatekeeper object-format=sha1"
_NOTHING = "0" * 40
_MOST_COMMANDS = 1_000
_BATCH_BYTES = 8 * 2**20


def advertise_push(found: Sequence[GitRef]) -> bytes:
    """The answer to `info/refs?service=git-receive-pack`: every reference, for those who may write."""
    rows = [f"{ref.object_id} {ref.name}" for ref in found] or [f"{_NOTHING} capabilities^{{}}"]
    rows[0] += f"\0{_CAPABILITIES}"
    body = b"".join(pktline.line(f"{row}\n".encode()) for row in rows)
    return pktline.line(b"# service=git-receive-pack\n") + pktline.FLUSH + body + pktline.FLUSH


def read_push(file: IO[bytes], *, folder: Path) -> Push:
    """The push in `file` (on disk), its objects unpacked into a file in `folder`. Blocking. Raises Invalid, TooLarge.

    No commands make an empty push: git sends one to learn whether it may push at all.
    """
    commands: list[Command] = []
    capabilities: list[bytes] = []
    while (row := pktline.read(file)) is not None:
        row, _, said = row.partition(b"\0")
        capabilities += said.split()
        commands.append(_command(row))
        if len(commands) > _MOST_COMMANDS:
            raise Invalid(f"A push changes at most {_MOST_COMMANDS:,} references.", next_step="Push fewer at once.")
    if len({command.ref for command in commands}) != len(commands):
        raise Invalid("The push names a reference twice.", next_step="Push each reference once.")
    unpacked = Unpacked(folder)
    try:
        if any(command.new for command in commands):
            unpack(file, unpacked)
    except BaseException:
        unpacked.close()
        raise
    return Push(tuple(commands), unpacked, b"side-band-64k" in capabilities)


async def apply(
    s: AsyncSession,
    repo: Repo,
    push: Push,
    checked: Checked,
    *,
    by: Principal,
    may_rewind: bool = False,
    way: str = "git",
) -> list[tuple[str, str]]:
    """Write the objects and change the references, in the caller's write transaction.

    may_rewind  main may lose commits: only where an operator said so
    way         how the commits came, for the evidence

    Returns what follows from each new commit to take note of, parents first: (commit, the branch whose head it is now
    or ""). Raises Stale when a reference is no longer what the client saw, Invalid, Conflict.
    """
    await commits.possessed(s, repo, checked.lfs)  # again: it may have been deleted since
    await _write(s, repo, push.unpacked, checked.objects)
    for command in push.commands:
        await _change(s, repo, command, by=by, may_rewind=may_rewind)
    heads = {command.new: command.ref for command in push.commands if command.new}
    for oid in checked.commits:
        body = {
            "ref": heads.get(oid, push.commands[0].ref),
            "commit": oid,
            "parent": checked.parents[oid],
            "way": way,
        }
        await ledger.record(
            s, "repos:branch:commit", actor=by.person_id, token=by.token_id, repo=repo.id, subject=oid, body=body
        )
    await arrivals.note(s, repo, (oid for oid in checked.commits if oid not in heads))
    repo.updated_at = now()
    s.add(repo)
    main = next((command.new for command in push.commands if command.ref == refs.MAIN), None)
    notes = [(oid, "") for oid in checked.commits if oid != main]
    return [*notes, (main, "main")] if main else notes


def report(push: Push, problem: GatekeeperError | None = None) -> bytes:
    """What git is told: each reference done, or each refused with the reason."""
    rows = [b"unpack ok\n"]
    for command in push.commands:
        said = f"ng {command.ref} {_one_line(problem.message)}" if problem else f"ok {command.ref}"
        rows.append(f"{said}\n".encode("utf-8", "replace"))
    body = b"".join(pktline.line(row) for row in rows) + pktline.FLUSH
    if not push.bands:
        return body
    advice = pktline.band(2, f"{_one_line(problem.sentence)}\n".encode("utf-8", "replace")) if problem else b""
    return advice + pktline.band(1, body) + pktline.FLUSH


async def _write(s: AsyncSession, repo: Repo, unpacked: Unpacked, oids: Sequence[str]) -> None:
    batch: list[str] = []
    held = 0
    for oid in oids:
        batch.append(oid)
        held += unpacked.objects[oid].size
        if held >= _BATCH_BYTES or len(batch) >= 500:
            await _insert(s, repo, unpacked, batch)
            batch, held = [], 0
    await _insert(s, repo, unpacked, batch)


async def _insert(s: AsyncSession, repo: Repo, unpacked: Unpacked, oids: Sequence[str]) -> None:
    def rows() -> list[dict[str, Any]]:
        return [
            {
                "repo_id": repo.id,
                "object_id": oid,
                "kind": unpacked.objects[oid].kind,
                "content": unpacked.read(oid),
            }
            for oid in oids
        ]

    await insert_missing(s, GitObject, await asyncio.to_thread(rows))


async def _change(s: AsyncSession, repo: Repo, command: Command, *, by: Principal, may_rewind: bool) -> None:
    ref, old, new = command.ref, command.old, command.new
    current = await revisions.read_ref(s, repo, ref)
    if current != old:
        raise Stale(f"{ref} was changed by somebody else in the meantime.", next_step="Run git fetch, then push again.")
    body = {"ref": ref, "old": old, "new": new}
    if new is None:
        delete = refs.delete_tag if ref.startswith("refs/tags/") else refs.delete_branch
        await delete(s, repo, ref, by=by)
        return
    if old is None:
        await refs.place(s, repo, ref, new)
    else:
        if not may_rewind and ref == refs.MAIN and old not in reach(await load_graph(s, repo), [new]):
            raise Invalid(
                "main only goes forward: this push would drop commits that are there.",
                next_step="Run git pull --rebase and push again, or push to another branch.",
            )
        await refs.move(s, repo, ref, old=old, new=new)
    kind = "repos:tag:push" if ref.startswith("refs/tags/") else "repos:branch:push"
    await ledger.record(s, kind, actor=by.person_id, token=by.token_id, repo=repo.id, subject=new, body=body)


def _command(row: bytes) -> Command:
    try:
        old, new, ref = row.decode().split(" ", 2)
    except ValueError:
        raise Invalid("The push cannot be read.", next_step="Use git to talk to this address.") from None
    if not is_oid(old) or not is_oid(new) or old == new:
        raise Invalid("The push cannot be read.", next_step="Use git to talk to this address.")
    return Command(ref, None if old == _NOTHING else old, None if new == _NOTHING else new)


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
