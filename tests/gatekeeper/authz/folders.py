"""Policy folders made for one test."""

import shutil
from pathlib import Path

from gatekeeper.kit.bundled import bundled_dir


def changed_folder(tmp_path: Path, *, name: str = "policies", **changes: tuple[str, str]) -> Path:
    """A copy of the bundled folder; `changes` are, by a file's stem, a text in it and what stands there instead.

    An empty text to replace makes a new file of the second.
    """
    copy = tmp_path / name
    shutil.copytree(bundled_dir("policies"), copy)
    for stem, (old, new) in changes.items():
        path = copy / f"{stem.replace('_', '-')}.cedar"
        if not old:
            path.write_text(new)
            continue
        text = path.read_text()
        assert old in text, f"{path.name} has no {old!r}"
        path.write_text(text.replace(old, new))
    return copy
