"""Pages of long lists: a JSON array, and a Link header with the whole address of the next one."""

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse

from gatekeeper.errors import Invalid
from gatekeeper.web.guard import Call

Row = TypeVar("Row")


def number(call: Call, name: str, *, default: int, most: int) -> int:
    """The query's `name` as a number from 0 to `most`. Raises Invalid."""
    text = call.request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise Invalid(f"{name} is not a number.", next_step=f"Use a whole number up to {most}.")
    return min(int(text), most)


def flag(call: Call, name: str) -> bool:
    """The query's `name` as true or false."""
    return call.request.query_params.get(name, "").lower() in ("true", "1")


def page(call: Call, rows: Sequence[Any], *, next_cursor: str | None) -> JSONResponse:
    """One page. The next address repeats the query with another `cursor`, for clients send nothing but the address."""
    response = JSONResponse(list(rows), headers={"Cache-Control": "private, no-store"})
    if next_cursor is not None:
        query = [(name, value) for name, value in call.request.query_params.multi_items() if name != "cursor"]
        raw = call.request.scope.get("raw_path") or quote(call.request.url.path).encode()
        address = f"{call.gatekeeper.url(raw.decode('ascii'))}?{urlencode([*query, ('cursor', next_cursor)])}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


def slice_page(call: Call, rows: Sequence[Row], *, size: int) -> tuple[Sequence[Row], str | None]:
    """The rows that the query's `cursor` (a plain offset) asks for, and the next cursor.

    For listings of one commit, which never change; a list that grows would skip or repeat rows.
    """
    start = number(call, "cursor", default=0, most=10_000_000)
    end = start + size
    return rows[start:end], str(end) if end < len(rows) else None
