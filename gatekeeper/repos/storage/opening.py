"""The store that the settings name."""

from typing import TYPE_CHECKING

from obstore.store import S3Store

from gatekeeper.repos.storage.bucket import BucketStore
from gatekeeper.repos.storage.contract import Store
from gatekeeper.repos.storage.copies import Copies
from gatekeeper.repos.storage.directory import DirectoryStore
from gatekeeper.settings import Settings

if TYPE_CHECKING:
    from obstore.store import S3Config  # exists for type checkers only


def open_store(settings: Settings) -> Store:
    """The store in force, prepared for use. Nothing is asked of a bucket yet."""
    store = _bucket(settings) if settings.bucket is not None else DirectoryStore(settings.storage_dir)
    store.prepare()
    return store


def _bucket(settings: Settings) -> BucketStore:
    assert settings.bucket is not None
    bucket, prefix = settings.bucket
    # What is not set is found where S3's own programs look for it: AWS_* variables, or the machine's role.
    config: S3Config = {}
    if settings.s3_endpoint:
        config["endpoint"] = settings.s3_endpoint
    if settings.s3_region:
        config["region"] = settings.s3_region
    if settings.s3_access_key_id and settings.s3_secret_access_key:
        config["access_key_id"] = settings.s3_access_key_id
        config["secret_access_key"] = settings.s3_secret_access_key.get_secret_value()
    is_plain = settings.s3_endpoint.startswith("http://")
    client = S3Store(bucket, prefix=prefix or None, config=config, client_options={"allow_http": is_plain})
    root = settings.storage_dir
    copies = Copies(root / "copies", settings.storage_copies_bytes)
    return BucketStore(client, staging=root / "staging", copies=copies, is_redirected=settings.storage_redirect)
