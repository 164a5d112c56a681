"""Pages for maintainers and administrators: the queue, releases, grants, people, organizations, the ledger."""

from gatekeeper.web.admin import (
    blocks,
    grants,
    handling,
    ledger,
    organization_ladder,
    organization_services,
    organization_tokens,
    organizations,
    overview,
    people,
    queue,
    release,
    releases,
    review,
    trusted_jobs,
    webhooks,
)

ROUTES = (
    *overview.ROUTES,
    *queue.ROUTES,
    *review.ROUTES,
    *handling.ROUTES,
    *blocks.ROUTES,
    *people.ROUTES,
    *organizations.ROUTES,
    *organization_ladder.ROUTES,
    *organization_tokens.ROUTES,
    *organization_services.ROUTES,
    *trusted_jobs.ROUTES,
    *ledger.ROUTES,
    *releases.ROUTES,
    *release.ROUTES,
    *grants.ROUTES,
    *webhooks.ROUTES,
)
