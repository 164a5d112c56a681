"""The door of hosted inference: images for the public inference client, and our own job API."""

from gatekeeper.web.generate import orders, textimage
from gatekeeper.web.routing import RawRoute

ROUTES: list[RawRoute] = [*textimage.ROUTES, *orders.ROUTES]

__all__ = ["ROUTES"]
