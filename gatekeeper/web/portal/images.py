"""My images: what I ordered, what came of it in plain words, and the receipts."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from gatekeeper import generation, licensing
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.generation import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.kit.figures import duration_text
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.verdicts import receipts_of, verdict_on, withheld_of
from gatekeeper.web.portal.views import render, repo_url
from gatekeeper.web.portal.vocabulary import strange_note, vocabulary_of
from gatekeeper.web.wording.times import day_tag

_PAGE = 24
_LAST = 3  # images that the playground shows
_SCORES_SHOWN = 5
_PRIVATE = {"Cache-Control": "private, no-store"}


@dataclass(frozen=True)
class Picture:
    """One ordered image: its address, or why there is none."""

    seed: int
    href: str
    receipt_href: str
    alt: str
    note: str


async def mine(call: Call) -> Response:
    """`GET /generations`."""
    after = call.request.query_params.get("after")
    rows = await generation.list_own(call.session, call.principal, after=after, limit=_PAGE + 1)
    return render(
        call,
        "portal/generations.html",
        items=[_item(made) for made in rows[:_PAGE]],
        newer="/generations" if after else None,
        older=f"/generations?after={rows[_PAGE - 1].id}" if len(rows) > _PAGE else None,
    )


async def last(call: Call, repo: Repo) -> list[dict[str, Any]]:
    """The newest orders of a model that came to an image, of the last few of all."""
    rows = await generation.list_own(call.session, call.principal, limit=_PAGE)
    items = (_item(made) for made in rows if made.repo_id == repo.id)
    return [item for item in items if item["image_href"]][:_LAST]


async def one(call: Call) -> Response:
    """`GET /generations/{id}`."""
    made = await generation.own(call.session, call.principal, call.params["id"])
    repo = await call.session.get(Repo, made.repo_id)
    vocabulary = await vocabulary_of(call.session, repo, made.commit_id) if repo else None
    statement = next((each["statement"] for each in receipts_of(made)), None)
    url = repo_url(repo) if repo and repo.deleted_at is None else ""
    preview = await call.gatekeeper.studio.preview(made)
    return render(
        call,
        "portal/generation.html",
        id=made.id,
        title=_title(made),
        is_running=made.state is GenerationState.RUNNING,
        progress=_progress(call, made),
        steps=_latest(call, made, "progress"),
        preview=preview.data["png_base64"] if preview is not None else "",
        may_delete=_may_delete(made),
        repo_url=url,
        full_name=repo.full_name if repo else "a model that is gone",
        started_at=made.started_at,
        expires_at=made.expires_at,
        strange_note=strange_note(vocabulary, made.prompt or "") if made.state is GenerationState.DONE else "",
        verdict=verdict_on(call, made),
        images=_pictures(made),
        another_href=f"{url}/playground?{_again(made, with_seed=False)}" if url else "",
        change_href=f"{url}/playground?{_again(made, with_seed=True)}" if url else "",
        facts=_facts(made, statement),
        scores=_scores(made),
    )


async def picture(call: Call) -> Response:
    """`GET /generations/{id}/images/{file}`: `0.png` is the first one's bytes, whatever its format."""
    index = _index(call.params["file"], ".png")
    path = await generation.own_image(call.session, call.principal, call.gatekeeper.images, call.params["id"], index)
    return FileResponse(path, media_type=f"image/{path.suffix[1:]}", headers=_PRIVATE)


async def receipt(call: Call) -> Response:
    """`GET /generations/{id}/receipts/{file}`: `0.json` is the first image's signed receipt."""
    made = await generation.own(call.session, call.principal, call.params["id"])
    index = _index(call.params["file"], ".json")
    for found in receipts_of(made):
        if _number(found) == index:
            name = f"image-{made.id}-{index}.json"
            whole = await licensing.with_proof(call.session, found)
            return JSONResponse(whole, headers=_PRIVATE | {"Content-Disposition": f'attachment; filename="{name}"'})
    raise NotFound("There is no such receipt.", next_step="Each delivered image has one, on its page.")


async def delete(call: Call) -> Response:
    """`POST /generations/{id}/delete`: images and prompt go, the receipts stay."""
    await generation.forget(call.session, call.principal, call.gatekeeper.images, call.params["id"])
    return RedirectResponse("/generations?done=images-deleted", 303)


async def cancel(call: Call) -> Response:
    """`POST /generations/{id}/cancel`."""
    made = await generation.own(call.session, call.principal, call.params["id"])
    return _Cancelled(call, made)


class _Cancelled(RedirectResponse):
    """Cancels once the unit of work is closed: the order's own end must be written meanwhile."""

    def __init__(self, call: Call, made: Generation) -> None:
        super().__init__(f"/generations/{made.id}", 303)
        self._call, self._made = call, made

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._call.gatekeeper.studio.cancel(self._made)
        await super().__call__(scope, receive, send)


_STATES = {
    GenerationState.RUNNING: "Being made",
    GenerationState.DONE: "Nothing delivered",
    GenerationState.REFUSED: "Refused",
    GenerationState.FAILED: "Failed",
    GenerationState.CANCELLED: "Cancelled",
}


def _latest(call: Call, made: Generation, *types: str) -> dict[str, Any]:
    update = call.gatekeeper.studio.latest(made, *types)
    return update.data if update else {}


