"""Generation: orders to the inference process, and what they made.

A door parses an `OrderRequest`, has the `Studio` prepare the model, lets `admit` charge the quota in its transaction,
and after the commit starts the order. `watch` tells what happens, `wait` returns when it has ended. Each image has a
signed receipt; images and prompts are kept for their owner for a limited time.
"""

from gatekeeper.generation.admission import Quota, Ruling, admit, quota
from gatekeeper.generation.client import Worker
from gatekeeper.generation.images import ImageFolder, clean_up, is_over, list_own, own, own_image
from gatekeeper.generation.manifests import worker_manifest
from gatekeeper.generation.orders import MAX_SEED, OrderRequest
from gatekeeper.generation.outcomes import recover, require_images
from gatekeeper.generation.safety import BrokenSafety, Safety, SafetyLevel
from gatekeeper.generation.studio import Studio, Update
from gatekeeper.generation.supervisor import Supervisor
from gatekeeper.generation.tables import Generation, GenerationState

__all__ = [
    "MAX_SEED",
    "BrokenSafety",
    "Generation",
    "GenerationState",
    "ImageFolder",
    "OrderRequest",
    "Quota",
    "Ruling",
    "Safety",
    "SafetyLevel",
    "Studio",
    "Supervisor",
    "Update",
    "Worker",
    "admit",
    "clean_up",
    "is_over",
    "list_own",
    "own",
    "own_image",
    "quota",
    "recover",
    "require_images",
    "worker_manifest",
]
