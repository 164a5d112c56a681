"""Tables as files for spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from starlette.responses import Response, StreamingResponse

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TYPE = "text/csv; charset=utf-8"


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The table as a file to be saved under `name`. A spreadsheet takes no cell of it for a formula."""
    return Response(_text([header, *rows]), media_type=_TYPE, headers=_headers(name))


def csv_stream(name: str, header: Sequence[str], rows: AsyncIterator[Sequence[object]]) -> Response:
    """The same of a table that is too long to be held in memory."""

    async def pieces() -> AsyncIterator[str]:
        yield _text([header])
        async for row in rows:
            yield _text([row])

    return StreamingResponse(pieces(), media_type=_TYPE, headers=_headers(name))


def _text(rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    table = csv.writer(written)
    for row in rows:
        table.writerow([f"'{cell}" if str(cell)[:1] in _FORMULA else cell for cell in row])
    return written.getvalue()


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
