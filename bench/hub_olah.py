"""P12: against Olah, a caching mirror of the Hub, installed from its package and run as its users run it.

Olah fills its cache from a Gatekeeper of its own, which speaks the Hub's API, by one download of each file. Then it is
started again offline, as its documentation has it: the cheaper of its two ways, for online it asks before each answer.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub_downloads import Side, measure, model_folder
from measuring import (
    Options,
    Report,
    Server,
    clean_environment,
    free_port,
    hub,
    need_disk,
    running,
    seed,
)

_VERSION = "0.5.4"

_CONFIG = """
[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{folder}/repos"
hf-scheme = "http"
hf-netloc = "127.0.0.1:{upstream}"
hf-lfs-netloc = "127.0.0.1:{upstream}"
mirror-scheme = "http"
mirror-netloc = "127.0.0.1:{port}"
mirror-lfs-netloc = "127.0.0.1:{port}"

[accessibility]
offline = {offline}
"""

_FETCH = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(sys.argv[1], timeout=600) as answer:
    size = 0
    while piece := answer.read(2**20):
        size += len(piece)
print(size)
"""


def against_olah(options: Options, report: Report) -> None:
    """P12."""
    report.title(f"P12  against Olah {_VERSION}, files in its cache")
    need_disk(options, 4)
    command = _install(options, report)
    model, data, folder = model_folder(options), options.work / "beside-olah", options.work / "olah"
    secret = seed(data, model=model)
    folder.mkdir()
    with hub(data) as ours:
        with _olah(command, folder, ours.port, is_offline=False) as filling:
            for file in ("small.bin", "middle.bin", "large.bin"):
                _fill(filling, model / file)
        with _olah(command, folder, ours.port, is_offline=True) as olah:
            sides = [
                Side("ours", ours.port, (ours,), headers={"Authorization": f"Bearer {secret}"}),
                Side("Olah", olah.port, (olah,)),
            ]
            for file in ("small.bin", "middle.bin", "large.bin"):
                found = measure(options, report, sides, model / file, connections=1)
                ratio = found["Olah"].cpu_seconds / found["ours"].cpu_seconds
                if file == "small.bin":
                    report.goal("P12 1 KiB, CPU of Olah for each request, of ours", ratio, least=100)
                if file == "large.bin":
                    report.goal("P12 the large file, CPU of Olah for each GiB, of ours", ratio, least=4)


def _install(options: Options, report: Report) -> str:
    """Olah in an environment of its own; its command."""
    place = options.work / "olah-venv"
    report.tell(f"installing olah {_VERSION} into an environment of its own")
    for words in (
        [sys.executable, "-m", "venv", str(place)],
        [str(place / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", f"olah=={_VERSION}"],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"Olah could not be installed: {done.stderr[-2000:]}")
    return str(place / "bin" / "olah-cli")


@contextmanager
def _olah(command: str, folder: Path, upstream: int, *, is_offline: bool) -> Iterator[Server]:
    port = free_port()
    config = folder / "olah.toml"
    config.write_text(
        _CONFIG.format(port=port, folder=folder, upstream=upstream, offline="true" if is_offline else "false")
    )
    words = [command, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    words += ["--log-path", str(folder / "logs"), "--repos-path", str(folder / "repos")]
    environment = {**clean_environment(), "HOME": str(folder), "PYTHONPATH": ""}
    with running(words, port, folder / "output", environment=environment, cwd=folder) as server:
        yield server


def _fill(olah: Server, file: Path) -> None:
    address = f"http://127.0.0.1:{olah.port}/bench/model/resolve/main/{file.name}"
    done = subprocess.run([sys.executable, "-c", _FETCH, address], capture_output=True, text=True, check=False)
    if done.stdout.strip() != str(file.stat().st_size):
        raise SystemExit(f"Olah did not give {file.name}: {done.stdout} {done.stderr[-1500:]}")
