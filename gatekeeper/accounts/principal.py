"""Who is asking: the one value that every decision is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from gatekeeper.accounts.tables import Role, Strength


@dataclass(frozen=True, slots=True)
class Principal:
    """A person as they appear in one request; anonymous when `person_id` is None.

    organizations  organization id -> role
    token_id       the access token used, None for a browser session
    scopes         what the token allows; None means no narrowing (a browser session)
    valid_until    end of the token or session: until then a cache may believe in it, if nothing is changed
    signed_in_at   when this session's sign-in was; None for a token
    strength       how, None for a token
    """

    person_id: str | None = None
    name: str = ""
    is_admin: bool = False
    organizations: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    token_id: str | None = None
    scopes: frozenset[str] | None = None
    session_id: str | None = None
    valid_until: datetime | None = None
    signed_in_at: datetime | None = None
    strength: Strength | None = None

    @property
    def is_signed_in(self) -> bool:
        """Whether anybody vouches for this principal."""
        return self.person_id is not None


ANONYMOUS = Principal()

# Whoever runs the `gatekeeper` command on the machine itself: no person, but every right an administrator has.
OPERATOR = Principal(name="operator", is_admin=True)
