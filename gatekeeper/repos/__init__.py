"""Repositories: the catalogue, true Git history, and the content-addressed store.

`catalogue` says which repositories there are and whose, `history` what is in them, `storage.Store` holds large content.
A repository may refer to stored bytes only with a `RepoObject` row, which somebody earns by sending the bytes here:
digests are public, so knowing one gives nothing.
"""

from gatekeeper.repos import catalogue, history
from gatekeeper.repos.storage import Store
from gatekeeper.repos.tables import Gate, GitRef, Repo, RepoKind, RepoObject, StoredObject

__all__ = ["Gate", "GitRef", "Repo", "RepoKind", "RepoObject", "Store", "StoredObject", "catalogue", "history"]
