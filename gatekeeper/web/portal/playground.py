"""The playground: an order for images, written down as a form, and its progress for those who watch."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gatekeeper import access, generation, licensing
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotAllowed, TooMany, Unavailable
from gatekeeper.generation import Admitted, Generation, Safety, SafetyLevel
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.web.generate import ordering
from gatekeeper.web.generate.watching import may_watch
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms, images
from gatekeeper.web.portal.views import Seen, render, see, terms_of
from gatekeeper.web.portal.vocabulary import Vocabulary, strange_note, vocabulary_of
from gatekeeper.web.portal.way import Way, way_in, way_to_images

_LONGEST_PROMPT = 20_000  # longer ones are cut here; the order's own limit is far below and is named
_WAIT_SECONDS = 25  # a page without script waits this long, then shows that it is being made
_NAMES = {"guidance_scale": "guidance"}
_PREVIEWS = 3
_WHY = "See what safety stopped"
_EASY_GUIDANCE = "4"  # what small models that ship a vocabulary are trained for


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins. All text, so that nothing typed is lost."""

    prompt: str = ""
    negative_prompt: str = ""
    steps: str = ""
    guidance: str = ""
    images: str = "1"
    seed: str = ""
    sld_level: str = ""
    is_tuned: bool = False


@dataclass(frozen=True)
class Steering:
    """The levels of steering that an order may name.

    images_per_day  of orders that name one, where they have a quota of their own
    because_of      the level that strikes demand, "" where they demand none; they count for `days`
    """

    options: Sequence[tuple[str, str]]
    images_per_day: int | None
    because_of: str
    days: int


