"""Repositories: the catalogue, true Git history, and the content-addressed store.

`catalogue` says which repositories there are and whose, `history` what is in them, `cards` what their READMEs say,
`storage.Store` holds large content. A repository may refer to stored bytes only with a `RepoObject` row, which somebody
earns by sending the bytes here: digests are public, so knowing one gives nothing.
"""

from gatekeeper.repos import (
    cards,
    catalogue,
    garbage,
    git,
    history,
    large_files,
    lfs,
    lfs_downloads,
    lfs_parts,
    merging,
    mirrors,
    popularity,
    refs,
    revisions,
    scanning,
    shadows,
    team_rights,
    transfer,
    uploads,
    usage,
    xet,
)
from gatekeeper.repos.cards import Card
from gatekeeper.repos.catalogue import by_id, create, delete, find, require, role_of, update_settings
from gatekeeper.repos.garbage import Swept, collect
from gatekeeper.repos.history import (
    AddFile,
    AddLfs,
    CopyFile,
    DeleteFolder,
    DeletePath,
    LfsPointer,
    Operation,
    TreeEntry,
    commit,
    entry,
    resolve_revision,
    tree,
)
from gatekeeper.repos.manifests import manifest
from gatekeeper.repos.moving import move
from gatekeeper.repos.names import find_by_any_name, key_of
from gatekeeper.repos.storage import Store
from gatekeeper.repos.tables import Gate, GitRef, Repo, RepoKind, RepoObject, StoredObject
from gatekeeper.repos.verification import Report, keep_outcome, verify

__all__ = [
    "AddFile",
    "AddLfs",
    "Card",
    "CopyFile",
    "DeleteFolder",
    "DeletePath",
    "Gate",
    "GitRef",
    "LfsPointer",
    "Operation",
    "Repo",
    "RepoKind",
    "RepoObject",
    "Report",
    "Store",
    "StoredObject",
    "Swept",
    "TreeEntry",
    "by_id",
    "cards",
    "catalogue",
    "collect",
    "commit",
    "create",
    "delete",
    "entry",
    "find",
    "find_by_any_name",
    "garbage",
    "git",
    "history",
    "keep_outcome",
    "key_of",
    "large_files",
    "lfs",
    "lfs_downloads",
    "lfs_parts",
    "manifest",
    "merging",
    "mirrors",
    "move",
    "popularity",
    "refs",
    "require",
    "resolve_revision",
    "revisions",
    "role_of",
    "scanning",
    "shadows",
    "team_rights",
    "transfer",
    "tree",
    "update_settings",
    "uploads",
    "usage",
    "verify",
    "xet",
]
