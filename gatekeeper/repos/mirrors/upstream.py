"""The hub that a mirror is brought from: its address, what may be said to it, and what it says about a repository.

The token goes to the endpoint's own origin and nowhere else, whatever the hub redirects to.
"""

import asyncio
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gatekeeper.errors import GatekeeperError, Invalid, NotAllowed, NotFound, Unavailable
from gatekeeper.repos.names import NOUNS
from gatekeeper.repos.tables import Gate, RepoKind

PUBLIC_HUB = "https://huggingface.co"
_MAX_TOKEN = 500


@dataclass(frozen=True, slots=True)
class Upstream:
    """A repository on another hub, and the token to ask for it with."""

    endpoint: str
    kind: RepoKind
    full_name: str
    token: str | None = field(default=None, repr=False)

    @property
    def git_url(self) -> str:
        """Where Git finds it."""
        prefix = "" if self.kind is RepoKind.MODEL else f"{self.kind.value}/"
        return f"{self.endpoint}/{prefix}{self.full_name}.git"

    @property
    def page_url(self) -> str:
        """Where people find it."""
        return self.git_url.removesuffix(".git")

    def is_own(self, url: str) -> bool:
        """Whether `url` is of the endpoint's own origin: the only one that is sent the token."""
        return _origin(url) == _origin(self.endpoint)


@dataclass(frozen=True, slots=True)
class About:
    """What the upstream says about the repository."""

    is_private: bool
    gate: Gate
    license: str


def check_endpoint(text: str, *, may_be_plain: bool = False) -> str:
    """The hub's address in its one form. Raises Invalid for what is none, and for a plain one on another machine."""
    parts = urlsplit(text.strip().rstrip("/"))
    try:
        port = parts.port
    except ValueError:
        port = -1
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or port == -1
        or "@" in parts.netloc
        or parts.path
        or parts.query
        or parts.fragment
        or len(text) > 200
    ):
        raise Invalid(
            "The endpoint is not the address of a hub.",
            next_step="Write it like https://hub.example.org, without a path, a name or a password in it.",
        )
    if parts.scheme == "http" and not may_be_plain and not _is_loopback(parts.hostname):
        raise Invalid(
            f"{parts.hostname} would be asked without encryption, and everybody on the way could read the token.",
            next_step="Use its https:// address, or add --insecure where the network itself is trusted.",
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def check_token(text: str) -> str | None:
    """The token without the end of its line, or None for an empty one. Raises Invalid, without repeating it."""
    token = text.strip()
    if not token:
        return None
    if len(token) > _MAX_TOKEN or not all("!" <= letter <= "~" for letter in token):
        raise Invalid("The upstream's token is not in the form of one.", next_step="Put the token alone on one line.")
    return token


async def describe(upstream: Upstream) -> About:
    """Ask the hub about the repository. Raises NotFound, NotAllowed, Unavailable."""
    return await asyncio.to_thread(_describe, upstream)


def _describe(upstream: Upstream) -> About:
    # Imported late: the client takes half a second to load, and of all commands only mirroring needs it.
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(endpoint=upstream.endpoint, token=upstream.token or False)
    try:
        info = api.repo_info(upstream.full_name, repo_type=NOUNS[upstream.kind], timeout=60)
    except HFValidationError:
        raise Invalid(f"{upstream.full_name} does not name a repository.", next_step="Write namespace/name.") from None
    except HfHubHTTPError as error:
        raise refusal(upstream, error.response.status_code if error.response is not None else 0) from None
    except (HTTPError, OSError) as error:
        raise unreachable(upstream, error) from None
    gated = getattr(info, "gated", None)
    card = getattr(info, "card_data", None)
    license_id = getattr(card, "license", None) if card is not None else None
    return About(
        is_private=bool(getattr(info, "private", False)),
        gate=Gate(gated) if gated in ("auto", "manual") else Gate.MANUAL if gated else Gate.NONE,
        license=license_id if isinstance(license_id, str) else "",
    )


def refusal(upstream: Upstream, status: int, what: str = "the repository") -> GatekeeperError:
    """The upstream's refusal as a sentence of ours. Nothing that it sent is repeated."""
    match status:
        case 401 if upstream.token:
            return NotAllowed(
                f"{upstream.endpoint} does not know the token, or has no {upstream.full_name}.",
                next_step="Check the name, and that the token is of that hub and has not ended.",
            )
        case 401 | 404:
            return NotFound(
                f"{upstream.endpoint} shows no {NOUNS[upstream.kind]} {upstream.full_name}, or lacks {what}.",
                next_step="Check the name; if it is private or gated there, give a token (see --token-file).",
            )
        case 403:
            return NotAllowed(
                f"{upstream.endpoint} does not let the token's owner have {what} of {upstream.full_name}.",
                next_step=f"Accept its terms or ask for access at {upstream.page_url}, then run this again.",
            )
        case 429:
            return Unavailable(f"{upstream.endpoint} asks to slow down.", next_step="Run this again in some minutes.")
    return Unavailable(
        f"{upstream.endpoint} answered {status} when asked for {what}.",
        next_step="Run this again later; it goes on where it stopped.",
    )


def unreachable(upstream: Upstream, error: Exception) -> Unavailable:
    """The upstream could not be asked at all, or broke off. The error's kind is said, never its content."""
    return Unavailable(
        f"{upstream.endpoint} cannot be reached, or broke off ({type(error).__name__}).",
        next_step="Run this again; it goes on where it stopped.",
    )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
