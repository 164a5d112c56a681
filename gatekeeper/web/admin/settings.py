"""The settings in force, of the hub and of the inference process: each with its value, where that comes from, and
what it does. No secret is shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource
from starlette.responses import Response

from gatekeeper.authz import Action
from gatekeeper.settings import Settings
from gatekeeper.web.admin.inference import ask
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render
from gatekeeper.web.templating import plural, size_text

_PREFIX = "GATEKEEPER_"
_UNITS = ("seconds", "minutes", "hours", "days")
_SILENT = "It does not answer now, so its settings cannot be shown."
_WHY_NONE = {
    "off": "It is switched off.",
    "ready": "It runs at an address where others could ask too, and tells its settings only over a socket of its own. "
    "Look where it was started.",
}


@dataclass(frozen=True)
class Row:
    """One setting as the page shows it."""

    variable: str
    value: str
    source: str
    text: str

    @property
    def is_default(self) -> bool:
        """Whether nobody chose it."""
        return self.source == "default"


async def show(call: Call) -> Response:
    """`GET /admin/settings`; `?chosen=yes` leaves out what stands as it came."""
    is_chosen, asked = call.request.query_params.get("chosen") == "yes", await ask(call)
    of_worker = [Row(**dict(fact)) for fact in asked.health.settings] if asked.health else []
    return render(
        call,
        "admin/settings.html",
        sees_all=runs_hub(call),
        tables=[
            (name, [row for row in rows if not (is_chosen and row.is_default)])
            for name, rows in (("The hub", in_force(call.gatekeeper.settings)), ("The inference process", of_worker))
        ],
        why_none="" if of_worker else _WHY_NONE.get(asked.state, _SILENT),
        is_chosen=is_chosen,
    )


def in_force(settings: Settings) -> list[Row]:
    """Every setting, in the order of docs/settings.md."""
    environment, file = EnvSettingsSource(Settings)(), DotEnvSettingsSource(Settings)()
    rows = []
    for name, field in Settings.model_fields.items():
        source = (
            "default"
            if name not in settings.model_fields_set
            else "environment"
            if name in environment
            else "file"
            if name in file
            else "command"
        )
        rows.append(
            Row(f"{_PREFIX}{name.upper()}", _value(name, getattr(settings, name)), source, field.description or "")
        )
    return rows


def _value(name: str, value: Any) -> str:
    unit = name.rpartition("_")[2]
    match value:
        case SecretStr():
            return "set" if value.get_secret_value() else "not set"
        case None | "":
            return "not set"
        case bool():
            return "yes" if value else "no"
        case int() if unit == "bytes":
            return size_text(value)
        case int() if unit in _UNITS:
            return plural(value, unit.removesuffix("s"))
        case int():
            return str(value)
        case Path():
            return str(value)
    return _without_secrets(str(value))


def _without_secrets(text: str) -> str:
    """An address without the password, or anything after its path, that it may hold."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    user, at, host = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}:***@{host}" if at and ":" in user else parts.netloc
    return f"{parts.scheme}://{shown}{parts.path}{'?***' if parts.query else ''}"


ROUTES = [guarded("/admin/settings", show, needs=Action.ADMIN_HUB)]
