"""Why something is decided: a kind of reason that the hub offers, words of one's own, or both."""

from datetime import datetime

from starlette.datastructures import FormData

from gatekeeper import access
from gatekeeper.access import AnswerTemplate
from gatekeeper.accounts import Person
from gatekeeper.errors import Invalid
from gatekeeper.kit.clock import day_words, now
from gatekeeper.repos import Repo
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call
from gatekeeper.web.portal import forms


class Wrong(Exception):
    """A field that cannot be read, with the sentence for the person."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field, self.sentence = field, sentence


def kinds_of(call: Call, act: str) -> list[tuple[str, str]]:
    """What a form offers for an act, beside one's own words."""
    offered = request_rules(call).reasons_for(act)
    return [("", "In my own words"), *((reason.code, reason.text) for reason in offered)]


def filled(call: Call, answer: AnswerTemplate, person: Person, repo: Repo) -> str:
    """A ready-made answer as this applicant reads it."""
    known = {
        "person": person.fullname or person.name,
        "repository": repo.full_name,
        "reviewer": call.principal.name or "",
        "today": day_words(now()),
    }
    return access.filled(answer, known)


def read(call: Call, sent: FormData, act: str, field: str, *, answer: str = "") -> tuple[str, str]:
    """The words that the person reads, those of the chosen kind first, and its code. Raises Wrong, as for none.

    answer  ready-made, before the words of one's own
    """
    code = forms.text(sent, code_field(act), most=60)
    try:
        text = request_rules(call).reason_text(code, act)
    except Invalid as error:
        raise Wrong(code_field(act), error.sentence) from None
    reason = " ".join(part for part in (text, answer, forms.text(sent, field).strip()) if part)
    if not reason:
        raise Wrong(field, "This needs a reason that the person reads: choose a kind, or write one or two sentences.")
    return reason, code


def code_field(act: str) -> str:
    """The name of the field in which a form sends the kind of reason for an act."""
    return f"{act}_code"


def reapply_at(sent: FormData) -> datetime | None:
    """From when on who was rejected may ask again, None for not at all. Raises Wrong."""
    try:
        at = forms.last_instant(forms.text(sent, "reapply_on", most=20))
    except ValueError as error:
        raise Wrong("reapply_on", str(error)) from None
    if at is not None and at <= now():
        raise Wrong("reapply_on", "This day is over. Choose a later one, or none.")
    return at
