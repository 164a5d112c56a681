"""Which terms bind a commit: texts and questions, resolved from the commit itself and remembered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.kit.canonical import digest_of, sha256_hex
from gatekeeper.licensing import catalogue, texts
from gatekeeper.licensing.forms import Form
from gatekeeper.licensing.tables import LicenseText, RepoTerms, TermsBundle
from gatekeeper.repos import cards, history
from gatekeeper.repos.cards import Card
from gatekeeper.repos.history import TreeEntry
from gatekeeper.repos.tables import Repo

LICENSE_FILES = ("license", "license.txt", "license.md")
ADDENDA = ("terms.md", "terms.txt")  # accepted beside the license


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a bundle, as a person reads it."""

    sha256: str
    title: str
    body: bytes = field(repr=False)
    language: str = "en"

    @property
    def text(self) -> str:
        """The body for showing."""
        return texts.readable(self.body)


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one commit of one repository.

    sha256     of the bundle: the canonical JSON of the texts' digests, in order, and of the form's digest
    documents  the texts, in the order in which they are shown and accepted
    problems   why a text cannot be shown in full; such terms cannot be accepted, so the gate stays shut
    stage      whose own they are; "" for those of every stage that has none of its own
    """

    repo_id: str
    commit_id: str
    sha256: str
    documents: tuple[Document, ...]
    form: Form
    problems: tuple[str, ...] = ()
    stage: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Digests of the texts, in order."""
        return tuple(document.sha256 for document in self.documents)

    @property
    def need_acceptance(self) -> bool:
        """Whether there is anything to accept. A form alone is answered, not accepted."""
        return bool(self.documents)


async def terms_for(session: AsyncSession, repo: Repo, commit: str, *, stage: str = "") -> Terms | None:
    """The terms of `commit` while it is released at `stage`, None when it has neither license text nor questions.

    The text is the commit's own LICENSE file, else the catalogue's for the card's `license` (or `license_name` where
    that says "other"); where the card's `stage_licenses` names the stage, the file or license that stands there. An
    addendum, TERMS.md, and the card's `extra_gated_prompt` are further texts. In a write session the answer is
    remembered, so that a later change of the catalogue never changes the terms of an old commit.
    """
    remembered = await session.get(RepoTerms, (repo.id, commit, stage))
    if remembered is not None:
        return await stored(session, remembered.bundle_sha256, repo_id=repo.id, commit=commit, stage=stage)
    if stage and stage not in (await cards.card_of(session, repo, commit)).stage_licenses:
        return await terms_for(session, repo, commit)
    found = await resolve(session, [(repo, commit)], stage=stage)
    if (repo.id, commit) not in found:
        raise history.unknown(commit)
    return found[repo.id, commit]


async def resolve(
    session: AsyncSession, places: Collection[tuple[Repo, str]], *, stage: str = ""
) -> dict[tuple[str, str], Terms | None]:
    """The terms of commits of which nothing is remembered, by repository and commit; missing commits are left out.

    However many they are, it takes a handful of statements. In a write session the answers are remembered.
    stage  for which the cards state a license of its own; "" for what binds at all others
    """
    there = await history.find_commits(session, [(repo.id, commit) for repo, commit in places])
    places = [(repo, commit) for repo, commit in places if (repo.id, commit) in there]
    read = await cards.cards_of(session, places)
    stated = {place: card.stage_licenses.get(stage, "") for place, card in read.items()}
    files = {
        (repo.id, commit): await _text_files(session, repo, commit, stated[repo.id, commit]) for repo, commit in places
    }
    wanted = {(repo_id, entry.oid) for (repo_id, _), own in files.items() for entry in own if _is_small(entry)}
    bodies = await history.read_blobs(session, wanted)
    names = {
        place: () if any(map(_is_license, files[place])) else _named(card, stated[place])
        for place, card in read.items()
    }
    catalogued = await catalogue.by_license_ids(session, {name for some in names.values() for name in some})
    found = {}
    for repo, commit in places:
        place = (repo.id, commit)
        known = next((catalogued[name] for name in names[place] if name in catalogued), None)
        terms = _terms(repo, commit, read[place], files[place], bodies, known, stage if stated[place] else "")
        if terms is not None and not terms.problems and _writes(session):
            await keep(session, repo, terms)
        found[place] = terms
    return found


async def stored(
    session: AsyncSession, bundle_sha256: str, *, repo_id: str = "", commit: str = "", stage: str = ""
) -> Terms:
    """The terms behind a bundle's digest. Raises NotFound."""
    bundle = await session.get(TermsBundle, bundle_sha256)
    if bundle is None:
        raise errors.NotFound(
            f"There are no terms with the digest {bundle_sha256[:64]}.",
            next_step="Take the digest from the repository's page or from the receipt.",
        )
    found = await session.scalars(sa.select(LicenseText).where(col(LicenseText.sha256).in_(bundle.texts)))
    by_digest = {text.sha256: Document(text.sha256, text.title, text.body, text.language) for text in found}
    documents = tuple(by_digest[sha256] for sha256 in bundle.texts)
    return Terms(repo_id, commit, bundle.sha256, documents, Form.from_json(bundle.form), stage=stage)


