"""Pages for everybody: the models, the way in, what is mine, the playground."""

from gatekeeper.web.portal import (
    access,
    account,
    api,
    collections,
    community,
    files,
    home,
    images,
    likes,
    mine,
    model,
    notices,
    playground,
    terms,
    tokens,
    webhooks,
)
from gatekeeper.web.templating import error_page

ROUTES = (
    *home.ROUTES,
    *api.ROUTES,
    *account.ROUTES,
    *tokens.ROUTES,
    *webhooks.ROUTES,
    *notices.ROUTES,
    *mine.ROUTES,
    *images.ROUTES,
    *collections.ROUTES,
    *likes.ROUTES,
    *access.ROUTES,
    *terms.ROUTES,
    *playground.ROUTES,
    *community.ROUTES,
    *files.ROUTES,
    *model.ROUTES,
)

__all__ = ["ROUTES", "error_page"]
