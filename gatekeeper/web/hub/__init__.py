"""The door of the Hugging Face Hub: its unmodified clients meet the addresses, headers and JSON they know."""

from gatekeeper.web.hub import (
    access,
    collections,
    commits,
    copies,
    discussions,
    duplicates,
    git,
    identity,
    info,
    lfs,
    lfs_parts,
    log,
    people,
    records,
    repositories,
    requests,
    resolve,
    rewriting,
    safetensors,
    tree,
    uploads,
    webhooks,
    xet,
    xet_read,
)
from gatekeeper.web.routing import RawRoute

# Routes with fixed words come before those that capture them: `/api/repos/create` is no repository's page.
ROUTES: list[RawRoute] = [
    *identity.ROUTES,
    *people.ROUTES,
    *collections.ROUTES,
    *webhooks.ROUTES,
    *repositories.ROUTES,
    *duplicates.ROUTES,
    *copies.ROUTES,
    *safetensors.ROUTES,
    *rewriting.ROUTES,
    *records.ROUTES,
    *log.ROUTES,
    *requests.ROUTES,
    *access.ROUTES,
    *tree.ROUTES,
    *uploads.ROUTES,
    *lfs.ROUTES,
    *lfs_parts.ROUTES,
    *git.ROUTES,
    *commits.ROUTES,
    *xet.ROUTES,
    *xet_read.ROUTES,
    *discussions.ROUTES,
    *info.ROUTES,
    *resolve.ROUTES,
]

__all__ = ["ROUTES"]
