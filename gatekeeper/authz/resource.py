"""The facts a decision is made on, as frozen values: what is asked for, and how the asker stands to it.

Nothing here is looked up or decided; `facts.load` fills these values, `decide` reads them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from gatekeeper.access.tables import RequestState
from gatekeeper.accounts.tables import Role
from gatekeeper.licensing import Earlier
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate, RepoKind


class Text(NamedTuple):
    """A text of the terms in force; `license_id` is "" where nobody vouched for what it is."""

    sha256: str
    license_id: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision as the policies see it. `stage` is None in a repository without stages.

    bundle       digest of the terms in force; None where there are none
    is_proposed  it came through a pull request, and is decided as what it is based on
    proposer_id  whose work alone it then is
    texts        what must be accepted of them (a form alone has none)
    earlier      older texts that this person accepted and that still count, for good or until an instant
    """

    commit: str = ""
    stage: Stage | None = None
    release_id: str | None = None
    embargoed_until: datetime | None = None
    is_held: bool = False
    is_withdrawn: bool = False
    is_deprecated: bool = False
    is_proposed: bool = False
    proposer_id: str | None = None
    bundle: str | None = None
    texts: tuple[Text, ...] = ()
    earlier: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant that was not revoked; in force while not suspended and the instant of a decision is before `ends_at`."""

    id: str
    ends_at: datetime | None = None
    is_tester: bool = False
    names_institution: bool = False
    names_purpose: bool = False
    is_suspended: bool = False

    def is_in_force(self, instant: datetime) -> bool:
        """Exact to the microsecond, with no job running: at `ends_at` the right is gone."""
        return not self.is_suspended and (self.ends_at is None or instant < self.ends_at)


@dataclass(frozen=True, slots=True)
class Brought:
    """A prerequisite that a person brings and nobody took back; it counts while the instant is before `ends_at`."""

    kind: str
    value: str = ""
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """A prerequisite that a grant needs in order to count; of `accepted` values, if any are named."""

    kind: str
    accepted: frozenset[str] = frozenset()

    def is_met(self, brought: tuple[Brought, ...], instant: datetime) -> bool:
        """Whether one of them answers it at `instant`."""
        return any(
            one.kind == self.kind
            and (not self.accepted or one.value in self.accepted)
            and (one.ends_at is None or instant < one.ends_at)
            for one in brought
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """How one person stands to one repository.

    is_safety        in the safety team of the owning organization
    accepted         for each acceptance they gave for this repository and did not withdraw: digests of its texts
    has_withdrawn    they withdrew an acceptance given for it
    grants           not revoked, possibly over
    request          state of their latest request
    was_revoked      their latest grant was revoked, not given up
    demands          what the repository needs of everybody with a grant; its stage may need more
    brought          prerequisites that they bring
    """

    role: Role | None = None
    is_safety: bool = False
    is_disabled: bool = False
    accepted: tuple[frozenset[str], ...] = ()
    has_withdrawn: bool = False
    grants: tuple[Grant, ...] = ()
    request: RequestState | None = None
    request_id: str | None = None
    was_revoked: bool = False
    revoke_reason: str = ""
    demands: tuple[Demand, ...] = ()
    brought: tuple[Brought, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A repository (at a commit, and a path in it) together with one person's standing.

    owner_id   the person or organization it belongs to
    revision   the one that was asked for; None leaves the choice: the newest highest release they may know
    releases   every release of a staged repository, best first (see facts.ranked)
    """

    repo_id: str
    name: str
    kind: RepoKind
    person_id: str | None
    owner_id: str | None = None
    is_staged: bool = False
    is_private: bool = False
    gate: Gate = Gate.NONE
    commit: str | None = None
    path: str | None = None
    revision: Revision | None = None
    releases: tuple[Revision, ...] = ()
    standing: Standing = field(default_factory=Standing)

    @property
    def noun(self) -> str:
        """`model`, `dataset` or `space`."""
        return self.kind.value.removesuffix("s")

    @property
    def page(self) -> str:
        """Path of its page: `/ns/name` for models, with the kind before it otherwise."""
        return f"/{self.name}" if self.kind is RepoKind.MODEL else f"/{self.kind.value}/{self.name}"


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub itself, or one namespace of it with the person's role there."""

    person_id: str | None
    namespace: str = ""
    role: Role | None = None
    is_disabled: bool = False
    owner_id: str | None = None


Target = Resource | Hub


class Attributes(NamedTuple):
    """A repository's attributes in Cedar, in the schema's order (names become camelCase there)."""

    staged: bool
    stage: str
    private: bool
    gate: str
    embargoed: bool
    held: bool
    withdrawn: bool
    deprecated: bool
    has_terms: bool
    binds_use: bool
    needs_click: bool
    may_redistribute: bool
    proposed: bool = False


class Context(NamedTuple):
    """The standing in Cedar, in the schema's order (names become camelCase there)."""

    is_member: bool = False
    is_owner: bool = False
    is_maintainer: bool = False
    is_safety_team: bool = False
    is_site_admin: bool = False
    is_disabled: bool = False
    is_token: bool = False
    scopes: tuple[str, ...] = ()
    token_covers: bool = True
    token_public: bool = False
    token_pending: bool = False
    is_service: bool = False
    grant: bool = False
    tester: bool = False
    institution: bool = False
    purpose: bool = False
    terms_accepted: bool = False
    proposer: bool = False


class Question(NamedTuple):
    """The facts in the form the policies read.

    principal   the Cedar type: Person, Anonymous or Operator
    attributes  None when the question is about the hub
    revision    the one the question is about
    lacking     kinds of prerequisites without which the person's grant does not count
    terms_until  until when the terms count as accepted though the present ones are not; None: they are, or do not count
    """

    principal: str
    attributes: Attributes | None
    context: Context
    revision: Revision | None = None
    lacking: tuple[str, ...] = ()
    terms_until: datetime | None = None
