"""What people make of the hub together: discussions and pull requests of a repository, collections of repositories.

`discussions` opens, finds and lists them, `acts` is what people do in one, `moderation` locks and pins them, `pulls`
makes proposals and merges them, `proposals` tells decisions which commits are proposals, `discarding` lets go
what closed ones brought. Nothing here decides who may
do or see what: doors do.
"""

from gatekeeper.community import (
    acts,
    collection_items,
    collections,
    diffs,
    discarding,
    discussions,
    moderation,
    proposals,
    pulls,
)
from gatekeeper.community.collections_tables import Collection, ItemKind
from gatekeeper.community.discussions import Filter, Thread
from gatekeeper.community.tables import CommentText, Discussion, DiscussionEvent, EventKind, Status

__all__ = [
    "Collection",
    "CommentText",
    "Discussion",
    "DiscussionEvent",
    "EventKind",
    "Filter",
    "ItemKind",
    "Status",
    "Thread",
    "acts",
    "collection_items",
    "collections",
    "diffs",
    "discarding",
    "discussions",
    "moderation",
    "proposals",
    "pulls",
]
