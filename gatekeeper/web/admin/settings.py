"""The settings in force, of the hub and of the inference process: each with its value, where that comes from, and
what it does. No secret is shown."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource
from starlette.responses import Response

from gatekeeper.authz import Action
from gatekeeper.kit.figures import size_text, span_text
from gatekeeper.settings import Settings
from gatekeeper.web.admin.inference import ask
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_PREFIX = "GATEKEEPER_"
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
# What a group of settings is about, the page of documentation that tells more, and how their names begin.
_SUBJECTS = (
    (
        "Database and files",
        "storage.md",
        ("data_dir", "database_", "storage_", "s3_", "upload_", "proposal_", "lfs_", "gc_"),
    ),
    ("The server", "nginx.md", ("server", "host", "port", "public_url", "contact", "accel", "api_", "metrics")),
    ("Policies and evidence", "policies.md", ("policies_", "download_evidence")),
    ("Hosted inference", "inference.md", ("inference_", "provenance_")),
    (
        "Signing in and tokens",
        "identity.md",
        ("session_", "recent_", "admin_", "sign_up", "local_", "token_", "oidc_", "identity_", "breached_"),
    ),
    ("Mail and webhooks", "webhooks.md", ("mail_", "webhook_", "issuer_")),
    ("Keeping and forgetting", "privacy.md", ("retention_", "keep_", "legal_")),
    ("For work on the hub", "design.md", ("",)),
)
_SILENT = "It does not answer now, so its settings cannot be shown."
_WHY_NONE = {
    "off": "It is switched off.",
    "ready": "It runs at an address where others could ask too, and tells its settings only over a socket of its own. "
    "Look where it was started.",
}


@dataclass(frozen=True)
class Row:
    """One setting as the page shows it. `instead_of`: the default, where the value is another one."""

    variable: str
    value: str
    source: str
    text: str
    instead_of: str = ""

    @property
    def is_default(self) -> bool:
        """Whether nobody chose it."""
        return self.source == "default"


@dataclass(frozen=True)
class Group:
    """Settings of one subject, with the page of documentation about it.

    rows      those to be shown
    why_none  why none can be
    """

    title: str
    docs: str
    rows: list[Row]
    why_none: str = ""


async def show(call: Call) -> Response:
    """`GET /admin/settings`; `?chosen=yes` leaves out what stands as it came."""
    is_chosen, asked = call.request.query_params.get("chosen") == "yes", await ask(call)
    of_worker = [Row(**dict(fact)) for fact in asked.health.settings] if asked.health else []
    why_none = "" if of_worker else _WHY_NONE.get(asked.state, _SILENT)

    def shown(rows: list[Row]) -> list[Row]:
        return [row for row in rows if not (is_chosen and row.is_default)]

    return render(
        call,
        "admin/settings.html",
        sees_all=runs_hub(call),
        groups=[
            *(
                Group(title, f"{_docs()}/{page}", shown(rows))
                for title, page, rows in grouped(in_force(call.gatekeeper.settings))
            ),
            Group("The inference process", f"{_docs()}/inference.md", shown(of_worker), why_none),
        ],
        docs=f"{_docs()}/settings.md",
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
        value, default = (_value(name, each) for each in (getattr(settings, name), field.default))
        instead_of = default if value != default else ""
        rows.append(Row(f"{_PREFIX}{name.upper()}", value, source, field.description or "", instead_of))
    return rows


def grouped(rows: list[Row]) -> list[tuple[str, str, list[Row]]]:
    """Settings by subject: its title, its page of documentation, and its rows in order."""
    found: dict[str, list[Row]] = {title: [] for title, _, _ in _SUBJECTS}
    for row in rows:
        name = row.variable.removeprefix(_PREFIX).lower()
        found[next(title for title, _, begins in _SUBJECTS if name.startswith(begins))].append(row)
    return [(title, page, found[title]) for title, page, _ in _SUBJECTS]


@cache
def _docs() -> str:
    """Where the documentation lies, as the package says."""
    urls = dict(each.split(", ", 1) for each in metadata("gatekeeper-hub").get_all("Project-URL") or ())
    return str(urls["Documentation"])


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
            return span_text(value * _UNITS[unit])
        case int() if name.endswith("port"):
            return str(value)
        case int():
            return f"{value:,}"
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
