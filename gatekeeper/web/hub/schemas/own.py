"""The JSON of our own calls, beside the Hub's."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gatekeeper.access import AccessGrant, AccessRequest, Usual, digest_of_reason
from gatekeeper.authz import Action, Decision, Denied
from gatekeeper.kit.canonical import instant_text
from gatekeeper.licensing import Difference, Form, Terms, TermsChange
from gatekeeper.licensing.tables import Acceptance
from gatekeeper.releases.tables import Release
from gatekeeper.repos import Repo
from gatekeeper.web.hub.schemas.answers import Json

# The rights that a standing is summed up by, hardest to get first: the first refusal says what to do next.
_TOLD_FIRST = (Action.KNOW, Action.READ_SMALL, Action.GENERATE, Action.DOWNLOAD)


def standing(
    repo: Repo,
    *,
    terms: Terms | None,
    form: Form,
    accepted: Acceptance | None,
    request: AccessRequest | None,
    grant: AccessGrant | None,
    status: str | None,
    rights: Mapping[Action, Decision],
    lacking: list[str],
    usual: Usual | None,
    address: str,
) -> Json:
    """`GET .../access`. `code` and `next_step` are those of the first right that is refused.

    `lacking` names prerequisites the caller has not; what is known of waiting is null where too
    few were answered to tell: the median, and the days within which eight of ten answers came.
    """
    refused = next((found for action in _TOLD_FIRST if isinstance(found := rights[action], Denied)), None)
    return {
        "repository": repo.full_name,
        "status": "granted" if grant is not None else (status or "none"),
        "code": refused.code.value if refused is not None else None,
        "reason": refused.reason if refused is not None else None,
        "next_step": refused.next_step if refused is not None else None,
        "terms": [
            {
                "sha256": document.sha256,
                "title": document.title,
                "url": f"{address}/{document.sha256}",
                "accepted": accepted is not None,
            }
            for document in (terms.documents if terms is not None else ())
        ],
        "accepted_at": _instant(accepted.accepted_at if accepted is not None else None),
        "receipt_id": accepted.id if accepted is not None else None,
        "fields": form.as_json().get("fields", []),
        "request_id": request.id if request is not None else None,
        "request_state": request.state.value if request is not None else None,
        "decision_reason": request.reason or None if request is not None else None,
        "answers": request.fields if request is not None else None,
        "conditions": _conditions(request),
        "lacking_prerequisites": lacking,
        "median_waiting_days": usual.median_days if usual is not None else None,
        "usual_waiting_days": list(usual.span) if usual is not None and usual.span is not None else None,
        "grant": None
        if grant is None
        else {"id": grant.id, "granted_at": instant_text(grant.granted_at), "ends_at": _instant(grant.ends_at)},
        "capabilities": {action.value: right(decision) for action, decision in rights.items()},
    }


def _conditions(request: AccessRequest | None) -> Json | None:
    if request is None or not request.conditions:
        return None
    return {
        "text": request.conditions,
        "sha256": digest_of_reason(request.conditions),
        "accepted_at": _instant(request.conditions_accepted_at),
    }


def right(decision: Decision) -> Json:
    """One cell: allowed, or why not."""
    if isinstance(decision, Denied):
        return {
            "allowed": False,
            "code": decision.code.value,
            "reason": decision.reason,
            "next_step": decision.next_step,
            "rules": list(decision.rules),
        }
    return {"allowed": True}


def asked(request: AccessRequest | None, receipt: Json | None) -> Json:
    """`POST .../access`."""
    return {
        "request_id": request.id if request is not None else None,
        "status": request.state.value if request is not None else "accepted",
        "receipt": receipt,
    }


def receipt_row(acceptance: Acceptance, repo: Repo | None, *, is_held: bool) -> Json:
    """One row of `GET /api/receipts`. `is_held`: a legal hold keeps it beyond its time."""
    return {
        "id": acceptance.id,
        "repository": repo.full_name if repo is not None else None,
        "bundle_sha256": acceptance.bundle_sha256,
        "method": acceptance.method,
        "accepted_at": instant_text(acceptance.accepted_at),
        "withdrawn_at": _instant(acceptance.withdrawn_at),
        "is_held": is_held,
        "receipt": acceptance.receipt,
    }


def releases(rows: Iterable[tuple[Release, Mapping[Action, Decision]]]) -> list[Json]:
    """`GET .../releases`: each with what the caller may do at it."""
    return [
        {
            "id": release.id,
            "commit": release.commit_id,
            "stage": release.stage.value,
            "staged_at": instant_text(release.staged_at),
            "manifest_sha256": release.manifest_sha256,
            "terms_sha256": release.bundle_sha256,
            "embargoed_until": _instant(release.embargoed_until),
            "held_at": _instant(release.held_at),
            "hold_reason": release.hold_reason or None,
            "deprecated_at": _instant(release.deprecated_at),
            "withdrawn_at": _instant(release.withdrawn_at),
            "capabilities": {action.value: right(decision) for action, decision in rights.items()},
        }
        for release, rights in rows
    ]


def terms_change(change: TermsChange, difference: Difference) -> Json:
    """One change of `.../terms/changes`. Lines begin with "-", "+", " " or, where some are left out, "~"."""
    return {
        "id": change.id,
        "in_force_at": instant_text(change.in_force_at),
        "class": change.change_class.value if change.change_class else None,
        "deadline_at": instant_text(change.deadline_at),
        "classified_at": _instant(change.classified_at),
        "note": change.note,
        "old_sha256": change.old_sha256,
        "new_sha256": change.new_sha256,
        "seen_sha256": difference.sha256,
        "texts": [
            {
                "title": text.title,
                "old_sha256": text.old.sha256 if text.old else None,
                "new_sha256": text.new.sha256 if text.new else None,
                "has_same_words": text.has_same_words,
                "lines": [line.marked for line in text.lines],
            }
            for text in difference.texts
        ],
    }


def _instant(instant: datetime | None) -> Any:
    return None if instant is None else instant_text(instant)
