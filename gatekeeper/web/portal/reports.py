"""Reporting a problem with a model or with an image: for everybody who sees it, signed in or not."""

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from gatekeeper import provenance
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.incidents import Subject, linking
from gatekeeper.provenance import ImageRecord
from gatekeeper.repos import Repo, catalogue
from gatekeeper.web import incident_words as words
from gatekeeper.web import problems
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url

_OF_IMAGE = "/verify/report"


@dataclass(frozen=True)
class Form:
    """The form as it was sent."""

    problem: str = ""
    text: str = ""


@dataclass(frozen=True)
class Place:
    """What is reported, and where the page about it lies. `title` is all that is told of it."""

    title: str
    crumbs: list[tuple[str | None, str]]
    back: str
    action: str
    image: str = ""


async def ask(call: Call) -> Response:
    """`GET /{ns}/{name}/report`."""
    return _page(call, _place(call), Form())


async def send_report(call: Call) -> Response:
    """`POST /{ns}/{name}/report`: a report that its maintainers look at."""
    return await _send(call, _place(call), call.repo)


async def ask_about_image(call: Call) -> Response:
    """`GET /verify/report?image=`: the number of an image's record."""
    return _page(call, _image_place(await _record(call, call.request.query_params.get("image", ""))), Form())


async def send_about_image(call: Call) -> Response:
    """`POST /verify/report`."""
    record = await _record(call, forms.text(await forms.read(call.request), "image", most=100))
    repo = await catalogue.by_id(call.session, record.repo_id)
    if repo is None:
        raise _no_image()
    return await _send(call, _image_place(record), repo, linking.image(record))


async def _send(call: Call, place: Place, repo: Repo, subject: Subject | None = None) -> Response:
    sent = await forms.read(call.request)
    form = Form(forms.text(sent, "problem", most=20), forms.text(sent, "text"))
    if form.problem not in words.PROBLEMS:
        return _page(call, place, form, errors={"problem": "Choose from the list."})
    try:
        async with call.session.begin_nested():
            await problems.take(call, repo, problem=form.problem, text=form.text, subject=subject)
    except Invalid as error:
        return _page(call, place, form, errors={"text": error.sentence})
    query = f"image={place.image}&sent=yes" if place.image else "sent=yes"
    return RedirectResponse(f"{place.action}?{query}", 303)


async def _record(call: Call, text: str) -> ImageRecord:
    found = await provenance.find_record(call.session, text)
    if found is None:
        raise _no_image()
    return found


def _no_image() -> NotFound:
    return NotFound("There is no record of this image.", next_step="Look at the image on /verify first.")


def _place(call: Call) -> Place:
    repo, url = call.repo, repo_url(call.repo)
    return Place(repo.full_name, [(url, repo.full_name), (None, "Report a problem")], url, f"{url}/report")


def _image_place(record: ImageRecord) -> Place:
    number = provenance.number_text(record.number)
    crumbs: list[tuple[str | None, str]] = [("/verify", "What is this image?"), (None, "Report a problem")]
    return Place(f"the image with the record {number}", crumbs, "/verify", _OF_IMAGE, number)


def _page(call: Call, place: Place, form: Form, *, errors: dict[str, str] | None = None) -> Response:
    return render(
        call,
        "portal/report.html",
        status=422 if errors else 200,
        about=place.title,
        crumbs=place.crumbs,
        back=place.back,
        action=place.action,
        image=place.image,
        problems=[("", "Choose"), *words.PROBLEMS.items()],
        is_sent=call.request.query_params.get("sent") == "yes",
        form=form,
        errors=errors or {},
    )


ROUTES = [
    guarded(_OF_IMAGE, ask_about_image, needs=None),
    guarded(_OF_IMAGE, send_about_image, needs=None, methods=("POST",)),
    *for_kinds("/{ns}/{name}/report", ask, needs=Action.REPORT),
    *for_kinds("/{ns}/{name}/report", send_report, needs=Action.REPORT, methods=("POST",)),
]
