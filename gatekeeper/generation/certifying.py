"""The last thing that happens to a checked image before it is kept and given out: it is marked and signed.

# INVARIANT: what is stored, sent and named in receipts are the bytes that come out of here. An image that cannot be
# marked and signed is not given out.
"""

import asyncio
import base64
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.db import Database
from gatekeeper.generation.encoding import format_of, quality_of
from gatekeeper.generation.outcomes import Outcome
from gatekeeper.generation.receipts import statement_of
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.canonical import digest_of
from gatekeeper.kit.clock import now
from gatekeeper.provenance import IsPublic, Notary, fresh_numbers, number_text
from gatekeeper.repos.tables import Repo
from inference.contract import ImageOrder, Preview

_log = structlog.get_logger("gatekeeper.generation")

_UNCERTIFIED = "The image could not be marked and signed, so it is not given out. Nothing was charged."


class Certifier:
    """Certifies the images of ended orders.

    is_public  a model is named in its images only where anybody may know of it
    """

    def __init__(self, notary: Notary, *, is_public: IsPublic) -> None:
        self._notary = notary
        self._is_public = is_public

    async def certify(self, database: Database, made: Generation, outcome: Outcome) -> Outcome:
        """The outcome with the certified file of each image, or another one that gives out none."""
        try:
            await self._certify(database, made, outcome)
        except Exception:  # whatever keeps an image from being marked and signed, it is not given out
            _log.exception("images could not be certified", generation=made.id)
            return Outcome(GenerationState.FAILED, code="not_certified", reason=_UNCERTIFIED)
        return outcome

    async def _certify(self, database: Database, made: Generation, outcome: Outcome) -> None:
        async with database.read() as session:
            repo = await session.get_one(Repo, made.repo_id)
            await _number(session, outcome, [image.index for image in outcome.images])
            is_named = await self._is_public(session, repo, made.commit_id)
        for image in outcome.images:
            number = outcome.numbers[image.index]
            facts = facts_of(statement_of(made, repo, image, made_at=now()), number, is_named=is_named)
            outcome.certified[image.index] = await asyncio.to_thread(
                self._notary.certify, image.png(), number, facts, kind=format_of(made), quality=quality_of(made)
            )

    async def certify_preview(
        self, database: Database, order: ImageOrder, preview: Preview, outcome: Outcome
    ) -> Preview | None:
        """The preview, marked as its image will be, and signed as a preview; None for one that cannot be."""
        try:
            async with database.read() as session:
                await _number(session, outcome, [preview.index])
            number = outcome.numbers[preview.index]
            facts = {
                "record": number_text(number),
                "is_preview": True,
                "model": {"sha256": order.model},
                "decision": {"id": order.id},
            }
            content = base64.b64decode(preview.png_base64)
            certified = await asyncio.to_thread(self._notary.certify, content, number, facts)
        except Exception:  # whatever keeps a preview from being marked and signed, it is not given out
            _log.exception("a preview could not be certified", generation=order.id)
            return None
        return preview.model_copy(update={"png_base64": base64.b64encode(certified.content).decode()})


async def _number(session: AsyncSession, outcome: Outcome, indexes: list[int]) -> None:
    """Give a number to each of these images that has none yet."""
    missing = [index for index in indexes if index not in outcome.numbers]
    outcome.numbers.update(zip(missing, await fresh_numbers(session, len(missing)), strict=True))


def facts_of(statement: dict[str, Any], number: int, *, is_named: bool) -> dict[str, Any]:
    """What a file says of its own making. Compatibility: fields are added, never renamed or given a new meaning.

    It travels with the image, so it holds nothing that only some may know: neither prompt nor person, and the name of
    a repository only where anybody may know of it.
    """
    safety = statement["safety"]
    return {
        "record": number_text(number),
        "receipt_id": statement["receipt_id"],
        "made_at": statement["made_at"],
        "model": {
            "repository": statement["repository"] if is_named else None,
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
