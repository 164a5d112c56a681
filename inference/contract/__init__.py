"""Everything that crosses between the web process and the inference process.

    web process                                             inference process
    sign(LoadOrder)     -- POST /models, Envelope -->       ModelState lines (NDJSON) until ready or failed
    sign(ImageOrder)    -- POST /orders, Envelope -->       Event lines (NDJSON), the last one terminal
    sign(CancelOrder)   -- DELETE /orders/{id}, Envelope -> 204
    sign(ReadOrder)     -- POST /readings, Envelope -->     Readings
                        -- GET /health, GET /models -->     Health, list of ModelState

This package imports pydantic and the standard library only, so the web process can use it without torch.

Compatibility rule: fields are appended with a default, never renamed, reordered or given a new meaning. What a worker
is *ordered* (`Order` models) forbids unknown fields: a worker that does not know a demand must not pretend to meet it.
What a worker *answers* (`Answer` models) ignores unknown fields, so an older web process can read a newer worker. A
change that breaks this rule raises `CONTRACT_VERSION`, which both sides compare in `Health`.
"""

from inference.contract.base import (
    CONTRACT_VERSION,
    MOST_PREVIEWS,
    Answer,
    CheckName,
    Commit,
    Count,
    Order,
    OrderId,
    RepositoryName,
    Sha256,
)
from inference.contract.codes import LONGEST_RUNS, ErrorCode, LoadPhase, RefusalCode, Scheduler, SldLevel, WithheldCode
from inference.contract.envelopes import Envelope, EnvelopeError, Purpose, sign, verify
from inference.contract.events import (
    TERMINAL,
    CheckFacts,
    ConceptScore,
    Done,
    Event,
    Failed,
    Image,
    Preview,
    Progress,
    Queued,
    ReceiptFacts,
    Refused,
    SldFacts,
    Started,
    Withheld,
    parse_event,
)
from inference.contract.health import Health, Problem, ReaderFacts, Reading, Readings, RulesFacts, SettingFact
from inference.contract.models import LoadOrder, ManifestFile, ModelManifest, ModelState
from inference.contract.orders import CancelOrder, ImageOrder, Limits, PromptRule, ReadOrder, SafetyDemand

__all__ = [
    "CONTRACT_VERSION",
    "LONGEST_RUNS",
    "MOST_PREVIEWS",
    "TERMINAL",
    "Answer",
    "CancelOrder",
    "CheckFacts",
    "CheckName",
    "Commit",
    "ConceptScore",
    "Count",
    "Done",
    "Envelope",
    "EnvelopeError",
    "ErrorCode",
    "Event",
    "Failed",
    "Health",
    "Image",
    "ImageOrder",
    "Limits",
    "LoadOrder",
    "LoadPhase",
    "ManifestFile",
    "ModelManifest",
    "ModelState",
    "Order",
    "OrderId",
    "Preview",
    "Problem",
    "Progress",
    "PromptRule",
    "Purpose",
    "Queued",
    "ReadOrder",
    "ReaderFacts",
    "Reading",
    "Readings",
    "ReceiptFacts",
    "RefusalCode",
    "Refused",
    "RepositoryName",
    "RulesFacts",
    "SafetyDemand",
    "Scheduler",
    "SettingFact",
    "Sha256",
    "SldFacts",
    "SldLevel",
    "Started",
    "Withheld",
    "WithheldCode",
    "parse_event",
    "sign",
    "verify",
]
