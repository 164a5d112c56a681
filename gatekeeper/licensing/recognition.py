"""What a text is: by the exact digest of a known copy, or because a person confirmed what its words suggest.

The canonical digest (see `texts.canonical_sha256`) ignores what copying changes, so it only suggests; two texts that it
takes for the same may still differ in something that matters to somebody.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.licensing import texts
from gatekeeper.licensing.catalogue import Catalogue, Known
from gatekeeper.licensing.tables import CatalogueLicense, LicenseText, Recognition


async def license_ids(session: AsyncSession, digests: set[str]) -> dict[str, str]:
    """What texts are by somebody's word: the operator's catalogue, and what people confirmed.

    Copies that the policies list are not looked for: those are known by digest alone.
    """
    if not digests:
        return {}
    listed = await session.execute(
        sa.select(col(CatalogueLicense.text_sha256), col(CatalogueLicense.license_id))
        .where(col(CatalogueLicense.text_sha256).in_(digests))
        .order_by(col(CatalogueLicense.added_at), col(CatalogueLicense.license_id))
    )
    confirmed = await session.execute(
        sa.select(col(Recognition.text_sha256), col(Recognition.license_id)).where(
            col(Recognition.text_sha256).in_(digests)
        )
    )
    return {row.text_sha256: row.license_id for row in [*listed, *confirmed]}


async def recognized(session: AsyncSession, sha256: str, *, catalogue: Catalogue) -> Known | None:
    """The license that a text is known to be; None where nobody can say."""
    if (known := catalogue.by_copy(sha256)) is not None:
        return known
    return catalogue.licenses.get((await license_ids(session, {sha256})).get(sha256, ""))


async def suggested(session: AsyncSession, body: bytes, *, catalogue: Catalogue) -> list[Known]:
    """Licenses whose words a text has, for a person to compare: from listed copies, and from texts known here."""
    found = catalogue.by_words(texts.canonical_sha256(body))
    alike = [text.sha256 for text in await texts.similar(session, body)]
    ids = await license_ids(session, set(alike))
    known = [catalogue.by_copy(sha256) or catalogue.licenses.get(ids.get(sha256, "")) for sha256 in alike]
    return list({each.id: each for each in [*found, *known] if each is not None}.values())


async def recognize(
    session: AsyncSession,
    text: LicenseText,
    license_id: str,
    *,
    catalogue: Catalogue,
    by: Principal,
) -> Recognition:
    """Confirm that a text is the license whose words it has.

    Only the operator may say so of a text with other words: what a text counts as decides what the gate asks for.
    Raises Invalid for a license that the catalogue lacks or the words do not suggest, Conflict when it is known.
    """
    known = catalogue.licenses.get(license_id)
    if known is None:
        raise errors.Invalid(
            f"The catalogue has no license {license_id[:80]}.", next_step="Take one from `gatekeeper licenses list`."
        )
    if await recognized(session, text.sha256, catalogue=catalogue) is not None:
        raise errors.Conflict("This text is recognized already.", next_step="Reload the page of terms.")
    suggestions = [each.id for each in await suggested(session, text.body, catalogue=catalogue)]
    is_operator = by.is_admin and by.person_id is None
    if license_id not in suggestions and not is_operator:
        raise errors.Invalid(
            f"The words of this text are not those of {known.title}.",
            next_step="Ask the operator of this hub to compare the texts.",
        )
    made = Recognition(text_sha256=text.sha256, license_id=license_id, confirmed_by=by.person_id)
    session.add(made)
    await session.flush()  # read by the next decision in this transaction
    await ledger.record(
        session,
        "licensing:text:recognize",
        actor=by.person_id,
        token=by.token_id,
        subject=text.sha256,
        body={
            "license_id": license_id,
            "canonical_sha256": text.canonical_sha256,
            "has_same_words": license_id in suggestions,
        },
    )
    return made
