"""Files of any repository that somebody may download now: what an upload elsewhere may build on."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.authz.actions import Action
from gatekeeper.authz.decide import decide
from gatekeeper.authz.facts import load
from gatekeeper.authz.listing import listing_filter
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Resource
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, xet
from gatekeeper.repos.tables import Repo
from gatekeeper.repos.xet import FileOf, Sender

_MOST_RELEASES = 8  # of one repository, the highest and newest


def sender(policies: Policies, principal: Principal) -> Sender:
    """`principal` as whoever sends something by Xet. Every question is decided at the instant it is asked."""

    async def may_download(session: AsyncSession, files: Collection[FileOf]) -> set[FileOf]:
        return await readable(session, policies, principal, files, instant=now())

    return Sender(listing_filter(policies, principal, now()), may_download)


async def readable(
    session: AsyncSession, policies: Policies, principal: Principal, files: Collection[FileOf], *, instant: datetime
) -> set[FileOf]:
    """Those of `files` that lie in what their repository's main means, or in a release, and may be downloaded there."""
    found: set[FileOf] = set()
    for repo_id in sorted({repo_id for repo_id, _ in files}):
        repo = await catalogue.by_id(session, repo_id)
        if repo is None:
            continue
        digests = {sha256 for owner, sha256 in files if owner == repo_id}
        for resource in await _revisions(session, principal, repo, instant):
            if not digests:
                break
            if isinstance(decide(policies, principal, Action.DOWNLOAD, resource, instant), Allowed):
                here = await _in(session, policies, principal, repo, resource, digests, instant)
                found |= {(repo_id, sha256) for sha256 in here}
                digests -= here
    return found


async def _revisions(session: AsyncSession, principal: Principal, repo: Repo, instant: datetime) -> list[Resource]:
    """The facts about each revision that is looked at."""
    known = await load(session, principal, repo, instant=instant)
    if not repo.is_staged:
        commit = known.revision.commit if known.revision is not None else ""
        return [replace(known, commit=commit)] if commit else []
    return [replace(known, commit=release.commit, revision=release) for release in known.releases[:_MOST_RELEASES]]


async def _in(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    repo: Repo,
    resource: Resource,
    digests: set[str],
    instant: datetime,
) -> set[str]:
    """Those of `digests` that lie at a path of the revision which may be downloaded."""
    places = await xet.places_in(session, repo, resource.commit or "")
    return {
        sha256
        for sha256 in digests
        for path in places.get(sha256, ())
        if isinstance(decide(policies, principal, Action.DOWNLOAD, replace(resource, path=path), instant), Allowed)
    }
