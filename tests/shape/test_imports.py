"""Every package and module of the doors can be the first one that is imported: no two of them wait for each other."""

import subprocess
import sys

# What they share is imported once; each is then imported by a child of its own that has nothing of the doors yet. A
# module inside a package starts with that package, so the packages stand for all of theirs.
_EACH = """
import os, pkgutil, sys, traceback
import gatekeeper.authz, gatekeeper.generation, gatekeeper.notices, gatekeeper.settings, gatekeeper.web as web
import starlette.requests, starlette.responses, starlette.testclient

names = [f"gatekeeper.web.{found.name}" for found in pkgutil.iter_modules(web.__path__)]
assert len(names) > 20 and not any(name in sys.modules for name in names)
broken = []
for name in names:
    child = os.fork()
    if child == 0:
        try:
            __import__(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        broken.append(name)
sys.exit(f"cannot be imported first: {broken}" if broken else 0)
"""


def test_each_part_of_the_web_can_be_imported_first() -> None:
    done = subprocess.run([sys.executable, "-c", _EACH], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
