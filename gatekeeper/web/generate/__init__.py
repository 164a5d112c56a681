"""The doors of hosted inference: for the public inference client, for OpenAI's, and our own job API."""

from gatekeeper.web.generate import openai_images, openai_models, orders, textimage, tokens, verify
from gatekeeper.web.generate.rechecking import still_allowed
from gatekeeper.web.routing import RawRoute

ROUTES: list[RawRoute] = [
    *textimage.ROUTES,
    *openai_images.ROUTES,
    *openai_models.ROUTES,
    *orders.ROUTES,
    *tokens.ROUTES,
    *verify.ROUTES,
]

__all__ = ["ROUTES", "still_allowed"]
