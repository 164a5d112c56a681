"""Signing in through other providers (OpenID Connect), this hub being the relying party.

A `Provider` is what an operator configured, a `Remote` what it publishes. `trips` go there and back; `verify` says
whether an answer can be believed; `arrivals` turn it into a session, `identities` belong to people, `mapping` gives
rights by claims, `logout` ends sessions with the provider, `links` are the operator's way in when no provider answers.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.oidc import arrivals, claims, identities, links, logout, trips, verify
from gatekeeper.accounts.oidc.arrivals import Door
from gatekeeper.accounts.oidc.providers import Admits, BadProvider, Provider, configured
from gatekeeper.accounts.oidc.remote import Remote
from gatekeeper.accounts.oidc.tables import Newcomer
from gatekeeper.accounts.oidc.trips import Vouched
from gatekeeper.accounts.tables import ProviderSession
from gatekeeper.settings import Settings


def remotes(settings: Settings) -> dict[str, Remote]:
    """The providers of these settings by name. Raises BadProvider."""
    return {provider.name: Remote(provider) for provider in configured(settings)}


async def clean_up(session: AsyncSession) -> None:
    """Forget what is over."""
    for part in (trips, arrivals, logout, links):
        await part.clean_up(session)


__all__ = [
    "Admits",
    "BadProvider",
    "Door",
    "Newcomer",
    "Provider",
    "ProviderSession",
    "Remote",
    "Vouched",
    "arrivals",
    "claims",
    "clean_up",
    "configured",
    "identities",
    "links",
    "logout",
    "remotes",
    "trips",
    "verify",
]
