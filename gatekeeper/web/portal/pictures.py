"""Pictures of repositories: images that a card shows, as small copies for pages and lists.

Shown is what the card of the revision names, and nothing else. A sample of its metadata is published with the card
(`see_samples`); an image in its text takes the right to read that file. A small copy is no download: nothing of the
file itself leaves, and nothing is recorded.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from gatekeeper import authz
from gatekeeper.authz import Action, Capabilities
from gatekeeper.errors import EntryNotFound
from gatekeeper.kit import thumbnails
from gatekeeper.kit.clock import now
from gatekeeper.repos import Card, Repo, cards, history, lfs
from gatekeeper.repos.history import TreeEntry
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.storage import object_key
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.prose import first_images_of, images_of

_EDGES = {"": 1280, "small": 320}
_LARGEST = 12 * 2**20
_MOST_NAMED = 60  # by the text of one card
_HEADERS = {
    # Kept by nobody without asking again: the next request may be refused.
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Cookie",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that a card names: with the prompt it was made from, and whether it is one of its samples."""

    path: str
    prompt: str = ""
    is_sample: bool = False

    def href(self, base: str, size: str = "") -> str:
        """Its address, below that of the repository's pictures at a revision."""
        return f"{base}/{quote(self.path)}" + (f"?size={size}" if size else "")


@dataclass(frozen=True, slots=True)
class Place:
    """A repository at a revision, as its reader stands before it."""

    repo: Repo
    commit: str
    card: Card
    rights: Capabilities


async def named_by(card: Card) -> list[Picture]:
    """Everything that a card shows: its samples, then what stands in its text."""
    # In a thread: a hostile card takes seconds, which must not be everybody's.
    return _named(card, await asyncio.to_thread(images_of, card.text))


async def shown(session: AsyncSession, place: Place) -> list[Picture]:
    """Those of one page that are there and that its reader may see."""
    return (await _visible(session, [(place, await named_by(place.card))]))[0]


async def first_of_each(session: AsyncSession, places: Sequence[Place]) -> list[Picture | None]:
    """The picture of each row of a list, or None; a few statements for all."""
    rows = [(place, _named(place.card, first_images_of(place.card))) for place in places]
    return [next(iter(seen), None) for seen in await _visible(session, rows)]


def _named(card: Card, in_text: Sequence[str]) -> list[Picture]:
    samples = [Picture(sample.path, sample.prompt, is_sample=True) for sample in card.samples]
    known = {sample.path for sample in samples}
    return samples + [Picture(path) for path in in_text[:_MOST_NAMED] if path not in known]


async def _visible(session: AsyncSession, rows: Sequence[tuple[Place, Sequence[Picture]]]) -> list[list[Picture]]:
    asked = [(place.repo, place.commit, each.path) for place, named in rows for each in named]
    entries = iter(await history.find_each(session, asked) if asked else [])
    found = [[(each, next(entries)) for each in named] for _, named in rows]
    return [
        [each for each, entry in named if entry is not None and _may_see(place.rights, each, entry)]
        for (place, _), named in zip(rows, found, strict=True)
    ]


def _may_see(rights: Capabilities, picture: Picture, entry: TreeEntry) -> bool:
    if entry.type != "file" or entry.size > _LARGEST:
        return False
    by_file = authz.action_for_path(entry.path, is_lfs=entry.lfs is not None)
    return bool((picture.is_sample and rights[Action.SEE_SAMPLES]) or rights[by_file])


async def picture(call: Call) -> Response:
    """`GET /{ns}/{name}/picture/{rev}/{path}`: a small copy of an image that the card shows; `size=small` for lists."""
    path, commit = call.params["path"], call.commit or ""
    edge = _EDGES.get(call.request.query_params.get("size", ""), _EDGES[""])
    card = await cards.card_of(call.session, call.repo, commit)
    wanted = next((each for each in await named_by(card) if each.path == path), None)
    entry = await history.find_entry(call.session, call.repo, commit, path) if wanted else None
    rights = Capabilities(call.gatekeeper.policies, call.principal, call.resource, now())
    # One answer for what is not there, not named and not theirs to see.
    if wanted is None or entry is None or not _may_see(rights, wanted, entry):
        raise _missing()
    digest = entry.lfs.sha256 if entry.lfs else entry.oid
    etag = f'"{digest}-{edge}"'
    if call.request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=_HEADERS | {"ETag": etag})
    # By repository: of Git's ids two contents may share one.
    key = (call.repo.id, digest, edge)
    made = _made.get(key)
    if made is None:
        content = await _content(call, entry)
        made = await asyncio.get_running_loop().run_in_executor(_makers, _small_copy, content, edge)
        _made.put(key, made, len(made) + 1)
    if not made:
        raise _missing()
    return Response(made, media_type=thumbnails.MEDIA_TYPE, headers=_HEADERS | {"ETag": etag})


_made: Lru[tuple[str, str, int], bytes] = Lru(64 * 2**20)  # nothing where a file is no image
_makers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pictures")  # each may need 100 MB for a moment


def _small_copy(content: bytes, edge: int) -> bytes:
    try:
        return thumbnails.thumbnail(content, edge=edge)
    except ValueError:
        return b""


async def _content(call: Call, entry: TreeEntry) -> bytes:
    if entry.lfs is None:
        return await history.read_blob(call.session, call.repo, entry.oid)
    if not await lfs.has(call.session, call.repo, entry.lfs.sha256):
        return b""
    pieces = call.gatekeeper.store.read(object_key(entry.lfs.sha256), 0, entry.lfs.size)
    return b"".join([piece async for piece in pieces])


def _missing() -> EntryNotFound:
    return EntryNotFound("There is no such picture here.", next_step="The repository's page shows those of its card.")


ROUTES = for_kinds("/{ns}/{name}/picture/{rev}/{path:rest}", picture, needs=Action.READ_CARD)
