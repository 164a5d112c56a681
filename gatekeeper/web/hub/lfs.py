"""Git LFS as `git lfs` and the Hub's clients speak it: where to send files, where to get them, and no locks."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from gatekeeper import authz, tokens
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action
from gatekeeper.errors import NotAllowed, NotFound, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, git, lfs, lfs_downloads
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.hub import resolve, schemas, uploads
from gatekeeper.web.hub.doors import bare
from gatekeeper.web.hub.programs import LFS_JSON, for_lfs
from gatekeeper.web.hub.repositories import NotOffered

_BODY_LIMIT = 2**20


async def lfs_batch(call: Call) -> Response:
    """`POST /{repo}.git/info/lfs/objects/batch`: where to send what is not here yet, or where to get what is."""
    asked = schemas.parse(schemas.LfsBatch, await read_body(call.request, limit=_BODY_LIMIT))
    if asked.operation == "upload":
        async with call.writing(Action.UPLOAD) as inside:
            return await uploads.batch(inside)
    async with call.gatekeeper.db.read() as session:
        await call.recheck(session)
        return await _downloads(call, session, [lfs.Wanted(item.oid, item.size) for item in asked.objects])


async def _downloads(call: Call, session: AsyncSession, wanted: Sequence[lfs.Wanted]) -> Response:
    """Addresses for the files that lie in a commit which the caller may have; all others are not there."""
    gatekeeper, repo, instant = call.gatekeeper, call.repo, now()
    graph, served = await authz.fetchable(session, gatekeeper.policies, call.principal, repo, instant=instant)
    planned = await lfs.plan_download(session, repo, wanted)
    stored = [plan.sha256 for plan in planned if plan.is_stored]
    places = await git.find_lfs(session, repo, graph, served.order, stored)
    rows = []
    for file, plan in zip(wanted, planned, strict=True):
        known, address = plan, None
        if plan.sha256 in places:
            commit, _ = places[plan.sha256]
            key = gatekeeper.keys.links
            signed = lfs_downloads.sign(key, repo, commit, plan.sha256, by=call.principal, instant=instant)
            address = gatekeeper.url(f"/downloads/lfs/{signed}")
        else:
            # The same for what nobody has, what others have, and what this caller may not have: the size is theirs.
            known = lfs.Planned(plan.sha256, file.size, False, 404, "Object does not exist")
        rows.append(schemas.lfs_download(known, address=address, seconds=lfs_downloads.ADDRESS_SECONDS))
    return JSONResponse(schemas.lfs_batch(rows), media_type=LFS_JSON)


async def download(call: Call) -> Response:
    """`GET /downloads/lfs/{signed}`: the file, if who asked for the address may still have it."""
    gatekeeper, session, instant = call.gatekeeper, call.session, now()
    claim = lfs_downloads.verify(gatekeeper.keys.links, call.params["signed"], instant=instant)
    if claim.person_id is not None and call.principal.person_id not in (None, claim.person_id):
        raise NotAllowed(
            "This download address was given to somebody else.",
            code="InvalidDownloadAddress",
            next_step="Run git lfs pull with your own token; it asks for an address of your own.",
        )
    repo = await catalogue.by_id(session, claim.repo_id)
    if repo is None:
        raise RepoNotFound("Repository not found.", next_step="It was deleted in the meantime.")
    principal = Principal()
    if claim.person_id is not None:
        principal = await tokens.resume(session, claim.person_id, claim.token_id)
    known = await authz.load(session, principal, repo, commit=claim.commit, instant=instant)
    authz.require(gatekeeper.policies, principal, Action.KNOW, known, instant)
    graph = await git.load_graph(session, repo)
    places = await git.find_lfs(session, repo, graph, [claim.commit], [claim.sha256])
    if claim.sha256 not in places:
        raise NotFound("The file is not there any more.", next_step="Run git fetch, then git lfs pull.")
    path = places[claim.sha256][1]
    resource = await authz.load(session, principal, repo, commit=claim.commit, path=path, instant=instant)
    as_asked = replace(
        call,
        principal=principal,
        params={"path": path},
        repo_or_none=repo,
        commit=claim.commit,
        resource_or_none=resource,
    )
    return resolve.FileAnswer(await resolve.prepare(as_asked), gatekeeper.cache.keep)


async def list_locks(call: Call) -> Response:
    """`GET .../info/lfs/locks`: an empty list, for files are not locked here."""
    return JSONResponse({"locks": []}, media_type=LFS_JSON)


async def no_locks(call: Call) -> Response:
    """`POST .../info/lfs/locks`: refused with 501, which `git lfs` reads as files that are not locked here."""
    raise NotOffered("Files are not locked here.", next_step="Go on without a lock.", status=501)


_LFS = "/{ns}/{name}.git/info/lfs"
ROUTES = [
    *for_lfs(
        [
            *bare(f"{_LFS}/objects/batch", lfs_batch, needs=Action.KNOW, methods=("POST",), mode="own"),
            *bare(f"{_LFS}/objects/verify", uploads.verify, needs=Action.UPLOAD, methods=("POST",), mode="read"),
            *bare(f"{_LFS}/locks", list_locks, needs=Action.KNOW),
            *bare(f"{_LFS}/locks", no_locks, needs=Action.KNOW, methods=("POST",), mode="read"),
            *bare(f"{_LFS}/locks/verify", no_locks, needs=Action.KNOW, methods=("POST",), mode="read"),
            # The signed address says who and what; `download` decides about that person itself.
            guarded("/downloads/lfs/{signed}", download, needs=None),
        ]
    ),
]
