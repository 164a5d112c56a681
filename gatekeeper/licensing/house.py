"""The house's own questions, for repositories whose card asks none: `policies/forms/default.toml`."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.licensing.forms import Form

_FILE = Path("forms") / "default.toml"


@dataclass(frozen=True, slots=True)
class HouseForm:
    """The questions with the words around them."""

    heading: str
    description: str
    button: str
    form: Form

    @classmethod
    def load(cls, policies_dir: Path | None = None) -> "HouseForm":
        """The form of a folder of policies, None for the bundled one. Each folder is read once in a process.

        Raises ValueError naming the file and what is wrong.
        """
        return _load((policies_dir or bundled_dir("policies")) / _FILE)


@lru_cache(maxsize=16)
def _load(path: Path) -> HouseForm:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        asked = {
            field["name"]: {key: value for key, value in field.items() if key != "name"}
            for field in data.get("field", [])
        }
        form = Form.parse(asked)
        if form.problems:
            raise ValueError(form.problems[0])
        return HouseForm(str(data["heading"]), str(data["description"]).strip(), str(data["button"]), form)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{path}: {problem}") from problem
