"""What can be asked for.

The values are the action ids of `policies/schema.cedarschema`. They go into evidence: added to, never renamed.
"""

from enum import StrEnum
from posixpath import splitext

# Shown to whoever may know the release: they say what it is and under which terms.
_CARD_NAMES = frozenset({"readme.md", "model_card.md", ".gitattributes"})
_CARD_STEMS = ("license", "licence", "notice", "copying")
_TEXT_SUFFIXES = (".md", ".txt", ".rst", "")
_WEIGHT_SUFFIXES = (
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".ggml", ".h5", ".keras", ".msgpack", ".npz",
    ".npy", ".pkl", ".pickle", ".tflite", ".mlmodel", ".parquet", ".arrow", ".tar", ".zip", ".gz", ".zst", ".7z",
)  # fmt: skip


class Action(StrEnum):
    """One right. The first group concerns a repository at a revision, the second the hub or a namespace."""

    KNOW = "know"
    READ_CARD = "read_card"
    SEE_SAMPLES = "see_samples"
    LIST_FILES = "list_files"
    READ_SMALL = "read_small"
    DOWNLOAD = "download"
    GENERATE = "generate"
    GENERATE_ADJUSTED = "generate_adjusted"
    SEE_INTERMEDIATE = "see_intermediate"
    DISCUSS_READ = "discuss_read"
    DISCUSS_WRITE = "discuss_write"
    DERIVE = "derive"
    REDISTRIBUTE = "redistribute"
    ACCEPT_TERMS = "accept_terms"
    REQUEST_ACCESS = "request_access"
    WRITE = "write"
    UPLOAD = "upload"
    PROPOSE = "propose"
    REVIEW = "review"
    MANAGE = "manage"
    PROMOTE = "promote"
    HOLD = "hold"
    REPORT = "report"
    HANDLE_INCIDENTS = "handle_incidents"

    CREATE_REPO = "create_repo"
    CREATE_ORGANIZATION = "create_organization"
    MANAGE_ORGANIZATION = "manage_organization"
    READ_COLLECTIONS = "read_collections"
    CURATE = "curate"
    USE_ACCOUNT = "use_account"
    MANAGE_ACCOUNT = "manage_account"
    MANAGE_WEBHOOKS = "manage_webhooks"
    WITHDRAW_TERMS = "withdraw_terms"
    ADMIN_PEOPLE = "admin_people"
    ADMIN_LEDGER = "admin_ledger"
    ADMIN_POLICIES = "admin_policies"
    ADMIN_HUB = "admin_hub"

    @property
    def is_global(self) -> bool:
        """Whether it concerns the hub or a namespace instead of a repository."""
        return self in GLOBAL

    @property
    def is_gated(self) -> bool:
        """Whether a refusal is the Hub's `GatedRepo`: the repository may be known, its content is behind a gate."""
        return self in GATED


GLOBAL = frozenset(
    {
        Action.CREATE_REPO,
        Action.CREATE_ORGANIZATION,
        Action.MANAGE_ORGANIZATION,
        Action.READ_COLLECTIONS,
        Action.CURATE,
        Action.USE_ACCOUNT,
        Action.MANAGE_ACCOUNT,
        Action.MANAGE_WEBHOOKS,
        Action.WITHDRAW_TERMS,
        Action.ADMIN_PEOPLE,
        Action.ADMIN_LEDGER,
        Action.ADMIN_POLICIES,
        Action.ADMIN_HUB,
    }
)
GATED = frozenset(
    {
        Action.READ_CARD,
        Action.SEE_SAMPLES,
        Action.LIST_FILES,
        Action.READ_SMALL,
        Action.DOWNLOAD,
        Action.GENERATE,
        Action.GENERATE_ADJUSTED,
        Action.SEE_INTERMEDIATE,
        Action.DERIVE,
        Action.REDISTRIBUTE,
    }
)
REPOSITORY = tuple(action for action in Action if action not in GLOBAL)


def action_for_path(path: str, *, is_lfs: bool) -> Action:
    """Which right the bytes of one file need: card and license, a small file, or weights.

    Anything stored as LFS counts as weights whatever its name, so that weights cannot pass as a README.
    """
    name = path.rpartition("/")[2].lower()
    stem, suffix = splitext(name)
    if is_lfs or name.endswith(_WEIGHT_SUFFIXES):
        return Action.DOWNLOAD
    if name in _CARD_NAMES or (stem.startswith(_CARD_STEMS) and suffix in _TEXT_SUFFIXES):
        return Action.READ_CARD
    return Action.READ_SMALL
