"""Evidence of downloads: written in groups by one writer, before or after the answer as the operator chose."""

from collections.abc import Mapping
from typing import Any

from gatekeeper.web.hub.bytes_out import Keep
from gatekeeper.web.state import Gatekeeper


def keeper(gatekeeper: Gatekeeper) -> Keep:
    """What `bytes_out.send` calls with a download's fields: it returns when the evidence is as safe as was promised."""
    writer = gatekeeper.evidence
    if gatekeeper.settings.download_evidence == "durable":

        async def keep(fields: Mapping[str, Any]) -> None:
            await writer.append_durably(dict(fields))

    else:

        async def keep(fields: Mapping[str, Any]) -> None:
            writer.append(dict(fields))

    return keep
