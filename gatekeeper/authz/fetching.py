"""What leaves through git: the references and commits of which the caller may download every file.

A commit is decided as `/resolve/` decides it, each by its own stage, side state and terms.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.authz.actions import Action
from gatekeeper.authz.decide import decide, require
from gatekeeper.authz.facts import as_proposal, load
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Resource, Revision, Text
from gatekeeper.authz.terms import terms_of
from gatekeeper.community import proposals
from gatekeeper.community.proposals import Proposed
from gatekeeper.releases.tables import Stage
from gatekeeper.repos import git
from gatekeeper.repos.refs import MAIN
from gatekeeper.repos.tables import Repo

_MOST_DECIDED = 1_000  # commits that are decided one by one; older ones stay behind a shallow boundary
_AT_ONCE = 250
_UNKNOWN_TERMS = (Text("terms not loaded"),)


async def fetchable(
    session: AsyncSession, policies: Policies, principal: Principal, repo: Repo, *, instant: datetime
) -> tuple[git.Graph, git.Served]:
    """The commit graph and what `principal` may fetch of it.

    In a staged repository `main` is the best release the caller may know, but the branch as it is for its writers.
    Raises what the refusal of a download raises: when no branch may be had, or, for who is no writer, not main.
    """
    known = await load(session, principal, repo, instant=instant)
    allowed = require(policies, principal, Action.KNOW, known, instant)
    may_write = isinstance(decide(policies, principal, Action.WRITE, known, instant), Allowed)
    graph = await git.load_graph(session, repo)
    tips = await git.tips(session, repo)
    if repo.is_staged and not may_write and allowed.revision:
        best = allowed.revision.commit
        tips = [git.Tip(MAIN, best, best) if tip.name == MAIN else tip for tip in tips]
    whole = git.cut(graph, tips, None)
    served = git.cut(graph, tips, await downloadable(session, policies, principal, repo, whole.order, instant=instant))
    if not any(may_write or tip.name == MAIN for tip in served.tips):
        require(policies, principal, Action.DOWNLOAD, known, instant)
    return graph, served


async def downloadable(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    repo: Repo,
    commits: Iterable[str],
    *,
    instant: datetime,
) -> frozenset[str] | None:
    """Those of `commits` whose every file `principal` may download; None for all. Newest ones come first."""
    resource = await load(session, principal, repo, instant=instant)

    def may(revision: Revision) -> bool:
        at = replace(resource, commit=revision.commit or None, revision=revision)
        return isinstance(decide(policies, principal, Action.DOWNLOAD, at, instant), Allowed)

    proposed = await proposals.all_of(session, repo.id)
    # Where it is allowed whatever the terms are, they need not be looked up for each commit.
    stage = Stage.DRAFT if repo.is_staged else None
    always = all(may(Revision(stage=stage, texts=texts)) for texts in ((), _UNKNOWN_TERMS))
    if repo.is_staged:
        return _of_releases(resource, commits, proposed, may_have_drafts=always, may=may)
    if always:
        return None
    found: set[str] = set()
    if proposed and resource.revision is not None and may(resource.revision):  # decided as main is
        found.update(proposed)
    some = [commit for commit in commits if commit not in proposed][:_MOST_DECIDED]
    for start in range(0, len(some), _AT_ONCE):
        asked = [(repo, [Revision(commit) for commit in some[start : start + _AT_ONCE]])]
        terms = await terms_of(session, asked, {repo.id: resource.standing})
        found.update(commit for commit, revision in terms[repo.id].items() if may(revision))
    return frozenset(found)


def _of_releases(
    resource: Resource,
    commits: Iterable[str],
    proposed: Mapping[str, Proposed],
    *,
    may_have_drafts: bool,
    may: Callable[[Revision], bool],
) -> frozenset[str]:
    """In a staged repository: released commits as their release is decided, proposals as such, all others as drafts."""
    released = {release.commit: may(release) for release in resource.releases}
    bases = {release.commit: release for release in resource.releases}
    for commit, proposal in proposed.items():
        if commit not in released:
            base = bases.get(proposal.base, Revision(proposal.base, stage=Stage.DRAFT, texts=_UNKNOWN_TERMS))
            released[commit] = may(as_proposal(base, commit, proposal))
    return frozenset(commit for commit in commits if released.get(commit, may_have_drafts))
