"""P6 and P7: downloads behind nginx and without it, each against a server that asks nobody, in alternating rounds."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measuring import (
    GIBIBYTE,
    HERE,
    KIBIBYTE,
    MEBIBYTE,
    ROOT,
    Load,
    Options,
    Report,
    Server,
    clean_environment,
    drive,
    free_port,
    hub,
    middle,
    need_disk,
    random_file,
    running,
    seed,
)

_SPAN = 16 * MEBIBYTE

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn; {user}
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {sites}
    server {{
        listen 127.0.0.1:{static_port};
        location /healthz {{ return 200; }}
        location / {{ root {model}; sendfile on; tcp_nopush on; }}
    }}
}}
"""


@dataclass
class Side:
    """One way to the same bytes."""

    name: str
    port: int
    servers: Sequence[Server]
    prefix: str = "/bench/model/resolve/main"
    headers: Mapping[str, str] = field(default_factory=dict)


def behind_nginx(options: Options, report: Report) -> None:
    """P6."""
    report.title("P6  downloads behind nginx (X-Accel-Redirect)")
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("nginx is needed for this part: tests/need-packages installs it")
    need_disk(options, 3)
    model, data = model_folder(options), options.work / "behind"
    secret = seed(data, model=model)
    ports = {name: free_port() for name in ("ours", "unchecked", "static")}
    folder = options.work / "nginx"
    folder.mkdir()
    with (
        hub(data, accel="nginx", public_url=f"http://127.0.0.1:{ports['ours']}") as ours,
        _bare(options, model, server="uvicorn", accel="/_files") as unchecked,
    ):
        sites = _site("ours", ports["ours"], ours.port, data / "files" / "sha256")
        sites += _site("unchecked", ports["unchecked"], unchecked.port, model)
        user = "user root;" if os.getuid() == 0 else ""
        text = _NGINX.format(folder=folder, user=user, sites=sites, static_port=ports["static"], model=model)
        (folder / "nginx.conf").write_text(text)
        command = [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
        with running(command, ports["static"], folder / "output", probe="/healthz") as nginx:
            sides = [
                Side("ours", ports["ours"], (nginx, ours), headers={"Authorization": f"Bearer {secret}"}),
                Side("unchecked", ports["unchecked"], (nginx, unchecked)),
                Side("nginx static", ports["static"], (nginx,), prefix=""),
            ]
            for file, goal in (("small.bin", 0.45), ("middle.bin", 0.75), ("large.bin", 0.9)):
                found = measure(options, report, sides, model / file)
                ratio = found["ours"].per_second / found["unchecked"].per_second
                report.goal(f"P6 {_size(model / file)}, of the same without any check", ratio, least=goal)
                if file == "middle.bin":
                    ratio = found["ours"].per_second / found["nginx static"].per_second
                    report.goal("P6 1 MiB, of nginx static", ratio, least=0.6)


def without_nginx(options: Options, report: Report) -> None:
    """P7."""
    need_disk(options, 3)
    model, data = model_folder(options), options.work / "straight"
    secret = seed(data, model=model)
    headers = {"Authorization": f"Bearer {secret}"}
    for server in ("granian", "uvicorn"):
        report.title(f"P7  downloads without nginx, under {server}")
        with hub(data, server=server) as ours, _bare(options, model, server=server) as bare:
            sides = [Side("ours", ours.port, (ours,), headers=headers), Side("bare", bare.port, (bare,))]
            for file in ("middle.bin", "large.bin"):
                found = measure(options, report, sides, model / file)
                ratio = found["ours"].per_second / found["bare"].per_second
                report.goal(f"P7 {server}, {_size(model / file)}, of bare FileResponse", ratio, least=0.9)
            large = model / "large.bin"
            whole = found["ours"].cpu_seconds / large.stat().st_size
            span = min(_SPAN, large.stat().st_size // 2)
            parts = measure(options, report, sides, large, span=span)["ours"].cpu_seconds / span
            report.goal(f"P7 {server}, CPU of a Range GET, of a full GET's for as many bytes", parts / whole, most=1.7)


def measure(
    options: Options,
    report: Report,
    sides: Sequence[Side],
    file: Path,
    *,
    span: int | None = None,
    connections: int | None = None,
) -> dict[str, Load]:
    """Medians of alternating rounds, by the sides' names; prints them.

    span  how many bytes of the file each request asks for, where it is not all
    """
    size = file.stat().st_size
    connections = connections or (32 if size <= MEBIBYTE else 4 if span else 2)
    loads: dict[str, list[Load]] = {side.name: [] for side in sides}
    for number in range(options.rounds + 1):
        for side in sides:
            asked = {**side.headers, **({"Range": f"bytes={size // 4}-{size // 4 + span - 1}"} if span else {})}
            seconds = options.seconds if number else min(1.0, options.seconds)
            path = f"{side.prefix}/{file.name}"
            load = drive(side.port, side.servers, path, connections=connections, seconds=seconds, headers=asked)
            if number:  # the first round warms up
                loads[side.name].append(load)
    found = {name: middle(several) for name, several in loads.items()}
    sent = span or size
    label = f"{_size(file)}{f', {span // MEBIBYTE} MiB of it' if span else ''}"
    for name, load in found.items():
        if sent < MEBIBYTE:
            cost = f"{load.cpu_seconds * 1e6:7.0f} CPU us each"
        else:
            cost = f"{load.per_second * sent / MEBIBYTE:7.0f} MiB/s, {load.cpu_seconds * GIBIBYTE / sent:.2f} CPU s/GiB"
        report.tell(f"{label:>24}  {name:<12} {load.per_second:9.1f} /s, {cost}, p99 {load.p99_ms:.1f} ms")
    return found


def model_folder(options: Options) -> Path:
    """A small, a middle and a large file: random bytes, which all lie in the store."""
    folder = options.work / "model"
    if not folder.exists():
        folder.mkdir()
        (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
        for name, size in (("small.bin", KIBIBYTE), ("middle.bin", MEBIBYTE), ("large.bin", options.large)):
            random_file(folder / name, size)
    return folder


@contextlib.contextmanager
def _bare(options: Options, model: Path, *, server: str, accel: str = "") -> Iterator[Server]:
    """A Starlette application that checks nothing, under the same server program."""
    port = free_port()
    words = [
        "uvicorn",
        "bare:app",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
        "--loop",
        "uvloop",
    ]
    if server == "granian":
        words = ["granian", "bare:app", "--port", str(port), "--interface", "asgi", "--loop", "uvloop", "--no-ws"]
        words += ["--no-log"]
    environment = {**clean_environment(), "BARE_FOLDER": str(model), "BARE_ACCEL": accel, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", *words]
    log = options.work / f"bare-{server}.log"
    with running(command, port, log, environment=environment, probe="/a/b/resolve/main/small.bin", cwd=HERE) as found:
        yield found


def _site(name: str, port: int, app_port: int, files: Path) -> str:
    """The configuration that docs/nginx.md recommends, for one application."""
    page = (ROOT / "docs" / "nginx.md").read_text()
    site: str = re.findall(r"^```nginx\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    for written, here in (
        ("upstream gatekeeper {", f"upstream {name} {{"),
        ("http://gatekeeper;", f"http://{name};"),
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{app_port};"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("alias /srv/gatekeeper-files/sha256/;", f"alias {files}/;"),
    ):
        if written not in site:
            raise SystemExit(f"docs/nginx.md does not hold {written!r} any more; change bench/hub_downloads.py with it")
        site = site.replace(written, here)
    return site


def _size(file: Path) -> str:
    size = file.stat().st_size
    for unit, name in ((GIBIBYTE, "GiB"), (MEBIBYTE, "MiB"), (KIBIBYTE, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"
