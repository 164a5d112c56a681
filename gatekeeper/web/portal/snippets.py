"""The lines of code that use a model, with this hub's own address in them."""

from dataclasses import dataclass

from gatekeeper.authz import Action
from gatekeeper.web.portal.views import Seen
from gatekeeper.web.state import Gatekeeper

_NOT_YET = "This is how it will look once you have access and a token."


@dataclass(frozen=True)
class Snippet:
    """A piece of code and what it is for."""

    label: str
    text: str


@dataclass(frozen=True)
class Use:
    """The box "use it from a program". `runs_here` is about images made on this server."""

    title: str
    note: str
    full_name: str
    snippets: tuple[Snippet, ...]
    runs_here: bool = True


def use_of(gatekeeper: Gatekeeper, seen: Seen) -> Use:
    """The box for this model and this reader."""
    name, url, kind = seen.head.full_name, gatekeeper.settings.public_url, seen.head.kind
    can_download, can_generate = bool(seen.rights[Action.DOWNLOAD]), bool(seen.rights[Action.GENERATE])
    snippets = [
        Snippet(
            "Download with hf",
            f"export HF_ENDPOINT={url}\nhf auth login --token gk_...\nhf download {name}{kind.argument}",
        ),
    ]
    if not kind.makes_images:
        note = "You have access. A token goes in place of gk_..." if can_download else _NOT_YET
        return Use("Use it from a program", note, name, tuple(snippets), runs_here=False)
    if seen.card.library_name == "diffusers":
        snippets.append(
            Snippet(
                "Run it on your machine with diffusers (HF_ENDPOINT set as above)",
                "from diffusers import DiffusionPipeline\n\n"
                f'pipeline = DiffusionPipeline.from_pretrained("{name}")\n'
                'pipeline("a red apple").images[0].save("apple.png")',
            )
        )
    online = Snippet(
        "Make images on this server with InferenceClient",
        "from huggingface_hub import InferenceClient\n\n"
        f'client = InferenceClient(\n    base_url="{url}/models/{name}",\n    token="gk_...",\n)\n'
        'client.text_to_image("a red apple").save("apple.png")',
    )
    openai = Snippet(
        "Make images on this server with OpenAI's client",
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{url}/v1", api_key="gk_...")\n'
        f'client.images.generate(model="{name}", prompt="a red apple").data[0].b64_json',
    )
    snippets = [online, *snippets] if can_generate and not can_download else [*snippets, online]
    snippets.append(openai)
    return Use(
        "Use it from a program",
        _note(can_download=can_download, can_generate=can_generate),
        name,
        tuple(snippets),
    )


def _note(*, can_download: bool, can_generate: bool) -> str:
    match can_download, can_generate:
        case True, True:
            return "You have access. Make a token under Access tokens and put it in place of gk_..."
        case False, True:
            return "You can make images on this server. Downloading needs an approved request."
        case True, False:
            return "You can download it. Making images on this server is not open to you."
    return _NOT_YET
