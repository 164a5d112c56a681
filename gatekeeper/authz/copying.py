"""Copies of single files from one repository into another: from which revision, and whether it may be done at all.

Whoever writes to the source passes on what is theirs. Everybody else needs the right to download the file and to build
on it; where the source is not open to all, also the right to pass copies on, and a target that is not open either.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.authz.actions import Action
from gatekeeper.authz.decide import decide, require
from gatekeeper.authz.facts import load
from gatekeeper.authz.fetching import fetchable
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Resource
from gatekeeper.errors import GatekeeperError, NotAllowed
from gatekeeper.releases.tables import Stage
from gatekeeper.repos import listing
from gatekeeper.repos.tables import Gate, Repo

_MOST_COMMITS = 1_000  # newest first


@dataclass(frozen=True, slots=True)
class Copied:
    """A large file at a path of a commit from which it may be copied."""

    path: str
    sha256: str
    commit: str


async def copyable(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    source: Repo,
    target: Repo,
    wanted: Collection[tuple[str, str]],
    *,
    instant: datetime,
) -> list[Copied]:
    """Those of `wanted` (path, SHA-256) that `principal` may copy from `source` into `target`, to which they may write.

    The newest commit with the file from which it may be copied is named. Raises the refusal of the newest one where
    something was found and nothing may be copied, and what refuses a download where nothing may be downloaded.
    """
    _, served = await fetchable(session, policies, principal, source, instant=instant)
    waiting = set(wanted)
    found: list[Copied] = []
    refusal: GatekeeperError | None = None
    for commit in served.order[:_MOST_COMMITS]:
        if not waiting:
            break
        here = {(path, sha256) for path, sha256 in waiting if await _lies_there(session, source, commit, path, sha256)}
        if not here:
            continue
        resource = await load(session, principal, source, commit=commit, instant=instant)
        for path, sha256 in sorted(here):
            try:
                _require(policies, principal, replace(resource, path=path), target, instant)
            except GatekeeperError as error:
                refusal = refusal or error
                continue
            found.append(Copied(path, sha256, commit))
            waiting.discard((path, sha256))
    if not found and refusal is not None:
        raise refusal
    return found


def _require(policies: Policies, principal: Principal, resource: Resource, target: Repo, instant: datetime) -> None:
    require(policies, principal, Action.DOWNLOAD, resource, instant)
    if isinstance(decide(policies, principal, Action.WRITE, resource, instant), Allowed):
        return
    require(policies, principal, Action.DERIVE, resource, instant)
    if _is_open(resource):
        return
    require(policies, principal, Action.REDISTRIBUTE, resource, instant)
    if not (target.is_staged or target.is_private or target.gate is not Gate.NONE):
        raise NotAllowed(
            "What is not open to everybody cannot be copied into a repository that is.",
            next_step=f"Make {target.full_name} private or gated first.",
        )


def _is_open(resource: Resource) -> bool:
    """Whether everybody may have the revision, license or not."""
    if resource.is_staged:
        return resource.revision is not None and resource.revision.stage is Stage.OPEN
    return not resource.is_private and resource.gate is Gate.NONE


async def _lies_there(session: AsyncSession, repo: Repo, commit: str, path: str, sha256: str) -> bool:
    entry = await listing.find_entry(session, repo, commit, path)
    return entry is not None and entry.lfs is not None and entry.lfs.sha256 == sha256
