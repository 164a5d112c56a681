"""How an acceptance came about: the act itself, how the person had signed in, and, for a short time, from where."""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import BrowserSession
from gatekeeper.kit.canonical import digest_of
from gatekeeper.kit.clock import now
from gatekeeper.kit.personal import PersonKey
from gatekeeper.licensing.tables import AcceptanceSource
from gatekeeper.settings import Settings

MAX_TYPED_NAME_CHARS = 120
MAX_INSTITUTION_CHARS = 200
_MAX_AGENT_CHARS = 200
_KEPT_BITS = {4: 24, 6: 48}  # of an address: the network, never the machine


@dataclass(frozen=True, slots=True)
class Act:
    """What the person did.

    element, label  the control that was used, and the words on it
    boxes           texts with a box of their own, all empty when shown and ticked by the person
    typed_name      what they typed as their full name, "" where they were not asked
    institution     for which they say that they accept, "" for themselves alone
    has_authority   they say that they may bind it; a claim of theirs, which nobody has checked
    """

    element: str
    label: str
    boxes: tuple[str, ...] = ()
    typed_name: str = ""
    institution: str = ""
    has_authority: bool = False

    @property
    def on_behalf_of(self) -> dict[str, Any] | None:
        """The claim for an institution, for the signed statement; None for who accepts for themselves."""
        return {"institution": self.institution, "claims_authority": True} if self.institution else None

    def check_claim(self) -> None:
        """Raise Invalid naming what is missing, where a claim for an institution is not whole."""
        wrong = {}
        if self.institution and not self.has_authority:
            wrong["has_authority"] = "Say that you have the authority to accept for the institution."
        if self.has_authority and not self.institution:
            wrong["institution"] = "Name the institution that you accept for."
        if len(self.institution) > MAX_INSTITUTION_CHARS or not self.institution.isprintable():
            wrong["institution"] = f"The name must be one line of at most {MAX_INSTITUTION_CHARS} characters."
        if wrong:
            raise errors.Invalid(
                " ".join(wrong.values()),
                status=422,
                next_step="Complete it, or accept for yourself alone.",
                details=wrong,
            )

    def as_json(self) -> dict[str, Any]:
        """For the signed statement."""
        boxes = [{"text_sha256": sha256, "was_ticked": False, "is_ticked": True} for sha256 in self.boxes]
        return {"element": self.element, "label": self.label, "boxes": boxes, "typed_name": self.typed_name or None}


@dataclass(frozen=True, slots=True)
class Keeping:
    """On what ground an acceptance is kept (GDPR 6) and how long; the statement says both.

    retention_days  after access has ended; 0: for good
    """

    source_days: int = 90
    legal_basis: str = "contract"
    retention_days: int = 3650

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator set it."""
        return cls(settings.keep_source_days, settings.legal_basis, settings.retention_acceptance_days)


BY_API = Act("api", "accept")


@dataclass(frozen=True, slots=True)
class Source:
    """From where: the network of the address, and what the program called itself."""

    network: str
    user_agent: str

    @classmethod
    def of(cls, address: str, user_agent: str) -> "Source":
        """The source of a request; what is no address is left out."""
        try:
            found = ipaddress.ip_address(address)
            network = str(ipaddress.ip_network(f"{found}/{_KEPT_BITS[found.version]}", strict=False))
        except ValueError:
            network = ""
        return cls(network, "".join(sign for sign in user_agent[:_MAX_AGENT_CHARS] if sign.isprintable()))


async def authentication(session: AsyncSession, principal: Principal) -> dict[str, Any]:
    """How the person had signed in, how strongly, and when."""
    if principal.token_id is not None:
        return {"by": "token", "scopes": sorted(principal.scopes or ()), "signed_in_at": None}
    browser = await session.get(BrowserSession, principal.session_id) if principal.session_id else None
    if browser is None:
        return {"by": "unknown", "signed_in_at": None}
    return {"by": "session", "strength": browser.strength.value, "signed_in_at": browser.signed_in_at}


def commit_to(acceptance_id: str, source: Source, key: PersonKey, *, keep_days: int) -> tuple[AcceptanceSource, str]:
    """A row that is forgotten after `keep_days`, and the digest by which the receipt commits to it until then.

    The salt goes with the row, so that nothing can be guessed from the digest afterwards.
    """
    salt = secrets.token_hex(16)
    row = AcceptanceSource(
        acceptance_id=acceptance_id,
        network=key.words(source.network),
        user_agent=key.words(source.user_agent),
        salt=salt,
        kept_until=now() + timedelta(days=keep_days),
    )
    return row, digest_of({"network": source.network, "user_agent": source.user_agent, "salt": salt})


async def forget_sources(session: AsyncSession) -> int:
    """Delete where acceptances came from, once their time is over; returns how many were deleted."""
    done = await session.scalars(
        sa.delete(AcceptanceSource)
        .where(col(AcceptanceSource.kept_until) <= now())
        .returning(col(AcceptanceSource.acceptance_id))
    )
    return len(list(done))
