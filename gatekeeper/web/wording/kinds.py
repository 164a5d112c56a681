"""Models, data sets and Spaces in words, and what lists of them are narrowed by."""

from dataclasses import dataclass

from gatekeeper.repos import RepoKind


@dataclass(frozen=True)
class KindFacts:
    """A kind of repository for people: one of them, several, the page that lists them, and what one downloads.

    lead          what the page that lists them says about them
    argument      what `hf download` must be told
    makes_images  whether one may be asked for images here
    """

    one: str
    many: str
    title: str
    href: str
    content: str
    lead: str
    argument: str = ""
    makes_images: bool = False


KINDS: dict[RepoKind, KindFacts] = {
    RepoKind.MODEL: KindFacts(
        "model",
        "models",
        "Models",
        "/models",
        "the weights",
        "Each stands at a stage that says who may use it, and how. What you may do is said beside it.",
        makes_images=True,
    ),
    RepoKind.DATASET: KindFacts(
        "data set",
        "data sets",
        "Data sets",
        "/datasets",
        "the files",
        "What models here are trained and measured on. What you may do with one is said beside it.",
        " --repo-type dataset",
    ),
    RepoKind.SPACE: KindFacts(
        "Space",
        "Spaces",
        "Spaces",
        "/spaces",
        "the files",
        "Their files are kept here and can be read and downloaded. This hub runs no Spaces.",
        " --repo-type space",
    ),
}

# What a list of repositories can be narrowed by, and put in order by.
FILTERS: dict[str, str] = {
    "q": "Name or tag",
    "stage": "Stage",
    "can": "You can",
    "license": "License",
    "task": "Task",
    "library": "Library",
}
CAN: dict[str, str] = {"generate": "Make images", "download": "Download", "ask": "Ask for access"}
SORTS: dict[str, str] = {
    "": "Last changed",
    "created_at": "Newest",
    "trending": "Trending",
    "likes": "Most liked",
    "downloads": "Most downloaded",
}
TASKS: tuple[str, ...] = (
    "text-to-image",
    "image-to-image",
    "unconditional-image-generation",
    "inpainting",
    "text-to-video",
    "image-to-video",
    "text-to-audio",
    "text-to-speech",
    "text-to-3d",
    "text-generation",
    "image-classification",
    "feature-extraction",
)
# Offered while typing; any other can be typed as well.
LIBRARIES: tuple[str, ...] = ("diffusers", "transformers", "peft", "sentence-transformers", "timm", "keras", "gguf")
