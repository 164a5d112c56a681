"""Who is asking: the one value that every decision is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from gatekeeper.accounts.tables import Role, Strength


@dataclass(frozen=True, slots=True)
class Reach:
    """What a token is limited to, by ids.

    owners     people and organizations: their namespaces with every repository there, later ones included
    is_public  beside them, what is open to everybody may be read and used
    """

    repositories: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """A person as they appear in one request; anonymous when `person_id` is None.

    organizations  organization id -> role; those where they are guests are not among them
    suspended      ids of organizations whose membership counts for nothing until its person has a second factor
    in_teams       ids of organizations in which a team of theirs may give them more, or as a guest anything
    safety_teams   ids of organizations in whose safety team they are
    token_id       the access token used, None for a browser session
    scopes         what the token allows; None means no narrowing (a browser session)
    reach          what the token is limited to; None for everything its person has
    closed         organizations that have not approved the token: it opens nothing there
    is_service     no human being: an account of an organization that only programs act with
    valid_until    end of the token or session: until then a cache may believe in it, if nothing is changed
    signed_in_at   when this session's sign-in was; None for a token
    strength       how, None for a token
    """

    person_id: str | None = None
    name: str = ""
    is_admin: bool = False
    organizations: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    suspended: frozenset[str] = frozenset()
    in_teams: frozenset[str] = frozenset()
    safety_teams: frozenset[str] = frozenset()
    token_id: str | None = None
    scopes: frozenset[str] | None = None
    session_id: str | None = None
    valid_until: datetime | None = None
    signed_in_at: datetime | None = None
    strength: Strength | None = None
    reach: Reach | None = None
    closed: frozenset[str] = frozenset()
    is_service: bool = False

    @property
    def is_signed_in(self) -> bool:
        """Whether anybody vouches for this principal."""
        return self.person_id is not None

    def covers(self, owner_id: str | None, repo_id: str | None = None) -> bool:
        """Whether the credential is about this namespace or repository at all; what one may do there is another matter.

        owner_id  None for the hub as a whole, which a limited token is never about
        """
        if owner_id is not None and owner_id in self.closed:
            return False
        return self.reach is None or owner_id in self.reach.owners or repo_id in self.reach.repositories


ANONYMOUS = Principal()

# Whoever runs the `gatekeeper` command on the machine itself: no person, but every right an administrator has.
OPERATOR = Principal(name="operator", is_admin=True)
