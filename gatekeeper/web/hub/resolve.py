"""`/resolve/`: one file of one revision, whole or in part. The address everything is downloaded from."""

import mimetypes
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatekeeper import authz, ledger
from gatekeeper.authz import Action, Allowed
from gatekeeper.errors import EntryNotFound
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.repos import history, lfs, xet
from gatekeeper.repos.storage import object_key
from gatekeeper.web.guard import Call
from gatekeeper.web.hub.bytes_out import Away, Keep, Prepared, RawHeaders
from gatekeeper.web.hub.bytes_out import send as send_prepared
from gatekeeper.web.hub.doors import absent, bare

# What a browser may show by itself. Everything else is offered as a file: it is somebody else's content on our host.
_SHOWN = {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain"}
_TEXT_SUFFIXES = (".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".py", ".jinja", ".gitattributes", "LICENSE")


class FileAnswer(Response):
    """A prepared file as an answer for the guard to send."""

    def __init__(self, prepared: Prepared, keep: Keep) -> None:
        super().__init__()
        self.prepared, self.keep = prepared, keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_prepared(self.prepared, scope, send, keep=self.keep)


async def prepare(call: Call) -> Prepared:
    """Decide about the file that the path names and look up everything that answering needs.

    Raises what the decision raises, and EntryNotFound. The guard has found the repository and the revision.
    """
    session, repo, commit, path = call.session, call.repo, call.commit or "", call.params["path"]
    instant = now()
    authz.require_path(call.gatekeeper.policies, call.principal, path, call.resource, instant)
    entry = await history.entry(session, repo, commit, path)
    if entry.type != "file":
        raise EntryNotFound(f"{path} is a folder.", next_step="Name a file in it.")
    action = authz.action_for_path(path, is_lfs=entry.lfs is not None)
    allowed = authz.require(call.gatekeeper.policies, call.principal, action, call.resource, instant)
    if entry.lfs is not None:
        if not await lfs.has(session, repo, entry.lfs.sha256):
            raise EntryNotFound(
                f"The content of {path} was deleted from this repository.",
                next_step="Ask its maintainers, or take another revision.",
            )
        digest, size = entry.lfs.sha256, entry.lfs.size
        store, key = call.gatekeeper.store, object_key(digest)
        content, path_on_disk = None, store.path(key)
        away = Away(store, key) if path_on_disk is None else None
        known = (await xet.hashes_of(session, repo.id, [digest])).get(digest)
    else:
        digest, path_on_disk, away, known = entry.oid, None, None, None
        content = await history.read_blob(session, repo, entry.oid) if call.request.method != "HEAD" else None
        size = entry.size
    return Prepared(
        headers=_headers(path, commit=commit, digest=digest, size=size)
        + (_xet_headers(call, known) if known else ())
        + changed_terms(call, allowed),
        size=size,
        etag=f'"{digest}"'.encode(),
        path=None if path_on_disk is None else str(path_on_disk),
        content=content,
        evidence=ledger.fields(
            "repos:file:download",
            actor=call.principal.person_id,
            token=call.principal.token_id,
            repo=repo.id,
            subject=commit,
            body={"path": path, "digest": digest, "action": action.value},
        ),
        valid_until=allowed.valid_until,
        away=away,
        inside=None if path_on_disk is None else _inside(call, digest),
    )


async def resolve(call: Call) -> Response:
    """A file of a revision, whole or in part, or by HEAD what is known of it."""
    try:
        prepared = await prepare(call)
    except EntryNotFound as error:
        return absent(call, error)
    cache = call.gatekeeper.cache
    cache.remember(call.request.scope, prepared, valid_until=(prepared.valid_until, call.principal.valid_until))
    return FileAnswer(prepared, cache.keep)


def _inside(call: Call, digest: str) -> bytes | None:
    """Where the proxy before us has a stored file. Made of settings and a digest: nothing of a request is in it."""
    settings = call.gatekeeper.settings
    return f"{settings.accel_prefix}/{object_key(digest)}".encode() if settings.accel else None


def _headers(path: str, *, commit: str, digest: str, size: int) -> RawHeaders:
    media_type = _media_type(path)
    headers = {
        "content-type": media_type,
        "content-disposition": _disposition(path, is_shown=media_type.partition(";")[0] in _SHOWN),
        "etag": f'"{digest}"',
        "x-repo-commit": commit,
        "accept-ranges": "bytes",
        # Kept by nobody without asking again: the next request may be refused.
        "cache-control": "private, no-cache",
        "vary": "Authorization, Cookie",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
    }
    if len(digest) == 64:
        headers |= {"x-linked-etag": f'"{digest}"', "x-linked-size": str(size)}
    return tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())


def _xet_headers(call: Call, file_hash: str) -> RawHeaders:
    """What sends a client with `hf_xet` there for the bytes. All others read on and see a plain file."""
    repo = call.repo
    token = call.gatekeeper.url(f"/api/{repo.kind.value}/{repo.full_name}/xet-read-token/{call.commit}")
    return ((b"x-xet-hash", file_hash.encode()), (b"link", f'<{token}>; rel="xet-auth"'.encode()))


def changed_terms(call: Call, allowed: Allowed) -> RawHeaders:
    """The header by which the public client warns, once in a process, that the terms must be accepted anew.

    Its topic names repository and terms, or the warning for a second repository would be swallowed.
    """
    revision = allowed.revision
    if allowed.terms_until is None or revision is None:
        return ()
    name, page = call.repo.full_name, call.gatekeeper.url(f"{call.resource.page}/access")
    topic = f"terms of {name} {(revision.bundle or '')[:12]}"
    text = (
        f"The terms of {name} have changed. Your acceptance of the earlier ones counts until "
        f"{instant_text(allowed.terms_until)}. Read the change and accept it at {page}"
    )
    return ((b"x-hf-warning", f"{topic}; {text}".encode("latin-1", "replace")),)


def _media_type(path: str) -> str:
    """By name only, and never one that a browser would run."""
    if path.endswith(_TEXT_SUFFIXES):
        return "text/plain; charset=utf-8"
    guessed, encoding = mimetypes.guess_type(path, strict=True)
    return guessed if guessed in _SHOWN and encoding is None else "application/octet-stream"


def _disposition(path: str, *, is_shown: bool) -> str:
    """RFC 6266: the name in ASCII for old readers, and in full for the others."""
    name = path.rpartition("/")[2]
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    kind = "inline" if is_shown else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


ROUTES = bare("/{ns}/{name}/resolve/{rev}/{path:rest}", resolve, needs=Action.KNOW)
