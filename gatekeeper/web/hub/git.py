"""Git over smart HTTP: `clone`, `fetch` and `push` with a token as the password.

Source: git's Documentation/gitprotocol-http. Protocol version 0 is spoken; newer clients fall back on it by themselves.
"""

import asyncio
import tempfile
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gatekeeper import authz, community, ledger, releases
from gatekeeper.authz import Action
from gatekeeper.community import pulls
from gatekeeper.errors import GatekeeperError, Invalid, NotSignedIn, TooLarge
from gatekeeper.kit.clock import now
from gatekeeper.repos import git
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import pushes
from gatekeeper.web.hub.doors import bare
from gatekeeper.web.hub.programs import for_git
from gatekeeper.web.hub.spool import spooled

_ASKED_LIMIT = 16 * 2**20
_PUSH_LIMIT = 512 * 2**20
_PIECE = 2**20

# A pack is unpacked on disk and read back in pieces; several large pushes wait for each other instead of adding up.
_two_pushes = asyncio.Semaphore(2)


async def info_refs(call: Call) -> Response:
    """`GET .../info/refs?service=...`: the references that the caller may fetch, or push to, in Git's protocol."""
    gatekeeper, instant = call.gatekeeper, now()
    match call.request.query_params.get("service"):
        case "git-upload-pack":
            _, served = await authz.fetchable(
                call.session, gatekeeper.policies, call.principal, call.repo, instant=instant
            )
            return _answer("git-upload-pack-advertisement", git.advertise_fetch(served))
        case "git-receive-pack":
            authz.require(gatekeeper.policies, call.principal, Action.UPLOAD, call.resource, instant)
            found = await pushes.targets(call, call.session)
            return _answer("git-receive-pack-advertisement", git.advertise_push(found))
    raise Invalid("Only Git's smart HTTP protocol is spoken here.", next_step="Use git 1.6.6 or newer.")


async def upload_pack(call: Call) -> Response:
    """`POST .../git-upload-pack`: a pack of what a clone or fetch lacks, as far as the caller may download it."""
    gatekeeper = call.gatekeeper
    async with _body(call, limit=_ASKED_LIMIT) as body:
        asked = await asyncio.to_thread(git.read_wanted, body)
    async with gatekeeper.db.read() as session:
        await call.recheck(session)
        graph, served = await authz.fetchable(session, gatekeeper.policies, call.principal, call.repo, instant=now())
    pieces = await git.answer(gatekeeper.db, call.repo, graph, served, asked)
    if asked.is_done:
        await gatekeeper.cache.keep(
            ledger.fields(
                "repos:history:fetch",
                actor=call.principal.person_id,
                token=call.principal.token_id,
                repo=call.repo.id,
                subject=asked.wants[0] if asked.wants else call.repo.id,
                body={"wants": list(asked.wants[:50]), "depth": asked.depth, "is_update": bool(asked.haves)},
            )
        )
    return StreamingResponse(pieces, media_type="application/x-git-upload-pack-result", headers=_headers())


async def receive_pack(call: Call) -> Response:
    """`POST .../git-receive-pack`: take a push, checked like a commit by API and applied in one transaction."""
    gatekeeper = call.gatekeeper
    folder = gatekeeper.store.staging
    async with _body(call, limit=_PUSH_LIMIT) as body, _two_pushes:
        push = await asyncio.to_thread(git.read_push, body, folder=folder)
        try:
            return _answer("git-receive-pack-result", await _receive(call, push) if push.commands else b"")
        finally:
            push.unpacked.close()


