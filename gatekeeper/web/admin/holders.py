"""Who holds a release: what each person fetched of it, as a page and as a file."""

from collections.abc import Iterator, Sequence

from starlette.responses import Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.kit.canonical import instant_text
from gatekeeper.releases import Holder
from gatekeeper.web.admin.release import ONE, release_of
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.views import render, see
from gatekeeper.web.spreadsheet import csv_file


async def holders(call: Call) -> Response:
    """`GET .../releases/{rev}/holders`: who fetched what of it, as a page or (`?format=csv`) as a file."""
    release = await release_of(call)
    found = await releases.holders(call.session, release)
    if call.request.query_params.get("format") == "csv":
        header = ("person", "path", "sha256", "by git", "first", "last")
        return csv_file(f"holders-{release.commit_id[:10]}.csv", header, _cells(found))
    seen = await see(call, call.repo, call.resource)
    return render(
        call,
        "admin/holders.html",
        head=seen.head,
        commit=release.commit_id,
        holders=found,
        nameless=await releases.without_account(call.session, release),
    )


def _cells(found: Sequence[Holder]) -> Iterator[tuple[object, ...]]:
    for holder in found:
        for path, digest in holder.files or (("", ""),):
            first, last = instant_text(holder.first_at), instant_text(holder.last_at)
            yield (holder.name, path, digest, holder.has_git, first, last)


ROUTES = [*for_kinds(f"{ONE}/holders", holders, needs=Action.HOLD)]