class _Started(Response):
    """Begins an admitted order once its transaction is committed, then tells of it or waits for it."""

    def __init__(self, call: Call, admitted: Admitted, *, is_live: bool) -> None:
        super().__init__()
        self._call, self._admitted, self._is_live = call, admitted, is_live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        studio, made = self._call.gatekeeper.studio, self._admitted.made
        ordering.start(self._call, self._admitted)
        page = f"/generations/{made.id}"
        if self._is_live:
            lines = StreamingResponse(
                _lines(self._call, made, page),
                media_type="application/x-ndjson",
                headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            )
            await lines(scope, receive, send)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(studio.wait(made)), _WAIT_SECONDS)
        await RedirectResponse(page, 303)(scope, receive, send)


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/playground`; `?prompt=` fills the form, as do the other settings of an earlier order."""
    query = call.request.query_params
    seen = await see(call, call.repo, call.resource)
    vocabulary = await vocabulary_of(call.session, call.repo, seen.commit)
    form = Form(
        prompt=query.get("prompt", "")[:_LONGEST_PROMPT],
        negative_prompt=query.get("negative_prompt", "")[:_LONGEST_PROMPT],
        steps=query.get("steps", "20")[:10],
        guidance=query.get("guidance", _EASY_GUIDANCE if vocabulary else "7.5")[:10],
        images=query.get("images", "1")[:10],
        seed=query.get("seed", "")[:20],
        sld_level=query.get("sld_level", "")[:10],
        is_tuned=not query.keys().isdisjoint({"steps", "seed", "sld_level"}),
    )
    return await _page(call, seen, form, vocabulary)


async def order(call: Call) -> Response:
    """`POST /{ns}/{name}/playground`: admit the order; it starts when that is kept."""
    sent = await forms.read(call.request)
    form = Form(
        prompt=forms.text(sent, "prompt", most=_LONGEST_PROMPT),
        negative_prompt=forms.text(sent, "negative_prompt", most=_LONGEST_PROMPT),
        steps=forms.text(sent, "steps", most=20),
        guidance=forms.text(sent, "guidance", most=20),
        images=forms.text(sent, "images", most=20),
        seed=forms.text(sent, "seed", most=30),
        sld_level=forms.text(sent, "sld_level", most=10),
        is_tuned=True,
    )
    try:
        async with call.session.begin_nested():
            admitted = await _admit(call, form)
    except (Invalid, TooMany) as error:
        seen = await see(call, call.repo, call.resource)
        fields = error.details.get("fields")
        wrong = {str(name): str(text) for name, text in fields.items()} if isinstance(fields, dict) else {}
        page = await _page(
            call,
            seen,
            form,
            await vocabulary_of(call.session, call.repo, seen.commit),
            errors=wrong or {"": error.sentence},
            status=error.status,
        )
        if isinstance(error, TooMany):
            page.headers["Retry-After"] = str(error.details.get("retry_after_seconds", 60))
        return page
    is_live = "application/x-ndjson" in call.request.headers.get("accept", "")
    return _Started(call, admitted, is_live=is_live)


async def _admit(call: Call, form: Form) -> Admitted:
    values: dict[str, object] = {
        "prompt": form.prompt,
        "negative_prompt": form.negative_prompt,
        "steps": form.steps,
        "guidance_scale": form.guidance,
        "images": form.images,
        "seed": form.seed,
        "previews": _PREVIEWS,
    }
    values |= {"sld_level": form.sld_level} if form.sld_level else {}
    return await ordering.begin(call, call.session, call.repo, call.resource, values, names=_NAMES)


async def _page(
    call: Call,
    seen: Seen,
    form: Form,
    vocabulary: Vocabulary | None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    terms = await terms_of(call, call.repo, seen.commit) if seen.rights[Action.READ_CARD] else None
    person_id = call.principal.person_id
    accepted = await licensing.current_acceptance(call.session, person_id, terms, repo=call.repo) if terms else None
    stands = await access.standing(call.session, person_id, call.repo.id, now())
    may = bool(seen.rights[Action.GENERATE])
    stage = seen.revision.stage if seen.revision else None
    level = _level(call, stage)
    way = way_in(call.principal, seen, terms, accepted=accepted, stands=stands)
    shut = way_to_images(call.principal, seen, way, trouble=_worker_problem(call))
    steering = None
    if may and shut is None:
        try:
            steering = await _steering(call)
        except NotAllowed as error:  # until somebody has looked at what safety stopped
            shut = Way("No images are made for you right now", error.message, href="/settings/safety", action=_WHY)
    return render(
        call,
        "portal/playground.html",
        status=status,
        head=seen.head,
        form=form,
        errors=errors or {},
        shut=shut,
        steering=steering,
        vocabulary=vocabulary if may else None,
        strange_note=strange_note(vocabulary, form.prompt) if form.prompt else "",
        limits=level,
        left=await _left(call, level) if may and person_id else None,
        last=await images.last(call, call.repo) if may else [],
    )


async def _steering(call: Call) -> Steering:
    """What this caller may choose. Raises NotAllowed (SafetyReview)."""
    usual = await ordering.demand(call, call.session, call.repo, call.resource, names_level=False)
    chosen = await ordering.demand(call, call.session, call.repo, call.resource, names_level=True)
    policy = usual.safety.strikes
    standing = await generation.standing(call.session, call.principal.person_id or "", policy)
    as_asked = usual.level.sld_level.value
    return Steering(
        [
            ("", f"As is asked here: {as_asked}"),
            *((each.value, each.value.capitalize()) for each in chosen.level.sld_choices),
        ],
        chosen.level.images_per_day if chosen.level.images_per_day < usual.level.images_per_day else None,
        as_asked if standing.is_strict else "",
        policy.days,
    )


def _level(call: Call, stage: Stage | None) -> SafetyLevel:
    return Safety.load(call.gatekeeper.policies.directory).at(stage)


async def _left(call: Call, level: SafetyLevel) -> int:
    """Images that may be ordered now, by all that limits them."""
    safety = Safety.load(call.gatekeeper.policies.directory)
    scopes = await generation.quotas.scopes(call.session, call.principal, safety, [(call.repo, level)])
    return min(standing.images_left for standing in await generation.quotas.standings(call.session, scopes))


def _worker_problem(call: Call) -> str:
    """Why no order can be taken at all, "" where one can."""
    try:
        call.gatekeeper.studio.require_worker()
    except Unavailable as error:
        return error.sentence
    return ""


async def _lines(call: Call, made: Generation, page: str) -> AsyncIterator[str]:
    """One JSON object a line: that it was accepted, what happens, and at the end where the result is."""
    yield _line({"type": "accepted", "id": made.id, "cancel": f"{page}/cancel"})
    async for update in call.gatekeeper.studio.watch(made):
        is_news = update.type in ("queued", "loading", "started", "progress", "retrying")
        if is_news or (update.type == "preview" and await may_watch(call, made)):
            yield _line({"type": update.type, **update.data})
    yield _line({"type": "end", "location": page})


def _line(value: dict[str, object]) -> str:
    return json.dumps(value) + "\n"


ROUTES = [
    guarded("/{ns}/{name}/playground", show, needs=Action.KNOW),
    guarded("/{ns}/{name}/playground", order, needs=Action.GENERATE, methods=("POST",)),
]
