"""Files of a model: folders with sizes and digests, small texts shown, license texts on pages of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from gatekeeper import authz, licensing
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import history, scanning
from gatekeeper.repos.history import TreeEntry
from gatekeeper.repos.scanning import FileResult
from gatekeeper.web import words
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.model import denial
from gatekeeper.web.portal.views import Seen, render, see, terms_of
from gatekeeper.web.prose import card_page

_LONGEST_SHOWN = 200_000
_SHOWN = (".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".cfg", ".py", ".jinja", ".csv")


@dataclass(frozen=True)
class Row:
    """A file, or a folder with the size of all that it holds. `href` is empty where the reader may not open it."""

    name: str
    is_folder: bool
    size: int
    digest: str
    href: str
    scan: words.Scan | None = None


async def tree(call: Call) -> Response:
    """`GET /{ns}/{name}/tree/{rev}` and below: one folder."""
    seen = await see(call, call.repo, call.resource)
    folder = call.params.get("path", "").strip("/")
    below = await history.tree(call.session, call.repo, seen.commit, folder, recursive=True)
    entries = [entry for entry in below if "/" not in entry.path.removeprefix(f"{folder}/")]
    sizes = _sizes(folder, below)
    head = await history.require_commit(call.session, call.repo, seen.commit)
    base = f"{seen.head.url}/tree/{quote(call.params['rev'], safe='')}"
    scans = await scanning.results_of(call.session, call.repo, entries)
    entries.sort(key=lambda entry: (entry.type != "directory", entry.path.lower()))
    return render(
        call,
        "portal/files.html",
        head=seen.head,
        folder=folder,
        base=base,
        trail=_trail(folder, base),
        commit=seen.commit,
        title=head.title,
        authored_at=head.authored_at,
        may_download=bool(seen.rights[Action.DOWNLOAD]),
        why_not=denial(seen, Action.DOWNLOAD),
        entries=[_row(call, seen, entry, base, scans.get(entry.path), sizes) for entry in entries],
    )


async def blob(call: Call) -> Response:
    """`GET /{ns}/{name}/blob/{rev}/{path}`: a small text on a page, anything else as a download."""
    path = call.params["path"]
    instant = now()
    seen = await see(call, call.repo, call.resource)
    authz.require_path(call.gatekeeper.policies, call.principal, path, call.resource, instant)
    entry = await history.entry(call.session, call.repo, seen.commit, path)
    if entry.type == "directory":
        return RedirectResponse(f"{seen.head.url}/tree/{quote(call.params['rev'], safe='')}/{quote(path)}", 303)
    action = authz.action_for_path(path, is_lfs=entry.lfs is not None)
    authz.require(call.gatekeeper.policies, call.principal, action, call.resource, instant)
    download = f"{seen.head.url}/resolve/{quote(call.params['rev'], safe='')}/{quote(path)}"
    if entry.lfs is not None or entry.size > _LONGEST_SHOWN or not _is_text(path):
        return RedirectResponse(download, 303)
    text = (await history.read_blob(call.session, call.repo, entry.oid)).decode("utf-8", "replace")
    files = f"{seen.head.url}/resolve/{seen.commit}"
    return render(
        call,
        "portal/text.html",
        head=seen.head,
        here="Files",
        title=path,
        sha256="",
        raw_href=download,
        text=text,
        prose=await card_page(text, base=f"{seen.head.url}/blob/{seen.commit}", files=files)
        if path.endswith(".md") and not text.startswith("---")
        else "",
    )


async def terms(call: Call) -> Response:
    """`GET /{ns}/{name}/terms/{sha256}`: one exact license text, for whoever may know the repository."""
    seen = await see(call, call.repo, call.resource)
    found = await terms_of(call, call.repo, seen.commit)
    sha256 = call.params["sha256"]
    document = next((each for each in (found.documents if found else ()) if each.sha256 == sha256), None)
    if document is None:
        stored = await licensing.text_of(call.session, call.repo, sha256)
        document = licensing.Document(stored.sha256, stored.title, stored.body)
    return render(
        call,
        "portal/text.html",
        head=seen.head,
        here="Access",
        title=document.title,
        sha256=document.sha256,
        raw_href=f"/api/{call.repo.kind.value}/{call.repo.full_name}/terms/{document.sha256}",
        text=document.text,
        prose="",
    )


def _sizes(folder: str, below: Sequence[TreeEntry]) -> dict[str, int]:
    """Bytes of each file in the folder, and of everything in each folder in it, by name."""
    found: dict[str, int] = {}
    for entry in below:
        name = entry.path.removeprefix(f"{folder}/").partition("/")[0]
        found[name] = found.get(name, 0) + entry.size
    return found


def _row(call: Call, seen: Seen, entry: TreeEntry, base: str, scanned: FileResult | None, sizes: dict[str, int]) -> Row:
    name = entry.path.rpartition("/")[2]
    size = sizes[name]
    if entry.type == "directory":
        return Row(name, True, size, "", f"{base}/{quote(entry.path)}")
    action = authz.action_for_path(entry.path, is_lfs=entry.lfs is not None)
    href = f"{seen.head.url}/blob/{quote(call.params['rev'], safe='')}/{quote(entry.path)}"
    digest = entry.lfs.sha256 if entry.lfs else entry.oid
    scan = words.scan_of(scanned) if scanned else None
    return Row(name, False, size, digest, href if seen.rights[action] else "", scan)


def _trail(folder: str, base: str) -> list[tuple[str, str]]:
    parts = folder.split("/") if folder else []
    return [
        (part, f"{base}/{quote('/'.join(parts[: i + 1]))}" if i + 1 < len(parts) else "")
        for i, part in enumerate(parts)
    ]


def _is_text(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.endswith(_SHOWN) or name.startswith(("license", "licence", "notice", ".gitattributes"))


ROUTES = [
    *for_kinds("/{ns}/{name}/tree/{rev}", tree, needs=Action.LIST_FILES),
    *for_kinds("/{ns}/{name}/tree/{rev}/{path:rest}", tree, needs=Action.LIST_FILES),
    *for_kinds("/{ns}/{name}/blob/{rev}/{path:rest}", blob, needs=Action.KNOW),
    *for_kinds("/{ns}/{name}/terms/{sha256}", terms, needs=Action.READ_CARD),
]
