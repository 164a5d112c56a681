"""Talking to an upstream: references and packs by Git's smart HTTP, large files by the Hub's addresses, resumably.

Git's own protocol is used for history, so that every id here is the id there, with the public hub and with another
Gatekeeper alike. Source: git's gitprotocol-http, gitprotocol-pack.
"""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import httpx2

from gatekeeper.errors import GatekeeperError, Invalid, TooLarge, Unavailable
from gatekeeper.repos.git import pktline
from gatekeeper.repos.git.graph import SHOWN
from gatekeeper.repos.mirrors.upstream import Upstream, refusal, unreachable
from gatekeeper.repos.names import NOUNS
from gatekeeper.repos.paths import is_oid

Progress = Callable[[int], None]
_SECONDS = httpx2.Timeout(300, connect=30)
_REDIRECTS = 5
_TRIES = 6
_PIECE = 2**20
_MAX_ADVERT_BYTES = 32 * 2**20
_MAX_PACK_BYTES = 2 * 2**30
_MAX_HAVES = 2_000


@dataclass(frozen=True, slots=True)
class Advert:
    """The upstream's branches, tags and pull requests, by full name, and where its history is cut off for us."""

    refs: dict[str, str]
    boundary: frozenset[str]


class Line:
    """A connection to one upstream."""

    def __init__(self, upstream: Upstream, client: httpx2.AsyncClient) -> None:
        self.upstream = upstream
        self._client = client

    async def advert(self) -> Advert:
        """What may be fetched. Raises NotFound, NotAllowed, Unavailable."""
        body = bytearray()
        async with self._get(
            f"{self.upstream.git_url}/info/refs?service=git-upload-pack", what="the history", for_git=True
        ) as answer:
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _MAX_ADVERT_BYTES:
                    raise TooLarge("The upstream has too many references.")
        return read_advert(bytes(body))

    async def fetch(self, wants: Sequence[str], haves: Sequence[str], into: IO[bytes]) -> None:
        """Have the pack of `wants` written to `into`, which is left at the pack's beginning."""
        capabilities = " ofs-delta no-progress agent=gatekeeper"
        asked = b"".join(
            pktline.line(f"want {oid}{'' if number else capabilities}\n".encode()) for number, oid in enumerate(wants)
        )
        asked += pktline.FLUSH + b"".join(pktline.line(f"have {oid}\n".encode()) for oid in haves[:_MAX_HAVES])
        asked += pktline.line(b"done\n")
        headers = {"Content-Type": "application/x-git-upload-pack-request"} | self._credential(for_git=True)
        url = f"{self.upstream.git_url}/git-upload-pack"
        try:
            async with self._client.stream("POST", url, content=asked, headers=headers) as answer:
                if answer.status_code != 200:
                    raise refusal(self.upstream, answer.status_code, "the history")
                size = 0
                async for piece in answer.aiter_bytes(_PIECE):
                    size += len(piece)
                    if size > _MAX_PACK_BYTES:
                        raise TooLarge("The upstream's history is too long.", next_step="Choose fewer revisions.")
                    await asyncio.to_thread(into.write, piece)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(self.upstream, error) from None
        await asyncio.to_thread(_to_pack, into)

    async def file(self, commit: str, path: str, *, size: int, into: Path, progress: Progress) -> None:
        """Have a large file written to `into`, going on after what is there already. What it holds is not verified."""
        for attempt in range(1, _TRIES + 1):
            try:
                await self._file(commit, path, size=size, into=into, progress=progress)
                return
            except Unavailable:
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(2.0 ** min(attempt, 5) / 2)

    async def _file(self, commit: str, path: str, *, size: int, into: Path, progress: Progress) -> None:
        from huggingface_hub import hf_hub_url  # late, as in upstream.py: it takes half a second to load

        upstream = self.upstream
        held = await asyncio.to_thread(_held, into, size)
        progress(held)
        if held == size:
            return
        url = hf_hub_url(
            upstream.full_name, path, repo_type=NOUNS[upstream.kind], revision=commit, endpoint=upstream.endpoint
        )
        asked = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
        async with self._get(url, what=f"'{path[:200]}'", headers=asked) as answer:
            goes_on = answer.status_code == 206
            if goes_on and not answer.headers.get("content-range", "").startswith(f"bytes {held}-"):
                raise Unavailable(f"{upstream.endpoint} sent another part of '{path[:200]}' than was asked for.")
            held = held if goes_on else 0
            with await asyncio.to_thread(into.open, "ab" if goes_on else "wb") as file:
                async for piece in answer.aiter_raw(_PIECE):
                    held += len(piece)
                    if held > size:
                        raise Invalid(f"{upstream.endpoint} sends more of '{path[:200]}' than its history says.")
                    await asyncio.to_thread(file.write, piece)
                    progress(held)
        if held != size:
            raise Unavailable(f"{upstream.endpoint} broke off in '{path[:200]}'.", next_step="Run this again.")

    @asynccontextmanager
    async def _get(
        self, url: str, *, what: str, headers: dict[str, str] | None = None, for_git: bool = False
    ) -> AsyncIterator[httpx2.Response]:
        """The answer to a GET, through redirects. INVARIANT: only the endpoint's own origin is sent the token."""
        upstream = self.upstream
        is_encrypted = url.startswith("https://")
        try:
            for _ in range(_REDIRECTS):
                credential = self._credential(for_git=for_git) if upstream.is_own(url) else {}
                async with self._client.stream("GET", url, headers=(headers or {}) | credential) as answer:
                    if answer.status_code in (301, 302, 303, 307, 308):
                        url = urljoin(url, answer.headers.get("location", ""))
                        if not url.startswith("https://" if is_encrypted else ("https://", "http://")):
                            raise Invalid(f"{upstream.endpoint} leads to an address without encryption.")
                        continue
                    if answer.status_code not in (200, 206):
                        raise refusal(upstream, answer.status_code, what)
                    yield answer
                    return
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(upstream, error) from None
        raise Unavailable(f"{upstream.endpoint} leads in circles when asked for {what}.")

    def _credential(self, *, for_git: bool = False) -> dict[str, str]:
        token = self.upstream.token
        if token is None:
            return {}
        if for_git:
            return {"Authorization": f"Basic {base64.b64encode(f'gatekeeper:{token}'.encode()).decode()}"}
        return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def connect(upstream: Upstream) -> AsyncIterator[Line]:
    """A connection to `upstream`. Proxies are taken from the environment, as other clients do."""
    async with httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False) as client:
        yield Line(upstream, client)


