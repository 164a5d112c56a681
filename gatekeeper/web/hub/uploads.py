"""Before a commit: how each file is to be sent, and Git LFS for the large ones."""

import base64
import binascii
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, catalogue, lfs, lfs_parts, shadows, uploads
from gatekeeper.repos.lfs import Claim
from gatekeeper.web import parts
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.hub import places, schemas
from gatekeeper.web.hub.cas import resumed
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import flag
from gatekeeper.web.hub.spool import pieces
from gatekeeper.web.kinds import page_path

_LFS_JSON = "application/vnd.git-lfs+json"


async def preupload(call: Call) -> Response:
    """`POST .../preupload/{rev}`: how each file is to be sent, whether it is ignored, and what is there now."""
    part = await parts.require_part(call, call.session, call.params["rev"], opens=flag(call, "create_pr"))
    asked = schemas.parse(schemas.Preupload, await call.request.body())
    commit = call.commit or ""
    files = [uploads.Announced(file.path, file.size, _sample(file.sample)) for file in asked.files]
    planned = await uploads.plan(call.session, call.repo, commit, files, git_ignore=asked.git_ignore)
    policies = call.gatekeeper.policies
    if not part.may_write and not authz.decide(policies, call.principal, Action.LIST_FILES, call.resource, now()):
        planned = [replace(plan, oid=None) for plan in planned]
    return JSONResponse(schemas.preupload(planned, commit))


async def batch(call: Call) -> Response:
    """`POST /{repo}.git/info/lfs/objects/batch`: where to send what the repository does not have yet."""
    asked = schemas.parse(schemas.LfsBatch, await call.request.body())
    gatekeeper, session = call.gatekeeper, call.session
    place = await places.require(call, session, asked.ref.name if asked.ref else None)
    place = place or await shadows.ensure(session, call.repo, by=call.principal)
    allowance = await places.require_sender(gatekeeper, session, call.principal, place)
    wanted = [lfs.Wanted(item.oid, item.size) for item in asked.objects]
    planned = await lfs.plan_upload(session, place, wanted, by=call.principal, limit_bytes=allowance.file_bytes)
    instant = now()
    verify = gatekeeper.url(f"{page_path(call.repo.kind, call.repo.full_name)}.git/info/lfs/objects/verify")
    rows = []
    in_parts = _in_parts(call, asked.transfers, planned)
    for plan in planned:
        address = None
        if plan in in_parts:
            rows.append(await _parts(call, place, plan, verify=verify, instant=instant))
            continue
        if not plan.is_stored and not plan.code:
            signed = lfs.sign_address(gatekeeper.keys.links, place, plan, by=call.principal, instant=instant)
            address = gatekeeper.url(f"/uploads/lfs/{signed}")
        rows.append(schemas.lfs_object(plan, address=address, verify=verify))
    # One answer has one name; clients tell the files apart by what each holds.
    is_all = bool(in_parts) and all(plan in in_parts for plan in planned if not plan.is_stored and not plan.code)
    return JSONResponse(schemas.lfs_batch(rows, transfer="multipart" if is_all else "basic"), media_type=_LFS_JSON)


def _in_parts(call: Call, transfers: list[str], planned: list[lfs.Planned]) -> list[lfs.Planned]:
    """The files that this client is to send in parts: large ones, as many as one answer can hold the addresses of."""
    settings = call.gatekeeper.settings
    left = lfs_parts.MAX_PARTS
    chosen: list[lfs.Planned] = []
    for plan in planned if "multipart" in transfers else []:
        if not plan.is_stored and not plan.code and plan.size > settings.lfs_multipart_bytes:
            left -= lfs_parts.count(plan.size, settings.lfs_part_bytes)
            if left >= 0:
                chosen.append(plan)
    return chosen


async def _parts(call: Call, place: Repo, plan: lfs.Planned, *, verify: str, instant: datetime) -> dict[str, Any]:
    gatekeeper = call.gatekeeper
    offer = await lfs_parts.offer(
        call.session,
        gatekeeper.keys.links,
        place,
        plan,
        by=call.principal,
        part_bytes=gatekeeper.settings.lfs_part_bytes,
        instant=instant,
    )
    return schemas.lfs_parts(
        plan,
        offer,
        parts=[gatekeeper.url(f"/uploads/parts/{signed}") for signed in offer.parts],
        completion=gatekeeper.url(f"/uploads/complete/{offer.completion}"),
        verify=verify,
    )


async def put(call: Call) -> Response:
    """`PUT /uploads/lfs/{signed}`: take a whole file; the address is the authorization."""
    gatekeeper = call.gatekeeper
    claim = lfs.verify_address(gatekeeper.keys.links, call.params["signed"], instant=now())
    async with gatekeeper.db.read() as session:
        await still_may(call, session, claim)
    await lfs.receive(gatekeeper.store, claim, pieces(call.request))
    async with gatekeeper.db.write() as session:
        await still_may(call, session, claim)
        await lfs.register(session, claim)
    return JSONResponse({}, headers={"ETag": f'"{claim.sha256}"'})


async def verify(call: Call) -> Response:
    """`POST .../objects/verify`: whether an LFS file has arrived whole."""
    asked = schemas.parse(schemas.LfsObject, await call.request.body())
    place = await places.find(call, call.session)
    if place is None or not await lfs.has(call.session, place, asked.oid):
        raise NotFound("This file has not arrived.", next_step="Send it again.")
    return JSONResponse({}, media_type=_LFS_JSON)


async def still_may(call: Call, session: AsyncSession, claim: Claim, *, part_bytes: int | None = None) -> Repo:
    """Decide again for whom the address was given to: it must not outlive the right, nor the token, behind it.

    part_bytes  size of the part that is sent; None where it is the whole

    Returns the repository that it is for.
    """
    repo = await catalogue.by_id(session, claim.repo_id)
    if repo is None:
        raise RepoNotFound("Repository not found.", next_step="It was deleted during the upload.")
    principal = await resumed(session, claim.person_id, claim.token_id)
    size, as_piece = claim.size if part_bytes is None else part_bytes, part_bytes is not None
    await places.require_sender(call.gatekeeper, session, principal, repo, size=size, as_piece=as_piece)
    return repo


def _sample(text: str) -> bytes:
    with suppress(binascii.Error, ValueError):
        return base64.b64decode(text, validate=True)
    return b""


ROUTES = [
    # Only asks, so it runs on a snapshot. A branch is for its writers, a pull request for others too: it decides on.
    api(
        "/{kind:kind}/{ns}/{name}/preupload/{rev}",
        preupload,
        needs=Action.KNOW,
        methods=("POST",),
        mode="read",
        body_limit=8 * 2**20,
    ),
    # The signed address says who, what and where; `put` decides about that person itself.
    guarded("/uploads/lfs/{signed}", put, needs=None, methods=("PUT",), mode="own"),
]
