"""The transparency report as a page and as data, for everybody."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from starlette.responses import JSONResponse, Response

from gatekeeper import transparency
from gatekeeper.kit.figures import duration_text
from gatekeeper.transparency import Report, Share
from gatekeeper.web import words
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render
from gatekeeper.web.templating import told

_CHECK = """curl {url}/api/ledger/key > key
curl {url}/api/ledger/checkpoint > checkpoint
gatekeeper receipt verify RECEIPT --key $(cat key)
gatekeeper ledger check PROOF --key $(cat key)"""

_DAY = 86_400  # seconds

Rows = list[tuple[str, int | None]]
Series = tuple[str, str, list[tuple[str, int | str | None]]]


@dataclass(frozen=True)
class Chapter:
    """A part of the page.

    plots   columns over the months: id, title, rows
    more    what only the table of its numbers shows beside them
    causes  tables: title, text, heading of their first column, rows
    """

    id: str
    title: str
    plots: list[Series]
    causes: list[tuple[str, str, str, Rows]]
    more: tuple[Series, ...] = ()


async def show(call: Call) -> Response:
    """`GET /transparency`."""
    report = await transparency.newest(call.session)
    if report is None:
        return render(call, "portal/transparency.html", report=None)
    return render(
        call,
        "portal/transparency.html",
        report=report,
        tiles=_tiles(report),
        chapters=_chapters(call, report),
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
        (duration_text(waits[0] * _DAY) if waits else "–", "median time to a decision"),
        (duration_text(waits[1] * _DAY) if waits else "–", "nine of ten decided within"),
        (told(report.acceptances), "acceptances of license terms"),
        (f"{report.held_now:,}", "releases on hold now"),
        (f"{report.withdrawn:,}", "releases withdrawn"),
    ]


def _chapters(call: Call, report: Report) -> list[Chapter]:
    reasons = {reason.code: reason.text for reason in request_rules(call).reasons}
    stages = {key: facts.label for key, facts in words.STAGES.items()}
    months = [asdict(month) for month in report.months]

    def plot(name: str, title: str) -> Series:
        return name, title, [(month["month"], month[name]) for month in months]

    waits = [(each.month, "–" if each.waiting_days is None else f"{each.waiting_days:g}") for each in report.months]
    return [
        Chapter(
            "requests",
            "Requests for access",
            [plot("asked", "Requests"), plot("granted", "Access given"), plot("rejected", "Rejected"),
             plot("ended", "Ended early")],
            [("Why requests were rejected", "Reasons that reviewers chose.", "Reason",
              _rows(report.rejections, reasons))],
            more=(("waiting_days", "Median days to a decision", [*waits]),),
        ),
        Chapter(
            "images",
            "Images",
            [plot("images", "Images made"), plot("images_refused", "Prompts refused"),
             plot("images_withheld", "Images withheld")],
            [("Why images were not given out", "Orders that screening refused, or of which the image check withheld "
              "something.", "What was stopped", _rows(report.order_refusals, words.ORDER_STOPS))],
        ),
        Chapter(
            "rules",
            "Rules and releases",
            [plot("denied", "Acts refused by the rules"), plot("held", "Releases put on hold")],
            [("What the rules refused", "Acts that the decision denied, by the policy that said so.", "Rule",
              [(words.cause(share.cause, call.gatekeeper.policies), share.count) for share in report.denials]),
             ("Where models stand", "Repositories that everybody may know of, by their best stage.", "Stage",
              _rows(report.stages, stages))],
        ),
    ]  # fmt: skip


def _rows(shares: Iterable[Share], names: dict[str, str]) -> Rows:
    return [(names.get(share.cause) or share.cause.replace("_", " ").capitalize(), share.count) for share in shares]


ROUTES = [
    guarded("/transparency", show, needs=None),
    guarded("/api/transparency", data, needs=None),
]
