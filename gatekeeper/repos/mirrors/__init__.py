"""Mirrors: repositories brought from another hub, with their history, and kept in step with it.

upstream = mirrors.Upstream(endpoint, kind, "ns/name", token)     the token is never stored and never said
about = await mirrors.describe(upstream)                          by the public client
repo, mirror = await mirrors.begin(s, upstream, about, ...)       private, gated as there
async with mirrors.connect(upstream) as line, mirrors.bring(...) as brought:
    await mirrors.apply(s, repo, brought, by=by)                  one transaction
"""

from gatekeeper.repos.mirrors.bringing import Brought, apply, bring
from gatekeeper.repos.mirrors.line import connect
from gatekeeper.repos.mirrors.rows import begin, find, listing, note
from gatekeeper.repos.mirrors.tables import Mirror
from gatekeeper.repos.mirrors.upstream import PUBLIC_HUB, About, Upstream, check_endpoint, check_token, describe

__all__ = [
    "PUBLIC_HUB",
    "About",
    "Brought",
    "Mirror",
    "Upstream",
    "apply",
    "begin",
    "bring",
    "check_endpoint",
    "check_token",
    "connect",
    "describe",
    "find",
    "listing",
    "note",
]
