"""Stages, limits, licenses and the default form: data that code relies on."""

import re
import tomllib
from pathlib import Path

import pytest

from gatekeeper.authz import Policies, check
from gatekeeper.authz.catalogue import UNKNOWN
from gatekeeper.authz.resource import Text
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.licensing import Form, is_readable

_EMOJI = "gatekeeper-emoji-openrail-m"


def catalogue(directory: Path) -> dict[str, dict[str, object]]:
    entries = tomllib.loads((directory / "licenses" / "catalogue.toml").read_text())["license"]
    return {entry["id"]: entry for entry in entries}


def test_own_license_text_is_the_one_in_the_catalogue(directory: Path) -> None:
    body = (directory / "licenses" / f"{_EMOJI}.txt").read_bytes()
    assert catalogue(directory)[_EMOJI]["sha256"] == [sha256_hex(body)]
    assert is_readable(body)
    assert max(len(line) for line in body.decode().splitlines()) <= 120


def test_own_license_lists_each_of_its_restrictions_once(directory: Path) -> None:
    text = (directory / "licenses" / f"{_EMOJI}.txt").read_text()
    attachment = text[text.index("ATTACHMENT A: USE RESTRICTIONS") :]
    listed = re.findall(r"^\d+\.\s+\((\w+)\)", attachment, re.MULTILINE)
    assert listed == catalogue(directory)[_EMOJI]["restrictions"]
    assert {"disclose", "impersonate"} < set(listed)
    assert len(listed) == 13


@pytest.mark.parametrize(
    "phrase",
    [
        "as a hosted service",
        "enforceable term",
        "copy of this License",
        "You changed",
        "require all of",
        "claims no rights in Output",
        "AS IS",
    ],
)
def test_own_license_keeps_each_duty_of_its_family(directory: Path, phrase: str) -> None:
    text = " ".join((directory / "licenses" / f"{_EMOJI}.txt").read_text().split())
    assert phrase in text


@pytest.mark.parametrize(
    ("license", "count"),
    [
        ("creativeml-openrail-m", 11),
        ("openrail++", 11),
        ("bigscience-openrail-m", 13),
        ("bigscience-bloom-rail-1.0", 13),
        ("bigcode-openrail-m", 14),
    ],
)
def test_each_rail_text_has_its_number_of_restrictions(directory: Path, license: str, count: int) -> None:
    entry = catalogue(directory)[license]
    assert len(set(entry["restrictions"])) == count  # type: ignore[call-overload]
    assert entry["binds_use"] is True
    assert "hosting_is_distribution" in entry["duties"]  # type: ignore[operator]


def test_only_the_texts_that_ask_for_the_latest_version_say_so(directory: Path) -> None:
    asking = {id for id, entry in catalogue(directory).items() if "latest_version" in entry["duties"]}  # type: ignore[operator]
    assert asking == {"creativeml-openrail-m", "bigscience-openrail-m", "bigscience-bloom-rail-1.0"}


def test_a_text_nobody_knows_counts_as_binding(policies: Policies) -> None:
    assert policies.catalogue.of([Text("0" * 64)]) == UNKNOWN
    assert UNKNOWN.binds_use
    assert UNKNOWN.needs_click
    assert not UNKNOWN.may_redistribute


def test_several_texts_bind_by_the_strictest(policies: Policies) -> None:
    duties = policies.catalogue.of([Text("a", "mit"), Text("b", _EMOJI)])
    assert duties.binds_use
    assert duties.may_redistribute
    assert not policies.catalogue.of([Text("a", "mit")]).binds_use


def test_a_text_is_recognized_by_its_digest_whatever_it_is_called(policies: Policies, directory: Path) -> None:
    (sha256,) = catalogue(directory)[_EMOJI]["sha256"]  # type: ignore[misc]
    assert policies.catalogue.of([Text(sha256, "")]).may_redistribute
    assert policies.catalogue.of([Text(sha256, "mit")]).binds_use


def test_default_form_can_be_asked(directory: Path) -> None:
    table = tomllib.loads((directory / "forms" / "default.toml").read_text())
    form = Form.parse({field["name"]: field["type"] for field in table["field"]})
    assert form.problems == ()
    names = " ".join(field.name for field in form.fields)
    assert "Purpose" in names
    assert "Institution" in names


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("stages.toml", 'requests = "manual"', 'requests = "perhaps"', "requests must be"),
        ("stages.toml", "[stage.gated]", "[stage.gatd]", "gatd"),
        ("stages.toml", '"below_target"', '"below_tragte"', "below_tragte"),
        ("safety.toml", 'checker = "required"', 'checker = "off"', "never released"),
        ("safety.toml", "steps = 50", "steps = 0", "steps must be"),
        ("safety.toml", "width = 1024", "width = 1023", "multiple of 8"),
        ("safety.toml", 'sld_level = "medium"', 'sld_level = "none"', "sld_level must be"),
        ("safety.toml", "[stage.open]", "[stage.opne]", "opne"),
        ("safety.toml", "images = 4", "imagse = 4", "imagse"),
        ("licenses/catalogue.toml", '"flow_down"', '"flow_dwn"', "flow_dwn"),
        ("licenses/gatekeeper-emoji-openrail-m.txt", "Version 1.0", "Version 1.1", "not listed"),
        ("forms/default.toml", 'type = "country"', 'type = "continent"', "needs a name"),
    ],
)
def test_check_names_the_file_and_what_is_wrong(edited, name: str, old: str, new: str, said: str) -> None:  # type: ignore[no-untyped-def]
    report = check(edited(name, old, new))
    wanted = "licenses/catalogue.toml" if name.startswith("licenses/") else name
    assert any(problem.startswith(wanted) and said in problem for problem in report.problems), report.problems