def _progress(call: Call, made: Generation) -> str:
    """How far an order is, in a sentence."""
    match call.gatekeeper.studio.latest(made, "queued", "loading", "started", "progress", "retrying"):
        case generation.Update(type="queued", data={"place": place}):
            return f"Your order waits at place {place} of the queue."
        case generation.Update(type="loading", data=loading):
            return f"The model is being loaded. {loading['message']}".strip()
        case generation.Update(type="progress", data={"step": step, "steps": steps}):
            return f"Your image is being made: step {step} of {steps}."
        case generation.Update(type="retrying"):
            return "The image service stopped and begins anew with your image."
    return "Your image is being made."


def _may_delete(made: Generation) -> bool:
    return made.state is not GenerationState.RUNNING and not generation.is_over(made, now())


def _item(made: Generation) -> dict[str, Any]:
    pictures = _pictures(made)
    first = next((picture for picture in pictures if picture.href), None)
    return {
        "url": f"/generations/{made.id}",
        "title": _title(made),
        "started_at": made.started_at,
        "image_href": first.href if first else "",
        "receipt_href": first.receipt_href if first else "",
        "may_delete": _may_delete(made),
        "note": _STATES[made.state] if not pictures else pictures[0].note or _STATES[made.state],
    }


def _title(made: Generation) -> str:
    return made.prompt or "A prompt that is no longer kept"


def _number(found: dict[str, Any]) -> int:
    return int(found["statement"]["receipt_id"].rpartition("-")[2])


def _pictures(made: Generation) -> list[Picture]:
    if made.state is not GenerationState.DONE:
        return []
    is_over = generation.is_over(made, now())
    given = {_number(found): found for found in receipts_of(made)}
    withheld = withheld_of(made)
    seed = int(made.settings.get("seed", 0))
    pictures = []
    for index in sorted(given.keys() | withheld.keys()):
        found = given.get(index)
        href = f"/generations/{made.id}/images/{index}.png" if found and not is_over else ""
        note = withheld[index]["reason"] if index in withheld else "Deleted after its time." if not href else ""
        receipt_href = f"/generations/{made.id}/receipts/{index}.json" if found else ""
        pictures.append(Picture(seed + index, href, receipt_href, f"Generated image: {_title(made)}", note))
    return pictures


def _again(made: Generation, *, with_seed: bool) -> str:
    kept = made.settings
    values = {
        "prompt": made.prompt or "",
        "negative_prompt": made.negative_prompt or "",
        "steps": kept.get("steps", ""),
        "guidance": kept.get("guidance_scale", ""),
        "images": kept.get("images", 1),
        "seed": kept.get("seed", "") if with_seed else "",
    }
    return urlencode({name: value for name, value in values.items() if value != ""})


def _facts(made: Generation, statement: dict[str, Any] | None) -> list[tuple[str, str]]:
    if made.state is not GenerationState.DONE:
        return []
    kept = made.settings
    facts = [("Revision", made.commit_id[:10]), ("Steps", str(kept.get("steps", "")))]
    facts.append(("Guidance", f"{kept.get('guidance_scale', 0):g}"))
    if statement is not None:
        facts += [
            ("Size", f"{statement['width']} × {statement['height']} pixels"),
            ("Scheduler", str(statement["scheduler"])),
            ("Safety", _safety(statement["safety"]["sld"])),
            ("Device", f"{statement['software']['device']}, {statement['software']['dtype']}"),
        ]
    seconds = kept.get("compute_seconds")
    if seconds:
        facts.append(("Computing time", duration_text(seconds)))
    if made.expires_at is not None:
        facts.append(("Kept until", day_tag(made.expires_at)))
    return facts


def _safety(sld: dict[str, Any]) -> str:
    level = words.SAFETY_LEVELS.get(sld["level"], "")
    return level if sld["acted"] or sld["level"] == "off" else f"{level}; it could not act. {sld.get('reason', '')}"


def _scores(made: Generation) -> list[tuple[int, list[tuple[str, float]]]]:
    """The nearest concepts of each image by its number, from 1: given out or withheld."""
    seen = {_number(each): each["statement"]["safety"]["scores"] for each in receipts_of(made)}
    seen |= {index: each["scores"] for index, each in withheld_of(made).items()}
    return [
        (index + 1, sorted(seen[index].items(), key=lambda item: -item[1])[:_SCORES_SHOWN])
        for index in sorted(seen)
        if seen[index]
    ]


def _index(file: str, suffix: str) -> int:
    number = file.removesuffix(suffix)
    if not file.endswith(suffix) or not (number.isascii() and number.isdigit()) or len(number) > 3:
        raise NotFound("There is no such image.", next_step="Your images are listed on your images page.")
    return int(number)


ROUTES = [
    guarded("/generations", mine, needs=Action.USE_ACCOUNT),
    guarded("/generations/{id}", one, needs=Action.USE_ACCOUNT),
    guarded("/generations/{id}/images/{file}", picture, needs=Action.USE_ACCOUNT),
    guarded("/generations/{id}/receipts/{file}", receipt, needs=Action.USE_ACCOUNT),
    guarded("/generations/{id}/cancel", cancel, needs=Action.USE_ACCOUNT, methods=("POST",)),
    guarded("/generations/{id}/delete", delete, needs=Action.USE_ACCOUNT, methods=("POST",)),
]
