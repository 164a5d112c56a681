"""Pages for maintainers and administrators: the queue, releases, grants, people, organizations, the ledger."""

from gatekeeper.web.admin import (
    grants,
    ledger,
    organization_ladder,
    organization_tokens,
    organizations,
    overview,
    people,
    release,
    releases,
    review,
    webhooks,
)

ROUTES = (
    *overview.ROUTES,
    *review.ROUTES,
    *people.ROUTES,
    *organizations.ROUTES,
    *organization_ladder.ROUTES,
    *organization_tokens.ROUTES,
    *ledger.ROUTES,
    *releases.ROUTES,
    *release.ROUTES,
    *grants.ROUTES,
    *webhooks.ROUTES,
)
