"""Pages for maintainers and administrators: the queue, releases, grants, people, organizations, the ledger."""

from gatekeeper.web.admin import (
    grants,
    ledger,
    organization_ladder,
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
    *ledger.ROUTES,
    *releases.ROUTES,
    *release.ROUTES,
    *grants.ROUTES,
    *webhooks.ROUTES,
)
