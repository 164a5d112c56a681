"""The authorization server's door: endpoints for applications, and the pages where a person lets them in."""

from gatekeeper.web.oauth import applications, device, endpoints

ROUTES = (*endpoints.ROUTES, *device.ROUTES, *applications.ROUTES)

__all__ = ["ROUTES"]
