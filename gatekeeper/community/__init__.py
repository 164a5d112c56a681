"""What people make of the hub together: collections of repositories.

Nothing here decides who may see what: doors leave out what their reader may not know.
"""

from gatekeeper.community import collection_items, collections
from gatekeeper.community.collections_tables import Collection, CollectionItem, ItemKind

__all__ = ["Collection", "CollectionItem", "ItemKind", "collection_items", "collections"]
