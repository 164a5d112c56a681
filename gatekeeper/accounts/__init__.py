"""People, organizations, who belongs where, and how they sign in.

`Principal` is who asks in one request; every decision is about it. Names and addresses live only here: elsewhere, and
in the evidence above all, people appear by id. Callers write `people.add`, `organizations.create`, `sessions.resolve`,
`sign_in(...)`; `principals.for_person` makes the value from the rows.
"""

from gatekeeper.accounts import (
    breached,
    devices,
    factors,
    links,
    memberships,
    names,
    offers,
    oidc,
    organizations,
    passwords,
    people,
    personal_keys,
    principals,
    second_step,
    seen,
    sessions,
    teams,
    throttle,
)
from gatekeeper.accounts.namespaces import find_namespace
from gatekeeper.accounts.principal import ANONYMOUS, OPERATOR, Principal, Reach
from gatekeeper.accounts.signin import SecondStepNeeded, SignedIn, change_password, sign_in
from gatekeeper.accounts.tables import Membership, Organization, Person, Role, Strength

__all__ = [
    "ANONYMOUS",
    "OPERATOR",
    "Membership",
    "Organization",
    "Person",
    "Principal",
    "Reach",
    "Role",
    "SecondStepNeeded",
    "SignedIn",
    "Strength",
    "breached",
    "change_password",
    "devices",
    "factors",
    "find_namespace",
    "links",
    "memberships",
    "names",
    "offers",
    "oidc",
    "organizations",
    "passwords",
    "people",
    "personal_keys",
    "principals",
    "second_step",
    "seen",
    "sessions",
    "sign_in",
    "teams",
    "throttle",
]
