"""License texts: exact bytes found by their digest, and a folded digest that only suggests sameness."""

import re
import unicodedata

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.licensing.tables import LicenseText

MAX_TEXT_BYTES = 2**20

_QUOTES = str.maketrans(
    {**dict.fromkeys("‘’‚‛′`´", "'"), **dict.fromkeys('“”„‟″«»"', "'"), **dict.fromkeys("‐‑‒–—―−", "-")}
)
_LIST_MARK = re.compile(
    r"^[ \t>]*(?:#{1,6}|[-*+•·◦▪]|\(?(?:[0-9]{1,3}|[a-z]|[ivx]{1,5})[.)])[ \t]+", re.MULTILINE | re.I
)
_EMPHASIS = re.compile(r"[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}")


def canonical_sha256(body: bytes) -> str:
    """Digest of the text without what copying changes: kinds of quotes and dashes, list marks, white space, case.

    Two texts with the same canonical digest are *probably* the same license; only a person can say that they are.
    Compatibility: stored for good, so the folding below never changes.
    """
    return sha256_hex(fold(readable(body)).encode())


def fold(text: str) -> str:
    """`text` as `canonical_sha256` sees it."""
    text = unicodedata.normalize("NFKC", text.removeprefix("\ufeff")).translate(_QUOTES)
    return " ".join(_EMPHASIS.sub("", _LIST_MARK.sub("", text)).casefold().split())


def readable(body: bytes) -> str:
    """The text for showing: UTF-8, with U+FFFD where the bytes are something else."""
    return body.decode("utf-8", "replace")


def is_readable(body: bytes) -> bool:
    """Whether the bytes are UTF-8 text that says something and that a page can show in full."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text.strip()) and not any(c < " " and c not in "\t\n\r\f" for c in text) and len(body) <= MAX_TEXT_BYTES


async def add(
    session: AsyncSession,
    body: bytes,
    *,
    title: str,
    language: str = "en",
    by: Principal | None = None,
) -> LicenseText:
    """Keep an exact text; adding the same bytes again gives the text that is there, which never changes.

    Raises Invalid for an empty text and for more than one MiB.
    """
    if not body.strip():
        raise errors.Invalid("The license text is empty.", next_step="Send the full text of the license.")
    if len(body) > MAX_TEXT_BYTES:
        raise errors.Invalid(
            f"The license text has {len(body):,} bytes; at most {MAX_TEXT_BYTES:,} can be shown to a person.",
            next_step="Put only the license itself into the text.",
        )
    sha256 = sha256_hex(body)
    text = await session.get(LicenseText, sha256)
    if text is not None:
        return text
    text = LicenseText(
        sha256=sha256,
        canonical_sha256=canonical_sha256(body),
        title=title[:200],
        language=language,
        body=body,
    )
    session.add(text)
    await ledger.record(
        session,
        "licensing:text:add",
        actor=by.person_id if by else None,
        token=by.token_id if by else None,
        subject=sha256,
        body={"canonical_sha256": text.canonical_sha256, "size_bytes": len(body)},
    )
    return text


async def get(session: AsyncSession, sha256: str) -> LicenseText:
    """The text with this digest. Raises NotFound."""
    text = await session.get(LicenseText, sha256)
    if text is None:
        raise errors.NotFound(
            f"There is no license text with the digest {sha256[:64]}.",
            next_step="Take the digest from the repository's page or from the receipt.",
        )
    return text


async def similar(session: AsyncSession, body: bytes) -> list[LicenseText]:
    """Known texts that differ from `body` in form only, for a person to compare."""
    found = await session.scalars(
        sa.select(LicenseText)
        .where(col(LicenseText.canonical_sha256) == canonical_sha256(body), col(LicenseText.sha256) != sha256_hex(body))
        .order_by(col(LicenseText.added_at))
    )
    return list(found)
