"""Tables as files for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The table as a file to be saved under `name`. A spreadsheet takes no cell of it for a formula."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(header)
    for row in rows:
        table.writerow([f"'{cell}" if str(cell)[:1] in _FORMULA else cell for cell in row])
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
