"""Generation: orders to the inference process, and what they made.

A door parses an `OrderRequest`, has the `Studio` prepare the model, lets `admit` reserve what it needs of the quotas in
its transaction, and after the commit starts the order. `watch` tells what happens, `wait` returns when it has ended;
the end settles what was reserved. Each image has a signed receipt; images and prompts are kept for their owner for a
limited time.
"""

from gatekeeper.generation import claims, measuring, quota_changes, quotas, usage
from gatekeeper.generation.admission import Admitted, Once, Ruling, Terms, admit
from gatekeeper.generation.certifying import Certifier
from gatekeeper.generation.client import Worker, WorkerError
from gatekeeper.generation.demands import demanded, licenses_of
from gatekeeper.generation.encoding import format_of
from gatekeeper.generation.images import ImageFolder, clean_up, forget, is_over, list_own, own, own_image
from gatekeeper.generation.making import Recheck, Right
from gatekeeper.generation.manifests import worker_manifest
from gatekeeper.generation.news import require_images, why_none
from gatekeeper.generation.orders import MAX_SEED, OrderRequest
from gatekeeper.generation.quota_changes import change_quota, list_changes
from gatekeeper.generation.runs import Update
from gatekeeper.generation.safety import BrokenSafety, Budget, Change, Safety, SafetyLevel
from gatekeeper.generation.strikes import Standing, appeal, own_strikes, review, standing, strikes_to_review
from gatekeeper.generation.studio import Studio
from gatekeeper.generation.supervisor import Supervisor
from gatekeeper.generation.tables import Generation, GenerationState, Strike, StrikeKind, StrikeState
from inference.contract import Health, RefusalCode

__all__ = [
    "MAX_SEED",
    "Admitted",
    "BrokenSafety",
    "Budget",
    "Certifier",
    "Change",
    "Generation",
    "GenerationState",
    "Health",
    "ImageFolder",
    "Once",
    "OrderRequest",
    "Recheck",
    "RefusalCode",
    "Right",
    "Ruling",
    "Safety",
    "SafetyLevel",
    "Standing",
    "Strike",
    "StrikeKind",
    "StrikeState",
    "Studio",
    "Supervisor",
    "Terms",
    "Update",
    "Worker",
    "WorkerError",
    "admit",
    "appeal",
    "change_quota",
    "claims",
    "clean_up",
    "demanded",
    "forget",
    "format_of",
    "is_over",
    "licenses_of",
    "list_changes",
    "list_own",
    "measuring",
    "own",
    "own_image",
    "own_strikes",
    "quota_changes",
    "quotas",
    "require_images",
    "review",
    "standing",
    "strikes_to_review",
    "usage",
    "why_none",
    "worker_manifest",
]
