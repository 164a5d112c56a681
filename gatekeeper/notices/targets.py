"""Where a webhook may be: which addresses are spoken to, decided at the moment of connecting.

A name is resolved once for a connection, every address it has is checked, and the connection goes to a checked address,
so that a second answer of the name server changes nothing.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore2

from gatekeeper.errors import GatekeeperError, Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

_PORTS = frozenset({443, 8443})
_PLAIN_PORTS = frozenset({80, 8080})
_LONGEST = 2_000
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+", re.ASCII)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


class Refused(GatekeeperError):
    """The address is not one that this hub speaks to."""

    status = 400
    code = "AddressRefused"


@dataclass(frozen=True)
class Rules:
    """Which addresses are spoken to.

    networks  own networks in which receivers may stand: there any port does, and plain HTTP
    is_http   plain HTTP to public addresses too
    """

    networks: tuple[Network, ...] = ()
    is_http: bool = False


def check_url(url: str, rules: Rules) -> str:
    """`url`, if a webhook may have it as far as its text tells; raises Invalid. Nothing is resolved here."""
    step = "Use an address like https://hooks.example.org/gatekeeper."
    if len(url) > _LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Invalid("The webhook's address holds characters that do not belong there.", next_step=step)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Invalid("The webhook's address cannot be read.", next_step=step) from None
    if parts.scheme not in ("https", "http") or not _HOST.fullmatch(host):
        raise Invalid("A webhook's address begins with https:// and names a host.", next_step=step)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Invalid("A webhook's address holds no name, password or fragment.", next_step="Use the secret instead.")
    try:
        _check_way(parts.scheme, port or _default(parts.scheme), rules, is_own=bool(rules.networks))
        if (literal := _literal(host)) is not None:
            check_addresses([str(literal)], parts.scheme, port or _default(parts.scheme), rules)
    except Refused as refused:
        raise Invalid(refused.message, next_step=refused.next_step) from None
    return url


def check_addresses(found: Iterable[str], scheme: str, port: int, rules: Rules) -> list[Address]:
    """The addresses of a name, if every one of them may be spoken to. Raises Refused."""
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    if not addresses:
        raise Refused("The webhook's host has no address.", next_step="Check the name.")
    own = [_is_within(address, rules.networks) for address in addresses]
    for address, is_own in zip(addresses, own, strict=True):
        if not is_own and not is_public(address):
            raise Refused(
                "The webhook's host leads into a private network.",
                next_step="Use a public address, or ask the operator to allow that network.",
            )
    _check_way(scheme, port, rules, is_own=all(own))
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, whatever it is dressed as."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.teredo is not None or any(address in network for network in _NAT64):
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


async def resolve(host: str, port: int) -> list[str]:
    """Every address of `host`, by the system's resolver."""
    rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


class CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses only. TLS still asks for the name, so certificates are those of the name."""

    def __init__(self, rules: Rules, *, scheme: str, resolve: Resolve = resolve) -> None:
        self._rules, self._scheme, self._resolve = rules, scheme, resolve
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the base class's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(host, port)
        except OSError as error:  # TimeoutError is one
            raise Refused("The webhook's host has no address.", next_step="Check the name.") from error
        # INVARIANT: what is connected to below is an address that was checked here, never the name again.
        last: Exception | None = None
        for address in check_addresses(found, self._scheme, port, self._rules)[:4]:
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        assert last is not None  # there was at least one address
        raise last

    async def connect_unix_socket(self, *_: object, **__: object) -> httpcore2.AsyncNetworkStream:
        raise Refused("A webhook is no socket of this machine.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _check_way(scheme: str, port: int, rules: Rules, *, is_own: bool) -> None:
    if is_own:
        return
    if scheme != "https" and not rules.is_http:
        raise Refused("Webhooks are sent over https only.", next_step="Use an address that begins with https://.")
    if port not in (_PORTS | _PLAIN_PORTS if rules.is_http else _PORTS):
        raise Refused("Webhooks are not sent to that port.", next_step="Use port 443 or 8443.")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_within(address: Address, networks: tuple[Network, ...]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)


def _default(scheme: str) -> int:
    return 443 if scheme == "https" else 80
