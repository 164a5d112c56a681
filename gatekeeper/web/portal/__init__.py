"""Pages for everybody: the models, the way in, what is mine, the playground."""

from gatekeeper.web.portal import (
    access,
    account,
    api,
    collections,
    community,
    factors,
    files,
    home,
    identities,
    images,
    likes,
    mailed,
    mine,
    model,
    notices,
    playground,
    providers,
    request_acts,
    second_step,
    terms,
    tokens,
    webhooks,
)
from gatekeeper.web.templating import error_page

ROUTES = (
    *home.ROUTES,
    *api.ROUTES,
    *account.ROUTES,
    *second_step.ROUTES,
    *factors.ROUTES,
    *mailed.ROUTES,
    *providers.ROUTES,
    *identities.ROUTES,
    *tokens.ROUTES,
    *webhooks.ROUTES,
    *notices.ROUTES,
    *mine.ROUTES,
    *images.ROUTES,
    *collections.ROUTES,
    *likes.ROUTES,
    *access.ROUTES,
    *request_acts.ROUTES,
    *terms.ROUTES,
    *playground.ROUTES,
    *community.ROUTES,
    *files.ROUTES,
    *model.ROUTES,
)

__all__ = ["ROUTES", "error_page"]
