"""What is this image? A page for whoever has one, without an account and without script."""

from typing import Any

from starlette.responses import Response

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.kit.clock import instant_of, instant_words
from gatekeeper.provenance import MAX_BYTES, Verdict, fingerprint, number_text
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, repo_url
from gatekeeper.web.verifying import FIELD, verdict_on

_TONES = {
    "trusted": "ok",
    "exact": "ok",
    "found": "ok",
    "expired": "warn",
    "valid": "warn",
    "invalid": "stop",
}


async def ask(call: Call) -> Response:
    """`GET /verify`."""
    return _page(call)


async def answer(call: Call) -> Response:
    """`POST /verify`: what was found, on the same page. The file is not kept."""
    try:
        verdict = await verdict_on(call)
    except (Invalid, TooLarge) as error:
        return _page(call, status=error.status, errors={FIELD: error.sentence})
    return _page(call, verdict=verdict, model_url=repo_url(verdict.model) if verdict.model else "")


def _page(call: Call, *, status: int = 200, verdict: Verdict | None = None, **more: Any) -> Response:
    chain = call.gatekeeper.notary.authority.credential.chain
    context = {"errors": {}, "model_url": ""} | more
    return render(
        call,
        "portal/verify.html",
        status=status,
        verdict=verdict,
        tones=_TONES,
        stated=_stated(verdict) if verdict else [],
        number=number_text(verdict.record.number) if verdict and verdict.record else "",
        most_mib=MAX_BYTES // 2**20,
        authority_fingerprint=fingerprint(chain[-1]),
        **context,
    )


def _stated(verdict: Verdict) -> list[tuple[str, str]]:
    """What the signed metadata of this hub states, for people. Empty where the hub did not sign."""
    facts = verdict.examination.signature.facts
    model, safety = facts.get("model") or {}, facts.get("safety") or {}
    level = words.SAFETY_LEVELS.get((safety.get("sld") or {}).get("level", ""), "")
    rows = [
        ("Kind", "A preview of an image in the making" if facts.get("is_preview") else ""),
        ("Model", model.get("repository")),
        ("Commit", model.get("commit")),
        ("Made", instant_words(instant_of(facts["made_at"])) if facts.get("made_at") else ""),
        ("Safety", level),
        ("Terms of use", facts.get("license_sha256")),
        ("Decision", (facts.get("decision") or {}).get("id")),
        ("Receipt", facts.get("receipt_id")),
    ]
    return [(name, str(value)) for name, value in rows if value]


ROUTES = [
    guarded("/verify", ask, needs=None),
    guarded("/verify", answer, needs=None, methods=("POST",), mode="own"),
]
