"""Reading what a page's form sent: text only, bounded, and without surprises."""

from datetime import UTC, date, datetime, timedelta

from starlette.datastructures import FormData, QueryParams, UploadFile
from starlette.requests import Request

from gatekeeper.errors import Invalid

_MOST_FIELDS = 300


async def read(request: Request) -> FormData:
    """The fields of a form. Files are refused. Raises Invalid for a body that is no form."""
    try:
        form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    except Exception as error:
        raise Invalid("What was sent is not a form.", next_step="Send it with the page's own button.") from error
    return form


def text(form: FormData | QueryParams, name: str, *, most: int = 10_000) -> str:
    """One field's text, "" when it was not sent, cut at `most` characters; line ends are those of Unix."""
    value = form.get(name, "")
    return "" if isinstance(value, UploadFile) else value.replace("\r\n", "\n")[:most]


def texts(form: FormData, name: str) -> list[str]:
    """Every value of a field that may be sent several times."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


def last_instant(day: str) -> datetime | None:
    """The instant at which access that lasts "until the end of `day`" is over (UTC), None for no day.

    Raises ValueError with a sentence for the person.
    """
    if not day.strip():
        return None
    try:
        end = date.fromisoformat(day.strip()) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ValueError("This must be a date like 2027-01-31.") from None
    return datetime(end.year, end.month, end.day, tzinfo=UTC)
