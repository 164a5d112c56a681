"""Pinned models are there when the worker is: their manifests outlive it, sealed with the key of the orders.

What is loaded this way gives nobody anything: each order is still decided, signed and sent by the web process.
"""

import hashlib
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from inference.contract import Envelope, EnvelopeError, LoadOrder, ModelManifest, Purpose, sign, verify

log = logging.getLogger(__name__)

# Longer than any signature a worker obeys when it is sent, so that what is kept here is of no use as an order.
KEPT = timedelta(days=365)


class Remembered:
    """The last manifest of each repository, in a file of its own.

    directory  belongs to this user alone; None: nothing is remembered
    pinned     names of the repositories whose models are wanted; what is kept of others is forgotten
    """

    def __init__(self, directory: Path | None, key: bytes, *, pinned: frozenset[str]) -> None:
        self._directory = directory
        self._key = key
        self._pinned = pinned

    def keep(self, manifest: ModelManifest) -> None:
        """A pinned model was loaded: load it again when the worker starts the next time."""
        if self._directory is None or manifest.repository not in self._pinned:
            return
        order = LoadOrder(manifest=manifest)
        envelope = sign(order, self._key, now=datetime.now(UTC), ttl_seconds=int(KEPT.total_seconds()))
        path = self._path(manifest)
        fresh = path.with_suffix(".part")
        fresh.touch(mode=0o600)
        fresh.write_text(envelope.model_dump_json(), encoding="utf-8")
        fresh.replace(path)

    def forget(self, manifest: ModelManifest) -> None:
        """It may not be loaded any more."""
        if self._directory is not None:
            self._path(manifest).unlink(missing_ok=True)

    def manifests(self) -> list[ModelManifest]:
        """What to load at the start. Anything that is not genuine, or not wanted any more, is deleted."""
        kept = []
        for path in sorted(self._directory.glob("pinned-*.json")) if self._directory is not None else []:
            try:
                envelope = Envelope.model_validate_json(path.read_bytes())
                body = verify(envelope, self._key, purpose=Purpose.LOAD, now=datetime.now(UTC))
                manifest = LoadOrder.model_validate_json(body).manifest
            except (OSError, ValidationError, EnvelopeError) as error:
                log.warning("a remembered model is forgotten: %s", type(error).__name__)
                path.unlink(missing_ok=True)
                continue
            if manifest.repository in self._pinned:
                kept.append(manifest)
            else:
                path.unlink(missing_ok=True)
        return kept

    def _path(self, manifest: ModelManifest) -> Path:
        assert self._directory is not None
        return self._directory / f"pinned-{hashlib.sha256(manifest.repository.encode()).hexdigest()}.json"
