"""What an organization asks for at each stage beyond the ladder of the hub."""

from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import releases
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.releases import Ladder, Stage, StageRule
from gatekeeper.web import words
from gatekeeper.web.admin.release import ladder
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_NUMBERS = ("approvals", "soak_days", "testers")
_BY_NUMBER = frozenset({"soak_time", "testers", "bias_report", "safety_report"})  # asked for by what they need


@dataclass(frozen=True)
class Asked:
    """What is asked for at one stage, as it is in force or as it was sent."""

    approvals: str
    soak_days: str
    testers: str
    has_second: bool
    criteria: frozenset[str]

    @classmethod
    def now(cls, own: StageRule, hub: StageRule) -> "Asked":
        """What is in force; of criteria those beyond the hub's."""
        criteria = frozenset(own.criteria) - set(hub.criteria)
        return cls(str(own.approvals), str(own.soak_days), str(own.testers), not own.sole_maintainer, criteria)

    @classmethod
    def of(cls, sent: FormData, stage: Stage) -> "Asked":
        """What was sent for a stage."""
        approvals, days, testers = (forms.text(sent, f"{name}-{stage}", most=20).strip() or "0" for name in _NUMBERS)
        criteria = frozenset(forms.texts(sent, f"criteria-{stage}"))
        return cls(approvals, days, testers, f"second-{stage}" in sent, criteria)


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/ladder`."""
    organization = await managed_organization(call)
    return await _page(call, organization, {}, await _own(call, organization))


async def save(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/ladder`: every stage, as far as something is different there."""
    organization, sent = await managed_organization(call), await forms.read(call.request)
    own, hub = await _own(call, organization), ladder(call)
    asked = {stage: Asked.of(sent, stage) for stage in own.stages[1:] if f"approvals-{stage}" in sent}
    stage = own.stages[0]
    try:
        async with call.session.begin_nested():
            for stage, each in asked.items():
                if each != Asked.now(own.rule(stage), hub.rule(stage)):
                    await _set(call, organization, stage, each, hub)
    except Invalid as error:
        wrong = {f"{error.details.get('field', 'criteria')}-{stage}": error.sentence}
        return await _page(call, organization, asked, own, errors=wrong, status=422)
    return RedirectResponse(f"/admin/organizations/{organization.name}/ladder?done=ladder-saved", 303)


async def _set(call: Call, organization: Organization, stage: Stage, asked: Asked, hub: Ladder) -> None:
    await releases.set_rule(
        call.session,
        organization,
        stage,
        by=call.principal,
        ladder=hub,
        sole_maintainer=not asked.has_second,
        approvals=_number("approvals", asked.approvals),
        soak_days=_number("soak_days", asked.soak_days),
        testers=_number("testers", asked.testers),
        criteria=asked.criteria,
    )


def _number(field: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Invalid("This must be a whole number.", details={"field": field})
    return int(text)


async def _own(call: Call, organization: Organization) -> Ladder:
    return await releases.ladder_of(call.session, organization.id, ladder(call))


async def _page(
    call: Call,
    organization: Organization,
    asked: dict[Stage, Asked],
    own: Ladder,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    hub = ladder(call)
    return render(
        call,
        "admin/organization_ladder.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        rows=[
            (
                stage.value,
                asked.get(stage, Asked.now(own.rule(stage), hub.rule(stage))),
                hub.rule(stage),
                _offered(own.rule(stage), hub.rule(stage)),
            )
            for stage in own.stages[1:]
        ],
        errors=errors or {},
    )


def _offered(own: StageRule, hub: StageRule) -> list[tuple[str, str]]:
    """Criteria that the hub does not ask for there, in words."""
    further = set(words.CRITERIA) - _BY_NUMBER | set(own.criteria)
    return [(name, text) for name, text in words.CRITERIA.items() if name in further - set(hub.criteria)]


_ADDRESS = "/admin/organizations/{organization}/ladder"

ROUTES = [
    guarded(_ADDRESS, show, needs=Action.USE_ACCOUNT),
    guarded(_ADDRESS, save, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
