"""Orders as they travel: signed, for one purpose, for a short time."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, StringConstraints

from inference.contract.base import Order, Sha256
from inference.contract.codes import ErrorCode
from inference.contract.models import LoadOrder
from inference.contract.orders import CancelOrder, ImageOrder, ReadOrder


class Purpose(StrEnum):
    """What an envelope may be used for, so that one kind of order cannot be replayed as another."""

    LOAD = "load"
    ORDER = "order"
    CANCEL = "cancel"
    READ = "read"


class Envelope(Order):
    """An order as it travels: the exact JSON text, signed with the key that both processes share.

    signature  hex HMAC-SHA256 over these lines: "gatekeeper-order-v1", purpose, expires_at (ISO 8601), nonce, sha256 of
               the body
    """

    purpose: Purpose
    body: str
    expires_at: AwareDatetime
    nonce: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22,64}$")]
    signature: Sha256


class EnvelopeError(Exception):
    """An envelope that must not be obeyed; `code` says why."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def sign(
    order: LoadOrder | ImageOrder | CancelOrder | ReadOrder, key: bytes, *, now: datetime, ttl_seconds: int = 60
) -> Envelope:
    """Wrap an order so that the worker obeys it once, until `now` + `ttl_seconds`."""
    purpose = _PURPOSES[type(order)]
    body = order.model_dump_json()
    expires_at = now + timedelta(seconds=ttl_seconds)
    nonce = secrets.token_urlsafe(24)
    signature = _mac(key, purpose, expires_at, nonce, body)
    return Envelope(purpose=purpose, body=body, expires_at=expires_at, nonce=nonce, signature=signature)


def verify(envelope: Envelope, key: bytes, *, purpose: Purpose, now: datetime) -> str:
    """The body of a genuine, current envelope. Raises EnvelopeError. Replay is the worker's to remember."""
    expected = _mac(key, envelope.purpose, envelope.expires_at, envelope.nonce, envelope.body)
    if not hmac.compare_digest(expected, envelope.signature) or envelope.purpose is not purpose:
        raise EnvelopeError(ErrorCode.BAD_SIGNATURE, "The order is not signed with this worker's key.")
    if now >= envelope.expires_at:
        raise EnvelopeError(ErrorCode.SIGNATURE_EXPIRED, "The order's signature has expired; send it again.")
    return envelope.body


_PURPOSES: dict[type[Order], Purpose] = {
    LoadOrder: Purpose.LOAD,
    ImageOrder: Purpose.ORDER,
    CancelOrder: Purpose.CANCEL,
    ReadOrder: Purpose.READ,
}


def _mac(key: bytes, purpose: Purpose, expires_at: datetime, nonce: str, body: str) -> str:
    if len(key) < 32:
        raise ValueError("the order key must have at least 32 bytes")
    body_sha256 = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    text = f"gatekeeper-order-v1\n{purpose}\n{expires_at.isoformat()}\n{nonce}\n{body_sha256}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
