"""Versions of a repository: the line of its commits, and what changed from one to another, each decided as itself."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from gatekeeper import authz, licensing
from gatekeeper.authz import Action, Resource
from gatekeeper.authz.resource import Revision
from gatekeeper.community import diffs
from gatekeeper.errors import Invalid, RevisionNotFound
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Difference
from gatekeeper.releases import Stage
from gatekeeper.repos import history, merging
from gatekeeper.repos.history import Commit
from gatekeeper.repos.merging import Change
from gatekeeper.repos.objects import Item
from gatekeeper.web.finding import at_revision
from gatekeeper.web.guard import Call
from gatekeeper.web.hub.paging import number
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.views import render, repo_url, see

_PAGE = 30
_MOST_PAGES = 10_000


@dataclass(frozen=True)
class Version:
    """One commit of the line; `before` is the next older one that its reader may see too."""

    commit: Commit
    stage: str
    before: str


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    commit: Commit
    resource: Resource

    @property
    def stage(self) -> str:
        """The stage it stands at; "" in a repository without stages."""
        revision = self.resource.revision
        return (revision.stage or "") if revision and self.resource.is_staged else ""


@dataclass(frozen=True)
class File:
    """A file that differs; a size is None where it was not, or is no more."""

    path: str
    kind: str
    before: int | None
    after: int | None


async def line(call: Call) -> Response:
    """`GET /{ns}/{name}/commits/{rev}`: newest first; what its reader may not see is left out, and that is said."""
    seen = await see(call, call.repo, call.resource)
    page = number(call, "p", default=0, most=_MOST_PAGES)
    rows = await history.commits(call.session, call.repo, seen.commit, limit=_PAGE + 1, offset=page * _PAGE)
    known = {row.oid: stage for row in rows if (stage := _stage(call, row.oid)) is not None}
    shown = [row for row in rows[:_PAGE] if row.oid in known]
    older = [row.oid for row in rows if row.oid in known][1:]
    address = f"{seen.head.url}/commits/{quote(call.params['rev'], safe='')}"
    return render(
        call,
        "portal/commits.html",
        head=seen.head,
        versions=[
            Version(row, known[row.oid], older[position] if position < len(older) else "")
            for position, row in enumerate(shown)
        ],
        choices=[(row.oid, f"{row.oid[:10]} {row.title}"[:60]) for row in shown],
        left_out=len(rows[:_PAGE]) - len(shown),
        newer=f"{address}?p={page - 1}" if page else "",
        older=f"{address}?p={page + 1}" if len(rows) > _PAGE else "",
    )


async def one(call: Call) -> Response:
    """`GET /{ns}/{name}/commit/{rev}`: what a commit changed, where its reader may see the one before."""
    commit = await history.require_commit(call.session, call.repo, call.commit or "")
    url = repo_url(call.repo)
    if not commit.parents:
        return RedirectResponse(f"{url}/tree/{commit.oid}", 303)
    return RedirectResponse(f"{url}/compare/{commit.parents[0]}..{commit.oid}", 303)


async def choose(call: Call) -> Response:
    """`GET /{ns}/{name}/compare`: the form of the commit list."""
    query = call.request.query_params
    sides = [quote(query.get(name, "")[:200], safe="") for name in ("from", "to")]
    return RedirectResponse(f"{repo_url(call.repo)}/compare/{'..'.join(sides)}", 303)


async def compare(call: Call) -> Response:
    """`GET /{ns}/{name}/compare/{a}..{b}`: files, sizes, small texts and terms."""
    first, between, last = call.params["range"].partition("..")
    if not (first and between and last):
        raise Invalid("This address names no two versions.", next_step="Choose two in the list of commits.")
    old, new = await _side(call, first), await _side(call, last)
    seen = await see(call, call.repo, new.resource)
    changes = await merging.changes_between(call.session, call.repo, old.commit.oid, new.commit.oid)
    instant, policies = now(), call.gatekeeper.policies

    def may_read(path: str, is_lfs: bool) -> bool:
        action = authz.action_for_path(path, is_lfs=is_lfs)
        return all(authz.decide(policies, call.principal, action, side.resource, instant) for side in (old, new))

    return render(
        call,
        "portal/compare.html",
        head=seen.head,
        old=old,
        new=new,
        files=[_file(change) for change in changes[: diffs.MAX_FILES]],
        count=len(changes),
        grown=sum(_size(change.after) - _size(change.before) for change in changes),
        texts=[file for file in await diffs.diff(call.session, call.repo, changes, may_read=may_read) if file.lines],
        terms=await _terms(call, old, new),
    )


async def _side(call: Call, revision: str) -> Side:
    """A revision as the guard would decide it. Raises what a refusal of listing its files raises."""
    session, principal, repo = call.session, call.principal, call.repo
    policies, instant = call.gatekeeper.policies, now()
    found = await at_revision(session, policies, principal, repo, revision, instant)
    try:
        authz.require(policies, principal, Action.LIST_FILES, found.resource, instant)
    except RevisionNotFound:
        raise history.unknown(revision) from None
    return Side(await history.require_commit(session, repo, found.commit or ""), found.resource)


def _stage(call: Call, oid: str) -> str | None:
    """The stage of a commit in the line, "" without stages; None where its reader may not see its files.

    In a repository without stages the line was decided as a whole. What was never released is a draft.
    """
    if not call.repo.is_staged:
        return ""
    released = (known for known in call.resource.releases if known.commit == oid)
    own = call.resource.revision if oid == call.commit else None
    revision = own or next(released, Revision(oid, stage=Stage.DRAFT))
    at = authz.at_release(call.resource, revision)
    allowed = authz.decide(call.gatekeeper.policies, call.principal, Action.LIST_FILES, at, now())
    return (revision.stage or Stage.DRAFT) if allowed else None


async def _terms(call: Call, old: Side, new: Side) -> Difference | None:
    """What changed in the license and other terms; None where nothing did, or where a side's card may not be read."""
    policies, instant = call.gatekeeper.policies, now()
    for side in (old, new):
        if not authz.decide(policies, call.principal, Action.READ_CARD, side.resource, instant):
            return None
    before, after = [await licensing.terms_for(call.session, call.repo, side.commit.oid) for side in (old, new)]
    difference = licensing.between(before.documents if before else (), after.documents if after else ())
    return difference if difference.texts else None


def _file(change: Change) -> File:
    kind = "added" if change.before is None else "removed" if change.after is None else "changed"
    return File(
        change.path,
        kind,
        change.before.size if change.before else None,
        change.after.size if change.after else None,
    )


def _size(item: Item | None) -> int:
    return item.size if item else 0


ROUTES = [
    *for_kinds("/{ns}/{name}/commits/{rev}", line, needs=Action.LIST_FILES),
    *for_kinds("/{ns}/{name}/commit/{rev}", one, needs=Action.LIST_FILES),
    *for_kinds("/{ns}/{name}/compare", choose, needs=Action.KNOW),
    *for_kinds("/{ns}/{name}/compare/{range}", compare, needs=Action.KNOW),
]
