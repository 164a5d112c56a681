"""A repository's past and present: revisions, folders, files, commits and references."""

from gatekeeper.repos.commits import author_of, commit
from gatekeeper.repos.listing import (
    TreeEntry,
    entries,
    entry,
    files_alike,
    find_each,
    find_entry,
    last_commits,
    read_blob,
    read_blobs,
    tree,
    warm,
)
from gatekeeper.repos.manifests import Manifest, manifest
from gatekeeper.repos.objects import LfsPointer
from gatekeeper.repos.operations import AddFile, AddLfs, CopyFile, DeleteFolder, DeletePath, Operation
from gatekeeper.repos.refs import create_branch, create_tag, delete_branch, delete_tag, heads
from gatekeeper.repos.refs import listing as refs
from gatekeeper.repos.revisions import (
    Commit,
    commits,
    find_commit,
    find_commits,
    require_commit,
    resolve_revision,
    unknown,
)

__all__ = [
    "AddFile",
    "AddLfs",
    "Commit",
    "CopyFile",
    "DeleteFolder",
    "DeletePath",
    "LfsPointer",
    "Manifest",
    "Operation",
    "TreeEntry",
    "author_of",
    "commit",
    "commits",
    "create_branch",
    "create_tag",
    "delete_branch",
    "delete_tag",
    "entries",
    "entry",
    "files_alike",
    "find_commit",
    "find_commits",
    "find_each",
    "find_entry",
    "heads",
    "last_commits",
    "manifest",
    "read_blob",
    "read_blobs",
    "refs",
    "require_commit",
    "resolve_revision",
    "tree",
    "unknown",
    "warm",
]
