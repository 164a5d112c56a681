"""A file that somebody wants to know about: read into memory with a limit, examined, and never stored."""

from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from gatekeeper import authz, provenance
from gatekeeper.errors import Invalid
from gatekeeper.provenance import MAX_BYTES, Verdict
from gatekeeper.web.guard import Call, read_body

FIELD = "file"
_FORM_BYTES = MAX_BYTES + 2**16


async def verdict_on(call: Call) -> Verdict:
    """What the file in a request is. Raises Invalid, TooLarge, TooMany."""
    house = call.gatekeeper
    examination = await house.examiners.examine(house.notary, await _content(call))
    async with house.db.read() as session:
        return await provenance.judge(session, examination, is_public=authz.is_public_by(lambda: house.policies))


class _InMemory(MultiPartParser):
    spool_max_size = _FORM_BYTES + 1  # nothing that is sent here reaches a disk


async def _content(call: Call) -> bytes:
    """The body itself, or the file of a form."""
    body = await read_body(call.request, limit=_FORM_BYTES)
    if not call.request.headers.get("content-type", "").startswith("multipart/form-data"):
        return body

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(call.request.headers, once(), max_files=1, max_fields=1).parse()
    except (MultiPartException, KeyError) as error:
        raise _nothing() from error
    try:
        sent = form.get(FIELD)
        if not isinstance(sent, UploadFile):
            raise _nothing()
        return await sent.read()
    finally:
        await form.close()


def _nothing() -> Invalid:
    return Invalid("No file was sent.", status=422, next_step=f"Send one image, as the body or as the field `{FIELD}`.")
