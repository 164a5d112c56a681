"""Who holds a release: what each person fetched of it, as a page and as a file."""

import csv
import io
from collections.abc import Sequence

from starlette.responses import Response

from gatekeeper import releases
from gatekeeper.authz import Action
from gatekeeper.kit.canonical import instant_text
from gatekeeper.releases import Holder
from gatekeeper.web.admin.release import ONE, release_of
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.views import render, see


async def holders(call: Call) -> Response:
    """`GET .../releases/{rev}/holders`: who fetched what of it, as a page or (`?format=csv`) as a file."""
    release = await release_of(call)
    found = await releases.holders(call.session, release)
    if call.request.query_params.get("format") == "csv":
        name = f"holders-{release.commit_id[:10]}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
        return Response(_csv(found), media_type="text/csv; charset=utf-8", headers=headers)
    seen = await see(call, call.repo, call.resource)
    return render(
        call,
        "admin/holders.html",
        head=seen.head,
        commit=release.commit_id,
        holders=found,
        nameless=await releases.without_account(call.session, release),
    )


def _csv(found: Sequence[Holder]) -> str:
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(("person", "path", "sha256", "by git", "first", "last"))
    for holder in found:
        for path, digest in holder.files or (("", ""),):
            row = (
                holder.name,
                path,
                digest,
                holder.has_git,
                instant_text(holder.first_at),
                instant_text(holder.last_at),
            )
            # A spreadsheet must not take a path for a formula.
            table.writerow([f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@") else cell for cell in row])
    return written.getvalue()


ROUTES = [*for_kinds(f"{ONE}/holders", holders, needs=Action.HOLD)]
