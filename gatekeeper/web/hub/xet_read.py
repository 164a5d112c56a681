"""Xet downloads: read tokens, reconstructions, and the parts of xorbs that those name.

Hashes of files are public and open nothing. A read token is for one revision; each reconstruction is decided anew, for
a path at which the file lies in that revision, and is where the download is written down. What it hands out are
addresses that end after two minutes and are decided about once more when bytes are fetched.
"""

import os
import secrets
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gatekeeper import authz, ledger
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Resource
from gatekeeper.errors import NotAllowed, NotFound, NotSignedIn, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, xet
from gatekeeper.repos.storage import Key, Store, xorb_key
from gatekeeper.repos.xet import Found, Plan, XetGrant
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.bytes_out import send_pieces, send_span
from gatekeeper.web.hub.cas import cas, downloadable, granted, resumed, without_bearer
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.xet import token_answer
from gatekeeper.web.respond import error_json

Spans = list[tuple[int, int]]


async def read_token(call: Call) -> Response:
    """`GET .../xet-read-token/{rev}`: a short-lived token for downloads of this revision by Xet, and their endpoint."""
    token, expires_at = xet.issue(
        call.gatekeeper.keys.links, call.repo, by=call.principal, scope="read", instant=now(), commit=call.commit
    )
    return token_answer(call, call.repo, token, expires_at)


async def reconstruction(call: Call) -> Response:
    """`GET .../v2/reconstructions/{file}`: what to fetch and join for a file or a range of it, in one address each."""
    plan, grant = await _planned(call)
    key, instant = call.gatekeeper.keys.links, now()
    fetches = {
        xorb.xorb_hash: [
            (call.gatekeeper.url(path), spans) for path, spans in xet.addresses(key, grant, xorb, instant=instant)
        ]
        for xorb in plan.xorbs
    }
    return JSONResponse(schemas.reconstruction(plan, fetches), headers={"Cache-Control": "no-store"})


async def first_reconstruction(call: Call) -> Response:
    """`GET .../v1/reconstructions/{file}`: what to fetch and join for a file, with an address for each range."""
    plan, grant = await _planned(call)
    key, instant = call.gatekeeper.keys.links, now()
    fetches = {
        xorb.xorb_hash: [
            (call.gatekeeper.url(path), span)
            for path, (span,) in xet.addresses(key, grant, xorb, instant=instant, each=1)
        ]
        for xorb in plan.xorbs
    }
    return JSONResponse(schemas.first_reconstruction(plan, fetches), headers={"Cache-Control": "no-store"})


async def fetch(call: Call) -> Response:
    """`GET /cas/x/{signed}`: bytes of a stored xorb. Its holder sends no other credential."""
    try:
        return await _fetched(call)
    except (NotSignedIn, NotAllowed, NotFound) as refusal:
        # Upon 403, and nothing else, clients ask for the reconstruction again, where they get the real answer.
        answer = error_json(refusal, has_credential=True)
        answer.status_code = 403
        return answer


