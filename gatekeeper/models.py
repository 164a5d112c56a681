"""Every table of the house, imported once: what Alembic compares the database with."""

from sqlmodel import SQLModel

from gatekeeper.access import tables as access
from gatekeeper.accounts import link_tables as links
from gatekeeper.accounts import personal_keys
from gatekeeper.accounts import tables as accounts
from gatekeeper.accounts import team_tables as teams
from gatekeeper.accounts import use_tables as uses
from gatekeeper.accounts.factors import tables as factors
from gatekeeper.accounts.oidc import tables as identities
from gatekeeper.authz import tables as authz
from gatekeeper.community import collections_tables as collections
from gatekeeper.community import tables as community
from gatekeeper.evaluation import tables as evaluation
from gatekeeper.generation import tables as generation
from gatekeeper.incidents import tables as incidents
from gatekeeper.jobs import tables as jobs
from gatekeeper.ledger import tables as ledger
from gatekeeper.licensing import tables as licensing
from gatekeeper.notices import tables as notices
from gatekeeper.privacy import tables as privacy
from gatekeeper.provenance import tables as provenance
from gatekeeper.releases import tables as releases
from gatekeeper.repos import shadows, team_rights
from gatekeeper.repos import tables as repos
from gatekeeper.repos.mirrors import tables as mirrors
from gatekeeper.tokens import tables as tokens
from gatekeeper.tokens.oauth import tables as oauth
from gatekeeper.transparency import tables as transparency

metadata = SQLModel.metadata

__all__ = [
    "access",
    "accounts",
    "authz",
    "collections",
    "community",
    "evaluation",
    "factors",
    "generation",
    "identities",
    "incidents",
    "jobs",
    "ledger",
    "licensing",
    "links",
    "metadata",
    "mirrors",
    "notices",
    "oauth",
    "personal_keys",
    "privacy",
    "provenance",
    "releases",
    "repos",
    "shadows",
    "team_rights",
    "teams",
    "tokens",
    "transparency",
    "uses",
]
