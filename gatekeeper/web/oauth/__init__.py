"""The authorization server's door: endpoints for applications, and the pages where a person lets them in."""

from gatekeeper.web.oauth import applications, authorize, device, discovery, endpoints, registered

ROUTES = (
    *discovery.ROUTES,
    *endpoints.ROUTES,
    *authorize.ROUTES,
    *device.ROUTES,
    *applications.ROUTES,
    *registered.ROUTES,
)

__all__ = ["ROUTES"]
