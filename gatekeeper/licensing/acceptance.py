"""Showing terms, and a person's affirmative act on them. Never implied by a download, never for somebody else."""

import html
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, ledger
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.canonical import digest_of, instant_text, sha256_hex
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing import receipt, terms
from gatekeeper.licensing.accepted import claim_of, current_acceptance, latest_acceptance
from gatekeeper.licensing.circumstances import BY_API, Act, Keeping, Source, authentication, commit_to
from gatekeeper.licensing.tables import Acceptance, Presentation
from gatekeeper.licensing.terms import Document, Terms
from gatekeeper.licensing.texts import canonical_sha256, fold
from gatekeeper.repos.tables import Repo

METHODS = ("page", "terminal", "api")
PRESENTATION_LIFE = timedelta(hours=24)
_MAX_SHOWN_CHARS = 4 * 2**20


def text_to_show(repo: Repo, wanted: Terms) -> str:
    """Everything a person must see before accepting, as plain text: each text in full under its title and digest."""
    parts = [f"Terms of {repo.full_name}", f"Commit {wanted.commit_id}", f"Bundle {wanted.sha256}"]
    for number, document in enumerate(wanted.documents, 1):
        parts += ["", f"--- {number}. {document.title} (SHA-256 {document.sha256})", "", document.text]
    return "\n".join(parts)


async def present(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    wanted: Terms,
    *,
    shown: str | None = None,
    locale: str = "en",
) -> Presentation:
    """Record exactly what this person is being shown; `accept` asks for its id.

    shown  the page or terminal text, which must hold every text in full; None: `text_to_show`
    """
    person_id = _person(principal)
    shown = text_to_show(repo, wanted) if shown is None else shown
    if len(shown) > _MAX_SHOWN_CHARS:
        raise errors.Invalid("The page is too long to be kept as evidence.", next_step="Show the terms alone.")
    seen = fold(html.unescape(shown))
    if any(fold(document.text) not in seen for document in wanted.documents):
        raise errors.Invalid(
            "What was shown does not hold every text in full.", next_step="Show each license text word for word."
        )
    await terms.keep(session, repo, wanted)
    made = Presentation(
        person_id=person_id,
        repo_id=repo.id,
        bundle_sha256=wanted.sha256,
        shown=(await key_of(session, person_id)).words(shown),
        shown_sha256=sha256_hex(shown.encode()),
        locale=locale[:20],
    )
    session.add(made)
    await session.flush()  # the page carries its id
    await ledger.record(
        session,
        "licensing:terms:present",
        actor=person_id,
        token=principal.token_id,
        repo=repo.id,
        subject=made.id,
        body={"bundle_sha256": wanted.sha256, "shown_sha256": made.shown_sha256, "locale": made.locale},
    )
    return made


async def accept(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    wanted: Terms,
    *,
    texts: list[str] | tuple[str, ...],
    method: str,
    key: SigningKey,
    presentation_id: str | None = None,
    fields: Mapping[str, Any] | None = None,
    act: Act = BY_API,
    source: Source | None = None,
    keeping: Keeping | None = None,
    must_sign: bool = False,
    stage: str = "",
) -> Acceptance:
    """Record that this person accepts these terms of this repository, and give them the signed receipt.

    texts            digests of all texts of the bundle, each named by the person
    method           page and terminal need a presentation: issued to this person, for this bundle, within 24 hours
    fields           answers given with it; the receipt commits to them without holding them
    act              what the person did: a button, boxes, a name typed, a call
    source           from where; kept apart, for a short time
    keeping          on what ground the record is kept, and how long
    must_sign        the person types their name
    stage            of the release that the person stood before, "" where there are none
    Accepting again what is accepted gives the record that is there, unless it is claimed for another institution.
    """
    person_id = _person(principal)
    if method not in METHODS:
        raise errors.Invalid(f"Unknown way of accepting: {method[:40]}.", next_step=f"Use one of {', '.join(METHODS)}.")
    keeping = keeping or Keeping()
    _check_texts(wanted, texts)
    if must_sign and not act.typed_name:
        raise errors.Invalid(
            "Your full name is missing: it stands for your signature.",
            status=422,
            next_step="Type your full name.",
            details={"typed_name": "Your full name is missing."},
        )
    act.check_claim()
    presentation = await _presentation(session, person_id, repo, wanted, method=method, presentation_id=presentation_id)
    earlier = await current_acceptance(session, person_id, wanted, repo=repo)
    claim = act.on_behalf_of
    if earlier is not None and earlier.bundle_sha256 == wanted.sha256 and claim in (None, claim_of(earlier)):
        return earlier
    await terms.keep(session, repo, wanted)
    person = await session.get_one(Person, person_id)
    before = await latest_acceptance(session, person_id, repo)
    made = Acceptance(
        id=new_id(),
        person_id=person_id,
        repo_id=repo.id,
        bundle_sha256=wanted.sha256,
        presentation_id=presentation.id if presentation else None,
        method=method,
        accepted_at=now(),
    )
    statement: dict[str, Any] = {
        "receipt_id": made.id,
        "repository": repo.full_name,
        "repository_kind": repo.kind.value,
        "repository_id": repo.id,
        "commit": wanted.commit_id,
        "person": {"id": person_id, "name": person.name},
        "on_behalf_of": claim,
        "texts": [_text_facts(document, is_shown=presentation is not None) for document in wanted.documents],
        "bundle_sha256": wanted.sha256,
        "form_sha256": wanted.form.sha256,
        "presentation": {"id": presentation.id, "sha256": presentation.shown_sha256, "shown_at": presentation.shown_at}
        if presentation
        else None,
        "answers": _commitment(fields),
        "method": method,
        "act": act.as_json(),
        "authentication": await authentication(session, principal),
        "scope": {"repository_id": repo.id, "commit": wanted.commit_id, "stage": stage},
        "supersedes": before.id if before else None,
        "source": None,
        "legal_basis": keeping.legal_basis,
        "retention": {"class": "acceptance", "days_after_access": keeping.retention_days or None},
        "accepted_at": made.accepted_at,
        "token": principal.token_id,
        "policy_sha256": ledger.present().policy(),
    }
    own = await key_of(session, person_id)
    from_where = None
    if source is not None:
        from_where, statement["source"] = commit_to(made.id, source, own, keep_days=keeping.source_days)
    statement = _as_json(statement)
    event = await ledger.record(
        session,
        "licensing:terms:accept",
        actor=person_id,
        token=principal.token_id,
        repo=repo.id,
        subject=made.id,
        body={
            "bundle_sha256": wanted.sha256,
            "method": method,
            "is_for_institution": claim is not None,
            "statement_sha256": digest_of(statement),
        },
    )
    made.receipt = own.facts(receipt.sign_receipt(receipt.ACCEPTANCE, statement, event=event.id, key=key))
    session.add(made)
    await session.flush()  # a request made in the same transaction looks for it
    if from_where is not None:
        session.add(from_where)
    return made


