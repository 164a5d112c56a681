"""Promises about routes: each states what it needs, or stands in the list of those that anybody may call."""

import subprocess
import sys

from gatekeeper.app import routes
from gatekeeper.authz import Action


def test_the_web_process_does_not_reach_torch() -> None:
    code = "import gatekeeper.app, sys; sys.exit(any(m in sys.modules for m in ('torch', 'diffusers', 'transformers')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_needed_action_exists() -> None:
    known = {action.value for action in Action}
    assert {route.needs for route in routes() if route.needs} <= known


def test_no_two_routes_answer_the_same_request() -> None:
    seen: dict[tuple[str, str], str] = {}
    for route in routes():
        for method in route.methods:
            key = (method, route.pattern)
            assert key not in seen, f"{method} {route.pattern}: {route.name} and {seen[key]}"
            seen[key] = route.name
