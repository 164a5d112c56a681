"""Models, data sets and Spaces: the prefix of their addresses, and routes that exist under each of them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from starlette.types import Receive, Scope, Send

from gatekeeper.authz import Action
from gatekeeper.repos import RepoKind
from gatekeeper.web.guard import Endpoint, guarded
from gatekeeper.web.routing import RawRoute

PREFIXES = {RepoKind.DATASET: "/datasets", RepoKind.SPACE: "/spaces", RepoKind.MODEL: ""}


def page_path(kind: RepoKind, full_name: str) -> str:
    """The path of a repository's page."""
    return f"{PREFIXES[kind]}/{full_name}"


def for_kinds(
    pattern: str,
    endpoint: Endpoint,
    *,
    needs: Action | None,
    kinds: Iterable[RepoKind] = tuple(PREFIXES),
    **options: Any,
) -> list[RawRoute]:
    """Routes under a repository's own address: `/ns/name...` for models, `/datasets/ns/name...`, `/spaces/ns/name...`.

    The prefixes are literal, so that no repository can hide them; the kind is set by hand. Options are those of
    `guarded`.
    """
    return [of_kind(guarded(PREFIXES[kind] + pattern, endpoint, needs=needs, **options), kind) for kind in kinds]


def of_kind(route: RawRoute, kind: RepoKind) -> RawRoute:
    """The route with its `kind` known, as if it stood in the path."""
    handler = route.handler

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path_params"]["kind"] = kind.value
        await handler(scope, receive, send)

    return replace(route, handler=handle)