def _person(principal: Principal) -> str:
    if principal.person_id is None:
        raise errors.NotSignedIn(
            "Terms are accepted by a person.", next_step="Sign in, then read and accept the terms."
        )
    if principal.is_service:
        raise errors.NotAllowed(
            "Terms are accepted by a person, never by a service account.",
            next_step="Let somebody who is answerable read and accept them with an account of their own.",
        )
    return principal.person_id


def _check_texts(wanted: Terms, named: list[str] | tuple[str, ...]) -> None:
    if not isinstance(named, list | tuple) or not all(isinstance(sha256, str) for sha256 in named):
        raise errors.Invalid(
            "The accepted texts must be a list of digests.", status=422, next_step="Name each text by its SHA-256."
        )
    missing = [document for document in wanted.documents if document.sha256 not in named]
    unknown = [sha256 for sha256 in named if sha256 not in wanted.texts]
    if not missing and not unknown:
        return
    wrong = {document.sha256: f"“{document.title}” was not accepted." for document in missing}
    wrong |= {sha256[:64]: "This text is not part of the present terms." for sha256 in unknown}
    raise errors.Invalid(
        " ".join(wrong.values()),
        status=422,
        next_step="Read the present terms and accept each text by its digest.",
        details={"texts": wrong},
    )


async def _presentation(
    session: AsyncSession, person_id: str, repo: Repo, wanted: Terms, *, method: str, presentation_id: str | None
) -> Presentation | None:
    if presentation_id is None:
        if method == "api":
            return None
        raise errors.Invalid(
            "The terms were not shown before they were accepted.", next_step="Open the terms page and accept there."
        )
    found = await session.get(Presentation, presentation_id)
    if found is None or (found.person_id, found.repo_id) != (person_id, repo.id):
        raise errors.Invalid(
            "This page of terms was not issued to you.", next_step="Open the terms page yourself and accept there."
        )
    if found.bundle_sha256 != wanted.sha256:
        raise errors.Conflict(
            "The terms have changed since the page was shown.", next_step="Read the present terms and accept them."
        )
    if now() - found.shown_at >= PRESENTATION_LIFE:
        raise errors.Invalid(
            "The terms were shown more than 24 hours ago.", next_step="Open the terms page again and accept there."
        )
    return found


def _text_facts(document: Document, *, is_shown: bool) -> dict[str, Any]:
    """One text of the statement. `shown` says how it was put before the person: in full, or named by digest alone."""
    return {
        "sha256": document.sha256,
        "canonical_sha256": canonical_sha256(document.body),
        "title": document.title,
        "language": document.language,
        "shown": "in full" if is_shown else "named",
    }


def _commitment(fields: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Digest of the answers with a salt that only the receipt's holder has, so that the answers cannot be guessed."""
    if not fields:
        return None
    salt = secrets.token_hex(16)
    return {"salt": salt, "sha256": digest_of({"answers": dict(fields), "salt": salt})}


def _as_json(value: Any) -> Any:
    """The statement as it will be read back from JSON: instants as text."""
    match value:
        case dict():
            return {name: _as_json(item) for name, item in value.items()}
        case list() | tuple():
            return [_as_json(item) for item in value]
        case _ if hasattr(value, "tzinfo"):
            return instant_text(value)
        case _:
            return value
