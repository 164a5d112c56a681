"""The worker's settings: documented, and refused when they cannot be enforced."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from inference.settings import Settings, in_force

DOCS = Path(__file__).parents[2] / "docs" / "inference.md"


@pytest.mark.parametrize("name", [f"INFERENCE_{name.upper()}" for name in Settings.model_fields])
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name}" in DOCS.read_text(encoding="utf-8")


def test_what_is_in_force_is_told_with_its_source_and_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("INFERENCE_MAX_ROWS=48\n")
    monkeypatch.setenv("INFERENCE_KEY", "sec-ret" * 6)
    monkeypatch.setenv("INFERENCE_LIMITS__STEPS", "30")

    told = {fact.variable: fact for fact in in_force(Settings())}

    assert [*told] == [f"INFERENCE_{name.upper()}" for name in Settings.model_fields]
    assert (told["INFERENCE_MAX_ROWS"].value, told["INFERENCE_MAX_ROWS"].source) == ("48", "file")
    assert (told["INFERENCE_KEY"].value, told["INFERENCE_KEY"].source) == ("set", "environment")
    assert "steps: 30" in told["INFERENCE_LIMITS"].value
    assert told["INFERENCE_DEVICE"].source == "default"
    assert "sec-ret" not in str(told)
    assert all(fact.text for fact in told.values())


def test_checkers_are_separated_as_in_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_CHECKERS", "/a:/b")

    assert Settings(_env_file=None).checkers == (Path("/a"), Path("/b"))  # type: ignore[call-arg]


def test_limits_are_set_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_LIMITS__STEPS", "30")

    limits = Settings(_env_file=None).limits  # type: ignore[call-arg]

    assert (limits.steps, limits.images) == (30, 4)


def test_a_key_file_is_used_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"\n" + b"k" * 31)
    monkeypatch.setenv("INFERENCE_KEY_FILE", str(tmp_path / "key"))

    assert Settings(_env_file=None).order_key() == b"\n" + b"k" * 31  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INFERENCE_THREADS", "0"),
        ("INFERENCE_MAX_ROWS", "2"),
        ("INFERENCE_DTYPE", "float8"),
        ("INFERENCE_LIMITS__BUCKETS", "[1, 2]"),
        ("INFERENCE_CHECKER_TIMEOUT_SECONDS", "0"),
    ],
)
def test_what_cannot_be_enforced_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError):
        Settings(_env_file=None)  # type: ignore[call-arg]
