"""What the store holds and how it does: room by repository and owner, cleaning, uploads, and what scans have found."""

from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from gatekeeper import ledger
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import catalogue, scanning, usage
from gatekeeper.repos.scanning import Flagged
from gatekeeper.web import words
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, repo_url

_MOST = 25
_CLEANED, _VERIFIED = "repos:store:clean", "repos:store:verify"


async def show(call: Call) -> Response:
    """`GET /admin/storage`."""
    cleaned, verified = await _newest(call, _CLEANED), await _newest(call, _VERIFIED)
    text = call.request.query_params.get("after", "0")
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    flagged = await scanning.flagged(call.session, limit=_MOST + 1, offset=start)
    return render(
        call,
        "admin/storage.html",
        sees_all=runs_hub(call),
        totals=await usage.totals(call.session),
        repos=[(share, repo_url(share.repo)) for share in await usage.largest(call.session, limit=_MOST) if share.repo],
        owners=await usage.largest_owners(call.session, limit=_MOST),
        pending=await usage.pending(call.session),
        cleaned_at=cleaned.occurred_at if cleaned else None,
        removed=cleaned.body.get("removed", {}) if cleaned else {},
        verified=verified,
        gc_hours=call.gatekeeper.settings.gc_hours,
        flagged=[_row(each) for each in flagged[:_MOST]],
        first="/admin/storage" if start else None,
        more=f"/admin/storage?after={start + _MOST}" if len(flagged) > _MOST else None,
        most=_MOST,
    )


async def rescan(call: Call) -> Response:
    """`POST /admin/storage/{id}/rescan`: have a repository's files looked at again, by the job for new ones."""
    repo = await catalogue.by_id(call.session, call.params["id"])
    if repo is None:
        raise NotFound("There is no such repository.", next_step="Take it from the page of storage.")
    await scanning.scan_again(call.session, repo, by=call.principal)
    return RedirectResponse("/admin/storage?done=rescan", 303)


async def _newest(call: Call, kind: str) -> LedgerEvent | None:
    return next(iter((await ledger.events(call.session, kind=kind, limit=1)).items), None)


def _row(each: Flagged) -> dict[str, object]:
    url = repo_url(each.repo)
    return {
        "repo": each.repo,
        "url": url,
        "path": each.path,
        "href": f"{url}/blob/{each.commit}/{quote(each.path)}" if each.path else "",
        "scan": words.scan_of(each.result),
    }


ROUTES = [
    guarded("/admin/storage", show, needs=Action.ADMIN_HUB),
    guarded("/admin/storage/{id}/rescan", rescan, needs=Action.ADMIN_HUB, methods=("POST",)),
]
