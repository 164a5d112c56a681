"""`POST .../lfs-files/duplicate`: large files of one repository for another, without sending a byte."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, repos
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, duplicating
from gatekeeper.web.finding import missing_repo
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api


async def copy_files(call: Call) -> Response:
    """Let the target refer to LFS files of this repository, so that a commit there may name them.

    Files are named by path and SHA-256, without a revision: any that the caller may have will do.
    """
    asked = schemas.parse(schemas.CopyFiles, await call.request.body())
    target = await _target(call, asked)
    wanted = {(file.filename, file.sha256) for file in asked.files}
    found = await authz.copyable(
        call.session, call.gatekeeper.policies, call.principal, call.repo, target, wanted, instant=now()
    )
    await duplicating.share_files(
        call.session, call.repo, target, {file.sha256: (file.path, file.commit) for file in found}, by=call.principal
    )
    missing = wanted - {(file.path, file.sha256) for file in found}
    return JSONResponse(schemas.copied([file.sha256 for file in found], sorted(missing)))


async def _target(call: Call, asked: schemas.CopyFiles) -> Repo:
    """The repository to copy into. One that may not be known is answered like one that is not there."""
    target = await repos.find_by_any_name(call.session, schemas.KIND_OF_TYPE[asked.target.type], asked.target.name)
    if target is None:
        raise await missing_repo(call.session, call.gatekeeper.policies, call.principal)
    instant = now()
    resource = await authz.load(call.session, call.principal, target, instant=instant)
    authz.require(call.gatekeeper.policies, call.principal, Action.WRITE, resource, instant)
    return target


ROUTES = [
    api("/{kind:kind}/{ns}/{name}/lfs-files/duplicate", copy_files, needs=Action.DOWNLOAD, methods=("POST",)),
]
