"""The door of hosted inference: images for the public inference client, and our own job API."""

from gatekeeper.web.routing import RawRoute

ROUTES: list[RawRoute] = []

__all__ = ["ROUTES"]
