"""The content-addressed store: where large content lies, in a directory or in a bucket, behind one interface.

Whatever the place, bytes are first hashed into a local staging directory and take their name only when size and digest
are what was announced. So what has a name in a store is complete and verified, whenever the power goes.
"""

from gatekeeper.repos.storage.bucket import BucketStore
from gatekeeper.repos.storage.contract import Lying, Store
from gatekeeper.repos.storage.directory import DirectoryStore
from gatekeeper.repos.storage.keys import Key, object_key, part_key, xorb_key
from gatekeeper.repos.storage.opening import open_store
from gatekeeper.repos.storage.staging import BATCH_BYTES, Staged

__all__ = [
    "BATCH_BYTES",
    "BucketStore",
    "DirectoryStore",
    "Key",
    "Lying",
    "Staged",
    "Store",
    "object_key",
    "open_store",
    "part_key",
    "xorb_key",
]
