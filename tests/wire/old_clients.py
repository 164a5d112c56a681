"""Releases of the public client that people still have, each in an environment of its own."""

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path

# The last of the line before 1.0 (requests instead of httpx), and one of the 1.x line, which let the server choose how
# large files go up.
RELEASES = ("0.36.2", "1.10.2")
_ROOT = Path(__file__).parents[2] / ".out" / "clients"


def python_with(release: str) -> Path:
    """The interpreter of an environment with that release, made the first time. Raises CalledProcessError."""
    place = _ROOT / f"{release}-{sys.version_info.major}.{sys.version_info.minor}"
    python = place / "bin" / "python"
    _ROOT.mkdir(parents=True, exist_ok=True)
    with (_ROOT / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests at once make it once
        if not (place / "made").exists():
            venv.create(place, with_pip=True, clear=True)
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            subprocess.run([*command, f"huggingface_hub=={release}"], check=True, env=env, capture_output=True)
            (place / "made").touch()
    return python
