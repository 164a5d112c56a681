"""Evidence of downloads: written in groups by one writer, before or after the answer as the operator chose."""

from collections.abc import Mapping
from typing import Any

from gatekeeper.ledger import EvidenceWriter
from gatekeeper.web.hub.bytes_out import Keep


def keeper(writer: EvidenceWriter, *, is_durable: bool) -> Keep:
    """What `bytes_out.send` calls with a download's fields: it returns when the evidence is as safe as was promised."""
    if is_durable:

        async def keep(fields: Mapping[str, Any]) -> None:
            await writer.append_durably(dict(fields))

    else:

        async def keep(fields: Mapping[str, Any]) -> None:
            writer.append(dict(fields))

    return keep