class SpansAnswer(Response):
    """Exactly these spans of a file: one as it is, several as `multipart/byteranges` (RFC 9110, section 14.6)."""

    def __init__(self, store: Store, key: Key, size: int, spans: Spans) -> None:
        super().__init__(status_code=206)
        self._store, self._key, self._size, self._spans = store, key, size, spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._store.path(self._key)
        # Opened before the answer begins: a file that is missing is an error the client can read.
        file = None if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if file is None and await self._store.size(self._key) is None:
            raise FileNotFoundError(self._key)
        try:
            boundary = secrets.token_hex(16).encode()
            heads = [] if len(self._spans) == 1 else [self._head(span, boundary) for span in self._spans]
            tail = b"\r\n--%s--\r\n" % boundary if heads else b""
            length = sum(end - first for first, end in self._spans) + sum(map(len, heads)) + len(tail)
            await send(self._start(length, boundary if heads else None))
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            for at, (first, end) in enumerate(self._spans):
                if heads:
                    await send({"type": "http.response.body", "body": heads[at], "more_body": True})
                if file is not None:
                    await send_span(file, first, end, send, is_last=not heads)
                else:
                    # Never by an address of the bucket: that would open the whole xorb, with chunks of other files.
                    pieces = self._store.read(self._key, first, end)
                    await send_pieces(b"", pieces, end - first, send, is_last=not heads)
            if heads:
                await send({"type": "http.response.body", "body": tail})
        finally:
            if file is not None:
                os.close(file)

    def _start(self, length: int, boundary: bytes | None) -> dict[str, Any]:
        headers = [
            (b"content-length", b"%d" % length),
            (b"cache-control", b"private, no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if boundary is None:
            headers += [(b"content-type", b"application/octet-stream"), (b"content-range", self._range(self._spans[0]))]
        else:
            headers.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
        return {"type": "http.response.start", "status": 206, "headers": headers}

    def _head(self, span: tuple[int, int], boundary: bytes) -> bytes:
        lines = (
            b"",
            b"--" + boundary,
            b"Content-Type: application/octet-stream",
            b"Content-Range: " + self._range(span),
        )
        return b"\r\n".join((*lines, b"", b""))

    def _range(self, span: tuple[int, int]) -> bytes:
        return b"bytes %d-%d/%d" % (span[0], span[1] - 1, self._size)


async def _fetched(call: Call) -> Response:
    allowed = xet.verify_fetch(call.gatekeeper.keys.links, call.params["signed"], instant=now())
    spans = xet.asked(allowed, call.request.headers.get("range"))
    repo = await catalogue.by_id(call.session, allowed.repo_id)
    if repo is None:
        raise RepoNotFound("Repository not found.", next_step="It was deleted meanwhile.")
    principal = await resumed(call.session, allowed.person_id, allowed.token_id)
    await downloadable(call, call.session, repo, principal, commit=allowed.commit)
    place = await xet.place_of(call.session, allowed.xorb_hash)
    if place is None:
        raise NotFound("This data was cleaned up meanwhile.", next_step="Ask for the file's reconstruction again.")
    return SpansAnswer(call.gatekeeper.store, xorb_key(place, allowed.xorb_hash), allowed.size, spans)


async def _planned(call: Call) -> tuple[Plan, XetGrant]:
    """Decide about the file that is asked for, find out what it is made of, and write the download down."""
    session = call.session
    repo, grant = await granted(call, session, "read")
    if grant.commit is None:
        raise NotAllowed("This token is for uploads.", next_step="Ask for a token to read a revision.")
    principal = await resumed(session, grant.person_id, grant.token_id)
    resource = await downloadable(call, session, repo, principal, commit=grant.commit)
    found = await xet.in_commit(session, repo, grant.commit, call.params["file"])
    if found is None:
        raise NotFound("There is no such file in this revision.", next_step="Download it by its address instead.")
    path = _allowed_path(call, principal, resource, found)
    start, end = xet.wanted(call.request.headers.get("range"), found.size)
    plan = await xet.plan(session, found, start, end)
    if plan is None:
        raise NotFound("This file cannot be given out in parts.", next_step="Download it by its address instead.")
    body: dict[str, Any] = {"path": path, "digest": found.sha256, "action": Action.DOWNLOAD.value, "by": "xet"}
    if (start, end) != (0, found.size):
        body |= {"first_byte": start, "last_byte": end - 1}
    await call.gatekeeper.cache.keep(
        ledger.fields(
            "repos:file:download",
            actor=grant.person_id,
            token=grant.token_id,
            repo=repo.id,
            subject=grant.commit,
            body=body,
        )
    )
    return plan, grant


def _allowed_path(call: Call, principal: Principal, resource: Resource, found: Found) -> str:
    """A path of the file that may be downloaded. Raises the refusal of the last one where none may."""
    policies, instant = call.gatekeeper.policies, now()
    for path in found.paths[:-1]:
        if authz.decide(policies, principal, Action.DOWNLOAD, replace(resource, path=path), instant):
            return path
    authz.require(policies, principal, Action.DOWNLOAD, replace(resource, path=found.paths[-1]), instant)
    return found.paths[-1]


_KIND = "/{kind:kind}/{ns}/{name}"

ROUTES = [
    api(f"{_KIND}/xet-read-token/{{rev}}", read_token, needs=Action.DOWNLOAD),
    cas("/v2/reconstructions/{file}", reconstruction, method="GET", mode="read"),
    cas("/v1/reconstructions/{file}", first_reconstruction, method="GET", mode="read"),
    without_bearer("/cas/x/{signed}", fetch, method="GET", mode="read"),
]
