"""The last thing that happens to a checked image before it is kept and given out: it is marked and signed.

# INVARIANT: what is stored, sent and named in receipts are the bytes that come out of here. An image that cannot be
# marked and signed is not given out.
"""

import asyncio
import base64
from collections.abc import Iterable
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.db import Database
from gatekeeper.generation.encoding import format_of, quality_of
from gatekeeper.generation.outcomes import Outcome, previews_of, record_preview
from gatekeeper.generation.receipts import statement_of
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.canonical import digest_of
from gatekeeper.kit.clock import now
from gatekeeper.provenance import Notary, fresh_numbers, number_text
from inference.contract import ImageOrder, Preview

_log = structlog.get_logger("gatekeeper.generation")

_UNCERTIFIED = "The image could not be marked and signed, so it is not given out. Nothing was charged."


class Certifier:
    """Certifies the images of ended orders."""

    def __init__(self, notary: Notary) -> None:
        self._notary = notary

    async def certify(
        self, database: Database, made: Generation, outcome: Outcome, *, model: str | None = None
    ) -> Outcome:
        """The outcome with the certified file of each image, or another one that gives out none.

        model  by which name its images tell of it; None where not anybody may know of it
        """
        try:
            await self._certify(database, made, outcome, model)
        except Exception:  # whatever keeps an image from being marked and signed, it is not given out
            _log.exception("images could not be certified", generation=made.id)
            return Outcome(GenerationState.FAILED, code="not_certified", reason=_UNCERTIFIED)
        return outcome

    async def _certify(self, database: Database, made: Generation, outcome: Outcome, model: str | None) -> None:
        async with database.read() as session:
            await number(session, made, outcome, [image.index for image in outcome.images])
        for image in outcome.images:
            record = outcome.numbers[image.index]
            facts = facts_of(statement_of(made, image, made_at=now()), record, model=model)
            outcome.certified[image.index] = await asyncio.to_thread(
                self._notary.certify, image.png(), record, facts, kind=format_of(made), quality=quality_of(made)
            )

    async def certify_preview(
        self, database: Database, made: Generation, order: ImageOrder, preview: Preview, outcome: Outcome
    ) -> Preview | None:
        """The preview, marked as its image will be, signed as a preview and on record; None for one that cannot be."""
        try:
            async with database.read() as session:
                await number(session, made, outcome, [preview.index])
            record = outcome.numbers[preview.index]
            facts = {
                "record": number_text(record),
                "is_preview": True,
                "model": {"sha256": order.model},
                "decision": {"id": order.id},
            }
            content = base64.b64decode(preview.png_base64)
            certified = await asyncio.to_thread(self._notary.certify, content, record, facts)
            async with database.write() as session:
                await record_preview(session, made, preview.index, certified)
        except Exception:  # whatever keeps a preview from being marked, signed and recorded, it is not given out
            _log.exception("a preview could not be certified", generation=order.id)
            return None
        return preview.model_copy(update={"png_base64": base64.b64encode(certified.content).decode()})


async def number(session: AsyncSession, made: Generation, outcome: Outcome, indexes: Iterable[int]) -> None:
    """Give the number of a record to each of these images that has none yet: its preview's, else a fresh one."""
    missing = [index for index in indexes if index not in outcome.numbers]
    if missing:
        outcome.numbers.update({index: record.number for index, record in (await previews_of(session, made)).items()})
        missing = [index for index in missing if index not in outcome.numbers]
    outcome.numbers.update(zip(missing, await fresh_numbers(session, len(missing)), strict=True))


def facts_of(statement: dict[str, Any], record: int, *, model: str | None) -> dict[str, Any]:
    """What a file says of its own making. Compatibility: fields are added, never renamed or given a new meaning.

    It travels with the image, so it holds nothing that only some may know: neither prompt nor person, and the name of
    a repository only where anybody may know of it.
    """
    safety = statement["safety"]
    return {
        "record": number_text(record),
        "receipt_id": statement["receipt_id"],
        "made_at": statement["made_at"],
        "model": {
            "repository": model,
            "commit": statement["commit"],
            "sha256": statement["model_sha256"],
            "weights_sha256": digest_of(statement["weights"]),
        },
        "license_sha256": statement["license"]["bundle_sha256"],
        "decision": {
            "id": statement["receipt_id"].rpartition("-")[0],
            "policy_sha256": statement["decision"]["policy_sha256"],
        },
        "safety": {
            "sld": safety["sld"],
            "margin": safety["margin"],
            "checker_sha256": safety["checker_sha256"],
            "rules_sha256": safety["rules_sha256"],
            "verdict_sha256": digest_of(safety),
        },
        "is_fake": statement["is_fake"],
    }
