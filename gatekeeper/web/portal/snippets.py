"""The lines of code that use a repository, with this hub's own address in them. The token stays in the environment."""

from dataclasses import dataclass

from gatekeeper.authz import Action
from gatekeeper.web.portal.views import Seen
from gatekeeper.web.state import Gatekeeper

_NOT_YET = "This is how it will look once you have access and a token."
_NEEDS_HUB = "# pip install huggingface_hub\n"
_FROM_SHELL = 'os.environ["HF_TOKEN"]'


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
    token_href: str
    runs_here: bool = True


def use_of(gatekeeper: Gatekeeper, seen: Seen) -> Use:
    """The box for this model and this reader."""
    name, url, kind = seen.head.full_name, gatekeeper.settings.public_url, seen.head.kind
    can_download, can_generate = bool(seen.rights[Action.DOWNLOAD]), bool(seen.rights[Action.GENERATE])
    token_href = f"/settings/tokens/new?repo={seen.head.url.strip('/')}"
    loading = downloading(url, seen)
    if not kind.makes_images:
        note = "You have access. A token goes in place of gk_..." if can_download else _NOT_YET
        snippets = [*shells(url), *loading]
        return Use("Use it from a program", note, name, tuple(snippets), token_href, runs_here=False)
    making = generating(url, name)[:2]
    parts = [*making, *loading] if can_generate and not can_download else [*loading, *making]
    note = _note(can_download=can_download, can_generate=can_generate)
    return Use("Use it from a program", note, name, (*shells(url), *parts), token_href)


def shells(url: str, value: str = "gk_...") -> list[Snippet]:
    """What all the others read: said once for each kind of shell, so that no program holds the token."""
    return [
        Snippet("First, in your shell", f"export HF_ENDPOINT={url}\nexport HF_TOKEN={value}"),
        Snippet("The same in PowerShell", f'$env:HF_ENDPOINT = "{url}"\n$env:HF_TOKEN = "{value}"'),
    ]


def downloading(url: str, seen: Seen) -> list[Snippet]:
    """With `hf`; with diffusers what is made for it; a file with curl."""
    head = seen.head
    parts = [Snippet("Download with hf", f"{_NEEDS_HUB}hf download {head.full_name}{head.kind.argument}")]
    if head.kind.makes_images and seen.card.library_name == "diffusers":
        code = (
            "# pip install diffusers torch transformers\n"
            "from diffusers import DiffusionPipeline\n\n"
            f'pipeline = DiffusionPipeline.from_pretrained("{head.full_name}")\n'
            'pipeline("a red apple").images[0].save("apple.png")'
        )
        parts.append(Snippet("Run it on your machine with diffusers", code))
    code = f'curl --fail-with-body -L {url}{head.url}/resolve/main/README.md \\\n  -H "Authorization: Bearer $HF_TOKEN"'
    return [*parts, Snippet("Fetch one file with curl", code)]


def generating(url: str, name: str) -> list[Snippet]:
    """With the public client, OpenAI's, and curl."""
    client = (
        f"{_NEEDS_HUB}import os\n\nfrom huggingface_hub import InferenceClient\n\n"
        f'client = InferenceClient(\n    base_url="{url}/models/{name}",\n    token={_FROM_SHELL},\n)\n'
        'client.text_to_image("a red apple").save("apple.png")'
    )
    openai = (
        "# pip install openai\nimport base64\nimport os\n\nfrom openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{url}/v1", api_key={_FROM_SHELL})\n'
        f'made = client.images.generate(model="{name}", prompt="a red apple").data[0]\n'
        'open("apple.png", "wb").write(base64.b64decode(made.b64_json))'
    )
    curl = (
        f"curl --fail-with-body {url}/models/{name} \\\n"
        '  -H "Authorization: Bearer $HF_TOKEN" -H "Content-Type: application/json" \\\n'
        '  -d \'{"inputs": "a red apple"}\' -o apple.png'
    )
    return [
        Snippet("Make images on this server with InferenceClient", client),
        Snippet("Make images on this server with OpenAI's client", openai),
        Snippet("Make images on this server with curl", curl),
    ]


def uploading(seen: Seen) -> list[Snippet]:
    """With `hf`, and from Python."""
    name, argument = seen.head.full_name, seen.head.kind.argument
    kind = f', repo_type="{argument.split()[-1]}"' if argument else ""
    code = (
        f"{_NEEDS_HUB}from huggingface_hub import HfApi\n\n"
        f'HfApi().upload_folder(repo_id="{name}", folder_path="."{kind}, commit_message="Upload")'
    )
    return [
        Snippet("Upload this folder with hf", f"{_NEEDS_HUB}hf upload {name} .{argument}"),
        Snippet("The same from Python", code),
    ]


def reviewing(url: str, seen: Seen) -> list[Snippet]:
    """The queue of requests, from Python and with curl."""
    name, argument = seen.head.full_name, seen.head.kind.argument
    kind = f', repo_type="{argument.split()[-1]}"' if argument else ""
    code = (
        f"{_NEEDS_HUB}from huggingface_hub import HfApi\n\n"
        f'for request in HfApi().list_pending_access_requests("{name}"{kind}):\n    print(request.username)'
    )
    curl = (
        f"curl --fail-with-body {url}/api{seen.head.kind.href}/{name}/user-access-request/pending \\\n"
        '  -H "Authorization: Bearer $HF_TOKEN"'
    )
    return [Snippet("Who waits, from Python", code), Snippet("The same with curl", curl)]


def _note(*, can_download: bool, can_generate: bool) -> str:
    match can_download, can_generate:
        case True, True:
            return "You have access. A token goes in place of gk_..."
        case False, True:
            return "You can make images on this server. Downloading needs an approved request."
        case True, False:
            return "You can download it. Making images on this server is not open to you."
    return _NOT_YET
