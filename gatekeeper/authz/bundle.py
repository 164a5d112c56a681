"""Reading a folder of policies: what belongs to it, and everything that can be wrong with it."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

import cedarpy

from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.canonical import digest_of, sha256_hex
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Gate

SCHEMA = "schema.cedarschema"
CATALOGUE = "licenses/catalogue.toml"
CASES = "cases/*.toml"  # say what a folder is meant to answer; no part of the bundle
MOST_BYTES = 4 * 2**20
SCOPES = ("read", "download", "generate", "write", "review", "admin")

_PATTERNS = (
    "*.cedar", SCHEMA, "stages.toml", "safety.toml", "requests.toml", "licenses/*", "forms/*", "evaluations/*",
)  # fmt: skip
_ID = re.compile(r"[a-z][a-z0-9-]{2,79}")
_NAMED = re.compile(r'@id\("([^"]*)"\)')
# Words that a policy may compare with. A mistyped stage would otherwise be a rule that quietly never applies.
_WORDS = frozenset({*Stage, *Gate, *SCOPES, ""})


class BrokenPolicies(GatekeeperError):
    """The folder cannot be used. `problems` names each file and rule."""

    code = "BrokenPolicies"

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "The policies cannot be used: " + " ".join(problems),
            next_step="Correct the named rules, then run `gatekeeper policies check`.",
            details={"problems": problems},
        )
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Rule:
    """One policy. `code` (of a forbid) is the denial code it leads to; `scope` the token scope that is missing."""

    id: str
    reason: str
    file: str
    is_permit: bool
    body: dict[str, Any]
    code: str = ""
    scope: str = ""


def read(directory: Path) -> dict[str, str]:
    """Every file that is part of the bundle, by its path in the folder. Raises BrokenPolicies."""
    paths = sorted({path for pattern in _PATTERNS for path in directory.glob(pattern) if path.is_file()})
    files, problems = {}, []
    for path in paths:
        name = path.relative_to(directory).as_posix()
        try:
            files[name] = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            problems.append(f"{name}: is not UTF-8 text.")
    if SCHEMA not in files:
        problems.append(f"{SCHEMA}: there is no such file in {directory.name}.")
    if not any(name.endswith(".cedar") for name in files):
        problems.append(f"*.cedar: there are no policies in {directory.name}.")
    if problems:
        raise BrokenPolicies(problems)
    return files


def digest(files: Mapping[str, str]) -> str:
    """What names a bundle of these files."""
    return digest_of({name: sha256_hex(text.encode()) for name, text in files.items()})


def unpack(archive: bytes, folder: Path) -> None:
    """Write what belongs to a folder of policies, its case tables included, out of a zip archive of one.

    The folder is where the schema lies in the archive; whatever else is in there is left alone.
    archive  untrusted, its size checked by the caller
    Raises BrokenPolicies for what is no such archive, or holds more than a folder of policies can.
    """
    left = MOST_BYTES
    try:
        with ZipFile(BytesIO(archive)) as opened:
            places = [info.filename for info in opened.infolist() if PurePosixPath(info.filename).name == SCHEMA]
            top = min(places, key=len, default=SCHEMA).removesuffix(SCHEMA)
            for info in opened.infolist():
                name = info.filename.removeprefix(top)
                if not info.filename.startswith(top) or info.is_dir() or not _belongs(name):
                    continue
                with opened.open(info) as file:
                    data = file.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise BrokenPolicies([f"the archive holds more than {MOST_BYTES // 2**20} MiB of rules."])
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(data)
    # RuntimeError: encrypted, or packed in a way that zipfile does not know.
    except (BadZipFile, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise BrokenPolicies(["this is no zip archive that can be read."]) from error


def _belongs(name: str) -> bool:
    path = PurePosixPath(name)
    return not {"..", "/"} & set(path.parts) and any(
        len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern) for pattern in (*_PATTERNS, CASES)
    )


def lay_out(folder: Path, files: Mapping[str, str]) -> None:
    """Write a bundle's files as a folder; what is there already as it should be stays untouched."""
    for name, text in files.items():
        path = folder / name
        data = str(text).encode()
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(data)