async def text_of(session: AsyncSession, repo: Repo, sha256: str) -> LicenseText:
    """A text of the terms that any revision of `repo` has or had. Raises NotFound: a digest alone opens no text."""
    bundles = await session.scalars(
        sa.select(TermsBundle)
        .join(RepoTerms, col(RepoTerms.bundle_sha256) == col(TermsBundle.sha256))
        .where(col(RepoTerms.repo_id) == repo.id)
    )
    if not any(sha256 in bundle.texts for bundle in bundles):
        raise errors.NotFound("There is no such text.", next_step="Take its digest from the repository's terms.")
    return await texts.get(session, sha256)


async def keep(session: AsyncSession, repo: Repo, terms: Terms) -> None:
    """Store texts and bundle, and remember them for the commit. Keeping what is kept changes nothing."""
    if terms.problems:
        raise errors.Invalid(
            terms.problems[0], next_step="Ask the maintainers of the repository to publish a readable license text."
        )
    try:
        async with session.begin_nested():
            await _keep(session, repo, terms)
    except IntegrityError:  # somebody else kept the same in between, and has committed: what is left is ours to keep
        await _keep(session, repo, terms)


async def _keep(session: AsyncSession, repo: Repo, terms: Terms) -> None:
    for document in terms.documents:
        await texts.add(session, document.body, title=document.title)
    if await session.get(TermsBundle, terms.sha256) is None:
        session.add(TermsBundle(sha256=terms.sha256, texts=list(terms.texts), form=terms.form.as_json()))
        await session.flush()  # RepoTerms refers to it
    place = {"repo_id": repo.id, "commit_id": terms.commit_id, "stage": terms.stage}
    if terms.commit_id and await session.get(RepoTerms, place) is None:
        session.add(RepoTerms(**place, bundle_sha256=terms.sha256))
        await session.flush()  # read by the next call in this transaction


def bundle_sha256(documents: tuple[Document, ...], form: Form) -> str:
    """Digest that names a bundle. Compatibility: stored in acceptances, so this form never changes."""
    return digest_of({"form": form.sha256, "texts": [document.sha256 for document in documents]})


def _writes(session: AsyncSession) -> bool:
    return bool(session.get_bind().get_execution_options().get("gatekeeper_writes"))


async def _text_files(session: AsyncSession, repo: Repo, commit: str, stated: str) -> list[TreeEntry]:
    """The commit's own LICENSE, or the file that is stated in its place, then its addendum.

    Asks for nothing where the commit's root is warm.
    """
    licenses = (stated.lower(),) if stated else LICENSE_FILES
    root = await history.files_alike(session, repo, commit, (*licenses, *ADDENDA))
    found = [next((name for name in names if name in root), None) for names in (licenses, ADDENDA)]
    return [root[name] for name in dict.fromkeys(found) if name is not None]


def _is_license(entry: TreeEntry) -> bool:
    return entry.path.lower() not in ADDENDA


def _terms(
    repo: Repo,
    commit: str,
    card: Card,
    entries: list[TreeEntry],
    bodies: Mapping[tuple[str, str], bytes],
    known: LicenseText | None,
    stage: str,
) -> Terms | None:
    problems = [f"The card of {repo.full_name} cannot be read: {card.problem}"] if card.problem else []
    documents: list[Document] = []
    if known is not None:
        documents.append(Document(known.sha256, known.title, known.body))
    elif stage and not any(map(_is_license, entries)):
        stated = card.stage_licenses[stage]
        documents.append(Document(sha256_hex(stated.encode()), stated, b""))
        problems.append(
            f"{repo.full_name} states “{stated}” as its license at the stage {stage}: that is neither a file at its "
            "top nor a license of the catalogue."
        )
    for entry in entries:
        body = _readable(repo, entry, bodies.get((repo.id, entry.oid), b""), problems)
        documents.append(Document(sha256_hex(body) if body else entry.oid, f"{entry.path} of {repo.full_name}", body))
    if card.gated_prompt:
        body = card.gated_prompt.encode()
        documents.append(Document(sha256_hex(body), f"Access conditions of {repo.full_name}", body))
    form = Form.parse(card.data.get("extra_gated_fields"))
    if not documents and not form.fields:
        return None
    sha256 = bundle_sha256(tuple(documents), form)
    return Terms(repo.id, commit, sha256, tuple(documents), form, tuple(problems), stage)


def _is_small(entry: TreeEntry) -> bool:
    return entry.lfs is None and entry.size <= texts.MAX_TEXT_BYTES


def _readable(repo: Repo, entry: TreeEntry, body: bytes, problems: list[str]) -> bytes:
    """The content of a small text file, b"" when it cannot be shown in full (with the reason in `problems`)."""
    if not _is_small(entry):
        problems.append(
            f"{entry.path} of {repo.full_name} has {entry.size:,} bytes or is stored as a large file, so it cannot be "
            f"shown; at most {texts.MAX_TEXT_BYTES:,} bytes of plain text can."
        )
        return b""
    if not texts.is_readable(body):
        problems.append(f"{entry.path} of {repo.full_name} is empty or not readable UTF-8 text.")
    return body


def _named(card: Card, stated: str) -> tuple[str, ...]:
    """Identifiers of licenses that a card names, in lower case; only the one that is stated for a stage, if one is."""
    named = [stated] if stated else [name for name in card.licenses if name != "other"] + [card.license_name or ""]
    return tuple(name.lower() for name in named if name)
