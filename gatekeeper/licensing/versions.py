"""Newer versions: some licenses ask holders for reasonable efforts to use the latest one, so they are told of it."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.licensing.catalogue import Catalogue
from gatekeeper.licensing.recognition import recognized
from gatekeeper.licensing.terms import stored
from gatekeeper.repos.tables import Repo

LATEST_VERSION = "latest_version"


async def tell_of_newer(
    session: AsyncSession, repo: Repo, commit: str, bundle_sha256: str, *, by: Principal, catalogue: Catalogue
) -> bool:
    """Record that `commit` is the newer version that holders are to use, if a text of these terms asks for that."""
    terms = await stored(session, bundle_sha256)
    found = [await recognized(session, text, catalogue=catalogue) for text in terms.texts]
    asking = [known.id for known in found if known is not None and LATEST_VERSION in known.duties]
    if asking:
        await ledger.record(
            session,
            "licensing:version:newer",
            actor=by.person_id,
            token=by.token_id,
            repo=repo.id,
            subject=commit,
            body={"commit": commit, "licenses": asking},
        )
    return bool(asking)
