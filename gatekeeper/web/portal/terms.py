"""The terms of a model: texts in force, what they are recognized as, and every change, judged by who reads it."""

from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import licensing
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.licensing import ChangeClass, Difference, Document
from gatekeeper.licensing.catalogue import Catalogue, Known
from gatekeeper.releases import Stage
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.model import Text, texts_of
from gatekeeper.web.portal.views import Seen, policies_dir, render, repo_url, see, terms_of

_CLASSES = (
    ("", "Choose one"),
    (ChangeClass.TYPOGRAPHIC.value, "Typographic: spelling, layout; nothing else"),
    (ChangeClass.CLARIFICATION.value, "Clarification: says better what held before"),
    (ChangeClass.MATERIAL.value, "Material: rights or duties change"),
)


@dataclass(frozen=True)
class TextView:
    """A text in force, and what it is recognized as; `suggested` is what its words suggest."""

    text: Text
    known: Known | None
    suggested: tuple[Known, ...]


@dataclass(frozen=True)
class StageView:
    """What a stage that has terms of its own is under."""

    stage: Stage
    documents: tuple[Document, ...]
    problems: tuple[str, ...]
    is_here: bool


@dataclass(frozen=True)
class ChangeView:
    """A change of terms as its page shows it. `asked_again`: how many a material change asks to accept again."""

    id: str
    at: datetime
    label: str
    deadline_at: datetime | None
    is_over: bool
    note: str
    difference: Difference
    asked_again: int


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/terms`."""
    return await _page(call)


async def classify(call: Call) -> Response:
    """`POST /{ns}/{name}/terms/changes/{id}`: say what kind of change it is, having read it."""
    sent = await forms.read(call.request)
    change = await licensing.get_change(call.session, call.repo, call.params["id"])
    chosen, days = forms.text(sent, f"class-{change.id}", most=40), forms.text(sent, f"days-{change.id}", most=10)
    wrong = {}
    if chosen not in set(ChangeClass):
        wrong[f"class-{change.id}"] = "Choose what kind of change it is."
    if not (days.isascii() and days.isdigit()):
        wrong[f"days-{change.id}"] = "Give the days as a whole number."
    if wrong:
        return await _page(call, sent, errors=wrong, status=422)
    try:
        async with call.session.begin_nested():
            await licensing.classify(
                call.session,
                change,
                ChangeClass(chosen),
                by=call.principal,
                seen_sha256=forms.text(sent, "seen", most=64),
                grace_days=int(days),
                note=forms.text(sent, f"note-{change.id}"),
            )
    except (Invalid, Conflict) as error:
        return await _page(call, sent, errors={f"class-{change.id}": error.sentence}, status=422)
    return RedirectResponse(f"{repo_url(call.repo)}/terms?done=classified", 303)


async def recognize(call: Call) -> Response:
    """`POST /{ns}/{name}/terms/{sha256}/recognize`: confirm what the words of a text suggest."""
    sent = await forms.read(call.request)
    text = await licensing.text_of(call.session, call.repo, call.params["sha256"])
    await licensing.recognize(
        call.session,
        text,
        forms.text(sent, "license", most=80),
        catalogue=Catalogue.load(policies_dir(call)),
        by=call.principal,
    )
    return RedirectResponse(f"{repo_url(call.repo)}/terms?done=recognized", 303)


async def _page(
    call: Call, sent: FormData | None = None, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    seen = await see(call, call.repo, call.resource)
    terms = await terms_of(call, call.repo, seen.commit)
    catalogue = Catalogue.load(policies_dir(call))
    texts = []
    for view, document in zip(texts_of(seen, terms), terms.documents if terms else (), strict=True):
        known = await licensing.recognized(call.session, document.sha256, catalogue=catalogue)
        suggested = () if known else await licensing.suggested(call.session, document.body, catalogue=catalogue)
        texts.append(TextView(view, known, tuple(suggested)))
    changes = [await _view(call, change) for change in await licensing.changes_of(call.session, call.repo)]
    return render(
        call,
        "portal/terms.html",
        status=status,
        head=seen.head,
        texts=texts,
        stages=await _stages(call, seen),
        labels=catalogue.restrictions,
        changes=changes,
        classes=_CLASSES,
        grace_days=licensing.GRACE_DAYS,
        typed=dict(sent or {}),
        may_manage=bool(seen.rights[Action.MANAGE]) and call.principal.is_signed_in,
        errors=errors or {},
    )


async def _stages(call: Call, seen: Seen) -> list[StageView]:
    """The stages for which the card states terms of their own; none in a repository without stages."""
    found = []
    for stage in Stage if call.repo.is_staged else ():
        if stage not in seen.card.stage_licenses:
            continue
        terms = await licensing.terms_for(call.session, call.repo, seen.commit, stage=stage)
        documents, problems = (terms.documents, terms.problems) if terms else ((), ())
        found.append(StageView(stage, documents, problems, seen.head.stage == stage))
    return found


async def _view(call: Call, change: licensing.TermsChange) -> ChangeView:
    kind = change.change_class
    binds = kind in (None, ChangeClass.MATERIAL)
    labels = {value: label.partition(":")[0] for value, label in _CLASSES}
    return ChangeView(
        id=change.id,
        at=change.in_force_at,
        label=labels[kind.value] if kind else "Not judged yet: counts as material",
        deadline_at=change.deadline_at if binds else None,
        is_over=binds and change.deadline_at <= now(),
        note=change.note,
        difference=await licensing.difference(call.session, change),
        asked_again=await licensing.asked_again(call.session, change),
    )


_TERMS = "/{ns}/{name}/terms"

ROUTES = [
    guarded(_TERMS, show, needs=Action.READ_CARD),
    guarded(f"{_TERMS}/changes/{{id}}", classify, needs=Action.MANAGE, methods=("POST",)),
    guarded(f"{_TERMS}/{{sha256}}/recognize", recognize, needs=Action.MANAGE, methods=("POST",)),
]
