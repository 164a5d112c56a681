"""Why something is decided: a kind of reason that the hub offers, words of one's own, or both."""

from starlette.datastructures import FormData

from gatekeeper.errors import Invalid
from gatekeeper.web.asking import request_rules
from gatekeeper.web.guard import Call
from gatekeeper.web.portal import forms


def kinds_of(call: Call, act: str) -> list[tuple[str, str]]:
    """What a form offers for an act, beside one's own words."""
    offered = request_rules(call).reasons_for(act)
    return [("", "In my own words"), *((reason.code, reason.text) for reason in offered)]


def read(call: Call, sent: FormData, act: str, field: str) -> tuple[str, str]:
    """The words that the person reads, those of the chosen kind first, and its code."""
    code = forms.text(sent, code_field(act), most=60)
    text = request_rules(call).reason_text(code, act)
    return f"{text} {forms.text(sent, field).strip()}".strip(), code


def code_field(act: str) -> str:
    """The name of the field in which a form sends the kind of reason for an act."""
    return f"{act}_code"


def wrong_field(error: Invalid, act: str, field: str) -> str:
    """Which field of the form a refusal is about."""
    return code_field(act) if "chosen here" in error.message else field
