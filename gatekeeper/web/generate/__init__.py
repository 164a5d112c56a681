"""The door of hosted inference: images for the public inference client, and our own job API."""

from gatekeeper.web.generate import orders, textimage, tokens
from gatekeeper.web.routing import RawRoute

ROUTES: list[RawRoute] = [*textimage.ROUTES, *orders.ROUTES, *tokens.ROUTES]

__all__ = ["ROUTES"]
