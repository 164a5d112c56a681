"""Pages for maintainers and administrators: the queue, releases, grants, people, organizations, the ledger."""

from gatekeeper.web.admin import grants, ledger, organizations, overview, people, releases, review, webhooks

ROUTES = (
    *overview.ROUTES,
    *review.ROUTES,
    *people.ROUTES,
    *organizations.ROUTES,
    *ledger.ROUTES,
    *releases.ROUTES,
    *grants.ROUTES,
    *webhooks.ROUTES,
)