def read_advert(body: bytes) -> Advert:
    """The answer to `info/refs`. Raises Invalid for what is not in Git's protocol."""
    file = io.BytesIO(body)
    if pktline.read(file) != b"# service=git-upload-pack":
        raise _no_git()
    refs: dict[str, str] = {}
    boundary: set[str] = set()
    parts = 0
    while parts < 2 and file.tell() < len(body):
        row = pktline.read(file)
        if row is None:
            parts += 1
            continue
        text = row.split(b"\0", 1)[0].decode("utf-8", "replace")
        if row.startswith(b"ERR "):
            raise _no_git()
        oid, _, name = text.partition(" ")
        if oid == "shallow":
            boundary.add(name)
        elif is_oid(oid) and name.startswith(SHOWN) and not name.endswith("^{}"):
            refs[name] = oid
    return Advert(refs, frozenset(boundary))


def _held(part: Path, size: int) -> int:
    """How much of a file is there; a part that is too long is begun anew."""
    part.touch(mode=0o600)
    if part.stat().st_size > size:
        part.write_bytes(b"")
    return part.stat().st_size


def _to_pack(file: IO[bytes]) -> None:
    """Go to where the pack begins, behind the acknowledgements."""
    file.flush()
    file.seek(0)
    while (row := pktline.read(file)) is not None:
        if row == b"NAK" or row.startswith(b"ACK "):
            return
        if not row.startswith(b"shallow "):
            break
    raise _no_git()


def _no_git() -> GatekeeperError:
    return Invalid("The upstream does not answer in Git's protocol.", next_step="Check the endpoint's address.")
