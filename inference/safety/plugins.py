"""The checks that an operator adds, named in one file: image checks and prompt classifiers, each pinned by its digest.

    [[image_check]]
    name = "nudity"             # what stages demand it by, in policies/safety.toml
    use = "opennsfw"            # built in: opennsfw, naming, judge; else a name in the entry point group
    sha256 = "864b..."          # what the plug-in must be, or the worker does not start
    timeout_seconds = 20        # optional
    options.threshold = 0.6     # what the plug-in is called with

`[[prompt_check]]` is the same (built in: judge). Entry point groups: `gatekeeper.image_checks` (see `verdict.Checker`)
and `gatekeeper.prompt_checks` (see `classifier.Classifier`); the entry is called with the options.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.contract import CheckName, Sha256
from inference.safety.classifier import GuardedClassifier
from inference.safety.verdict import OWN_CHECK, CheckerError, GuardedChecker

IMAGE_GROUP = "gatekeeper.image_checks"
PROMPT_GROUP = "gatekeeper.prompt_checks"


@dataclass(frozen=True)
class Plugins:
    """What is attached to this worker, by name. Every prompt check sees every prompt.

    digests  of each image check with its options
    """

    image_checks: Mapping[str, GuardedChecker] = field(default_factory=dict)
    prompt_checks: Mapping[str, GuardedClassifier] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


class Entry(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: CheckName
    use: str
    sha256: Sha256
    timeout_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    options: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        """Of what decides about its verdicts."""
        parts = json.dumps([self.use, self.sha256, self.options], sort_keys=True, default=str)
        return hashlib.sha256(parts.encode()).hexdigest()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    image_check: tuple[Entry, ...] = ()
    prompt_check: tuple[Entry, ...] = ()


def read_plugins(path: Path | None) -> Plugins:
    """The checks of a file; None: there are none. Raises CheckerError for one that is not what the file says."""
    if path is None:
        return Plugins()
    try:
        file = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise CheckerError(f"{path.name}: {error}") from error
    images = {entry.name: entry for entry in file.image_check}
    prompts = {entry.name: entry for entry in file.prompt_check}
    if len(images) < len(file.image_check) or len(prompts) < len(file.prompt_check) or OWN_CHECK in images:
        raise CheckerError(f"{path.name}: a name appears twice, or is “{OWN_CHECK}”, which is the model's own check")
    return Plugins(
        {
            name: GuardedChecker(_load(IMAGE_GROUP, entry), timeout_seconds=entry.timeout_seconds, name=name)
            for name, entry in images.items()
        },
        {
            name: GuardedClassifier(_load(PROMPT_GROUP, entry), timeout_seconds=entry.timeout_seconds, name=name)
            for name, entry in prompts.items()
        },
        {name: entry.digest for name, entry in images.items()},
    )


def _load(group: str, entry: Entry) -> Any:
    try:
        plugin = _maker(group, entry.use)(**entry.options)
    except CheckerError:
        raise
    except Exception as error:
        raise CheckerError(f"the check {entry.name} cannot be loaded: {error}") from error
    if plugin.sha256 != entry.sha256:
        raise CheckerError(f"the check {entry.name} has the digest {plugin.sha256}, and not the one of the file")
    return plugin


def _maker(group: str, use: str) -> Callable[..., Any]:
    # Imported here and not at the top: each needs a package of its own, which others shall not have to install.
    match group, use:
        case "gatekeeper.image_checks", "opennsfw":
            from inference.safety.opennsfw import OpenNsfw

            return OpenNsfw
        case "gatekeeper.image_checks", "naming":
            from inference.safety.naming import NamingCheck

            return NamingCheck
        case _, "judge":
            from inference.safety.judge import Judge

            return Judge
    found = list(entry_points(group=group, name=use))
    if len(found) != 1:
        raise CheckerError(f"{len(found)} packages offer “{use}” in {group}; exactly one is needed")
    made: Callable[..., Any] = found[0].load()
    return made