def parse(files: dict[str, str]) -> dict[str, Rule]:
    """The rules of all `.cedar` files by their id, each validated against the schema. Raises BrokenPolicies."""
    try:
        schema = cedarpy.Schema.from_str(files[SCHEMA])
    except ValueError as error:
        raise BrokenPolicies([f"{SCHEMA}: {error}."]) from error
    rules: dict[str, Rule] = {}
    problems: list[str] = []
    for name in sorted(name for name in files if name.endswith(".cedar")):
        for rule in _parse_file(name, files[name], schema, problems):
            if rule.id in rules:
                problems.append(f"{name}: rule {rule.id} is already in {rules[rule.id].file}.")
            rules[rule.id] = rule
    if problems:
        raise BrokenPolicies(problems)
    return rules


def _parse_file(name: str, text: str, schema: cedarpy.Schema, problems: list[str]) -> Iterator[Rule]:
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        problems.append(f"{name}: {_broken_rule(text)}: {error}.")
        return
    if parsed.get("templates"):
        problems.append(f"{name}: templates (?principal, ?resource) are not used here; grants are data.")
    validation = cedarpy.validate_policies(text, schema)
    names = validation.id_annotations_by_policy_id
    problems += [
        f"{name}: rule {names.get(found.policy_id, found.policy_id)}: {_plain(found.error)}"
        for found in validation.errors
    ]
    for number, body in enumerate(parsed["staticPolicies"].values(), 1):
        notes = body.get("annotations", {})
        rule = Rule(
            id=notes.get("id") or "",
            reason=notes.get("reason") or "",
            file=name,
            is_permit=body["effect"] == "permit",
            body=body,
            code=notes.get("code") or "",
            scope=notes.get("scope") or "",
        )
        if not _ID.fullmatch(rule.id):
            problems.append(f'{name}: rule number {number} needs @id("lower-case-words"), it has {rule.id!r}.')
            continue
        problems += [f"{name}: rule {rule.id}: {problem}" for problem in _manners(rule)]
        yield rule


def _manners(rule: Rule) -> Iterator[str]:
    """What is legal Cedar and still not wanted."""
    if not rule.reason.strip():
        yield "needs @reason in plain words."
    if not rule.is_permit and not rule.code:
        yield "a forbid needs @code, the denial code it leads to."
    for side in ("principal", "resource"):
        if rule.body[side].get("op") not in ("All", "is"):
            yield f"names one {side}; people, repositories and grants are data, never policies."
    for literal in _literals([condition["body"] for condition in rule.body["conditions"]]):
        if isinstance(literal, dict):
            yield "names an individual in its condition; people, repositories and grants are data, never policies."
        elif isinstance(literal, str) and literal not in _WORDS:
            yield f"compares with {literal!r}, which is no stage, gate or scope."


def _literals(node: Any) -> Iterator[Any]:
    match node:
        case {"Value": value}:
            yield value
        case dict():
            for child in node.values():
                yield from _literals(child)
        case list():
            for child in node:
                yield from _literals(child)


def _broken_rule(text: str) -> str:
    """Which rule of a file that cannot be parsed is at fault, found by parsing each alone."""
    starts = [match.start() for match in _NAMED.finditer(text)]
    for start, end in zip(starts, [*starts, len(text)][1:], strict=True):
        try:
            cedarpy.policies_to_json_str(text[start:end])
        except ValueError:
            named = _NAMED.match(text, start)
            line = text.count("\n", 0, start) + 1
            return f"rule {named[1] if named else '?'} (line {line})"
    return "the text before the first @id"


def _plain(error: str) -> str:
    return " ".join(error.split())
