"""The transparency report as a page and as data, for everybody."""

from collections.abc import Iterable
from dataclasses import asdict

from starlette.responses import JSONResponse, Response

from gatekeeper import transparency
from gatekeeper.transparency import Report, Share
from gatekeeper.web import words
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render
from gatekeeper.web.templating import told

_SERIES = (
    ("asked", "Requests"),
    ("granted", "Access given"),
    ("rejected", "Rejected"),
    ("ended", "Ended early"),
    ("images", "Images made"),
    ("images_refused", "Orders refused"),
)

_CHECK = """curl {url}/api/ledger/key > key
curl {url}/api/ledger/checkpoint > checkpoint
gatekeeper receipt verify RECEIPT --key $(cat key)
gatekeeper ledger check PROOF --key $(cat key)"""

Rows = list[tuple[str, int | None]]


async def show(call: Call) -> Response:
    """`GET /transparency`."""
    report = await transparency.newest(call.session)
    if report is None:
        return render(call, "portal/transparency.html", report=None)
    return render(
        call,
        "portal/transparency.html",
        report=report,
        series=[
            (name, title, [(month.month, asdict(month)[name]) for month in report.months]) for name, title in _SERIES
        ],
        tiles=_tiles(report),
        causes=_causes(call, report),
        check=_CHECK.format(url=call.gatekeeper.settings.public_url),
    )


async def data(call: Call) -> Response:
    """The transparency report: sums over what everybody may know of; null where a number is one to four."""
    report = await transparency.newest(call.session)
    return JSONResponse({} if report is None else {"madeAt": report.made_at.isoformat(), **report.as_json()})


def _tiles(report: Report) -> list[tuple[str, str]]:
    waits = report.waiting_days
    return [
        (told(report.waiting), "requests wait for a decision"),
        (f"{waits[0]:g} days" if waits else "–", "median time to a decision"),
        (f"{waits[1]:g} days" if waits else "–", "nine of ten decided within"),
        (told(report.acceptances), "acceptances of license terms"),
        (f"{report.held_now:,}", "releases on hold now"),
        (f"{report.withdrawn:,}", "releases withdrawn"),
    ]


def _causes(call: Call, report: Report) -> list[tuple[str, str, str, str, Rows]]:
    reasons = {reason.code: reason.text for reason in request_rules(call).reasons}
    policies = {id: f"{rule.reason} ({id})" for id, rule in call.gatekeeper.policies.rules.items()}
    stages = {key: facts.label for key, facts in words.STAGES.items()}
    return [
        ("rejections", "Why requests were rejected", "Reasons that reviewers chose.", "Reason",
         _rows(report.rejections, reasons)),
        ("denials", "What the rules refused", "Acts that the decision denied, by the policy that said so.", "Rule",
         _rows(report.denials, policies)),
        ("orders", "Why images were not made", "Orders that screening or the image check refused.", "Code",
         _rows(report.order_refusals, {})),
        ("stages", "Where models stand", "Repositories that everybody may know of, by their best stage.", "Stage",
         _rows(report.stages, stages)),
    ]  # fmt: skip


def _rows(shares: Iterable[Share], names: dict[str, str]) -> Rows:
    return [(names.get(share.cause) or share.cause.replace("_", " ").capitalize(), share.count) for share in shares]


ROUTES = [
    guarded("/transparency", show, needs=None),
    guarded("/api/transparency", data, needs=None),
]