async def _receive(call: Call, push: git.Push) -> bytes:
    gatekeeper, may_write = call.gatekeeper, pushes.may_write(call)
    try:
        if not may_write:
            await pushes.bring_large_files(call, push)
        # The long part needs no lock: objects are only ever added, and what can change is looked at again in `apply`.
        async with gatekeeper.db.read() as session:
            checked = await git.check(session, call.repo, push, store=gatekeeper.store)
        async with gatekeeper.db.write() as session:
            await call.recheck(session, Action.WRITE if may_write else Action.UPLOAD)
            if not may_write:
                await pushes.require_allowed(call, session, push, checked)
            notes = await git.apply(session, call.repo, push, checked, by=call.principal)
            for commit, branch in notes:
                await releases.take_note(session, call.repo, commit, branch=branch, by=call.principal)
            await _to_pulls(call, session, push, checked, may_write=may_write)
    except NotSignedIn:
        raise
    except GatekeeperError as problem:
        return git.report(push, problem)
    return git.report(push)


async def _to_pulls(
    call: Call, session: AsyncSession, push: git.Push, checked: git.Checked, *, may_write: bool
) -> None:
    """What follows for pull requests: commits that were pushed to one are its own, those on a branch no proposals.

    may_write  else nothing but the new commits was put on top of what each held, and their size is counted
    """
    size = 0 if may_write else pushes.size_of(push, checked)
    moved = [command for command in push.commands if command.new is not None]
    for command in moved:
        if command.ref.startswith(pulls.PREFIX):
            pull = await pulls.of_ref(session, call.repo, command.ref)
            pulls.require_open(pull)
            behind = git.reach(await git.load_graph(session, call.repo), [command.new or ""])
            new = [oid for oid in checked.commits if oid in behind]
            await pulls.take_note(
                session,
                call.repo,
                pull,
                new,
                by=call.principal,
                on=command.old or "",
                is_whole=not may_write,
                counted_bytes=size if command is moved[0] else 0,
            )
    for command in moved:
        if not command.ref.startswith(pulls.PREFIX):
            await community.proposals.adopt(session, call.repo, command.ref)


@asynccontextmanager
async def _body(call: Call, *, limit: int) -> AsyncIterator[IO[bytes]]:
    """The request's body on disk, decompressed. Raises Invalid, and TooLarge beyond `limit` in either form."""
    folder = call.gatekeeper.store.staging
    async with spooled(call.request, directory=folder, limit=limit) as body:
        if not _is_compressed(call.request):
            yield body
            return
        with tempfile.TemporaryFile(dir=str(folder)) as plain:
            await asyncio.to_thread(_decompress, body, plain, limit)
            yield plain


def _is_compressed(request: Request) -> bool:
    match request.headers.get("content-encoding", "identity").lower():
        case "identity":
            return False
        case "gzip" | "x-gzip":
            return True
    raise Invalid("The body's encoding is not known here.", next_step="Send it as it is, or as gzip.", status=415)


def _decompress(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    size, waiting = 0, b""
    try:
        while not stream.eof and (waiting or (waiting := source.read(_PIECE))):
            piece = stream.decompress(waiting, _PIECE)
            waiting = stream.unconsumed_tail
            size += len(piece)
            if size > limit:
                raise TooLarge(f"The request has more than {limit:,} bytes.", next_step="Push fewer commits at once.")
            target.write(piece)
    except zlib.error:
        raise Invalid("The compressed body cannot be read.", next_step="Send it again.") from None
    if not stream.eof:
        raise Invalid("The compressed body is cut off.", next_step="Send it again.")
    target.seek(0)


def _answer(kind: str, body: bytes) -> Response:
    return Response(body, media_type=f"application/x-{kind}", headers=_headers())


def _headers() -> dict[str, str]:
    return {"Cache-Control": "no-cache, max-age=0, must-revalidate", "Vary": "Authorization, Cookie"}


ROUTES = for_git(
    [
        route
        for name in ("{name}.git", "{name}")
        for route in (
            *bare(f"/{{ns}}/{name}/info/refs", info_refs, needs=Action.KNOW),
            *bare(f"/{{ns}}/{name}/git-upload-pack", upload_pack, needs=Action.KNOW, methods=("POST",), mode="own"),
            *bare(f"/{{ns}}/{name}/git-receive-pack", receive_pack, needs=Action.UPLOAD, methods=("POST",), mode="own"),
        )
    ]
)
