"""Promises about settings."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from gatekeeper import settings
from gatekeeper.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def documented() -> str:
    """The table of settings, as docs/settings.md must hold it."""
    rows = ["| Variable | Default | What it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `GATEKEEPER_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_every_setting_is_documented_as_it_is() -> None:
    assert documented() in DOCS.read_text(), f"docs/settings.md is out of date; it should hold:\n{documented()}"


def test_every_setting_is_read_somewhere() -> None:
    code = Path(settings.__file__).parent
    others = [file for file in code.rglob("*.py") if file != Path(settings.__file__)]
    read = {name for file in others for name in re.findall(r"settings\.(\w+)", file.read_text())}
    for function in ast.walk(ast.parse(Path(settings.__file__).read_text())):
        if isinstance(function, ast.FunctionDef) and function.name in read:  # what a property is made of
            read |= {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    assert set(Settings.model_fields) - read == set()


@pytest.mark.parametrize(
    "environment",
    [
        {"public_url": "https://hub.example.org/prefix"},
        {"public_url": "ftp://hub.example.org"},
        {"public_url": "https://user@hub.example.org"},
        {"storage_url": "gs://bucket"},
        {"inference_url": "worker:8500"},
        {"inference_url": "none"},
        {"inference_key_file": "/nowhere/inference.key"},
        {"inference_key_file": "/dev/null"},
        {"accel_prefix": "/_files/"},
        {"accel_prefix": "/_files/../etc"},
        {"accel": "nginx", "storage_url": "s3://bucket"},
        {"port": 70000},
        {"session_days": 0},
    ],
    ids=lambda value: next(iter(value.items()))[0],
)
def test_a_setting_that_cannot_be_enforced_is_refused(environment: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **environment)  # type: ignore[call-arg, arg-type]
