"""Listing a tree of 10,000 files by API, beside `git ls-tree` of the same tree: time, and the server's memory."""

import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

from measuring import Memory, Options, Report, Server, hub, seed

_FOLDERS = 100


def listing(options: Options, report: Report) -> None:
    """All pages of the recursive tree, cold and warm, plain and with what `expand` adds."""
    count = 1_000 if options.is_small else 10_000
    report.title(f"Listing of a tree of {count:,} files")
    model, data = options.work / "tree", options.work / "listing"
    for number in range(count):
        folder = model / f"part{number % _FOLDERS:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number:05}.json").write_text(json.dumps({"number": number}))
    started = time.perf_counter()
    token = seed(data, model=model)
    report.tell(f"imported in {time.perf_counter() - started:.1f} s")
    git = _by_git(model)
    with hub(data) as server:
        for name, query in (
            ("cold", "recursive=true"),
            ("warm", "recursive=true"),
            ("warm, expanded", "recursive=true&expand=true"),
        ):
            cpu = server.cpu_seconds()
            with Memory(server) as memory:
                started = time.perf_counter()
                found, pages = _walk(server, token, f"/api/models/bench/model/tree/main?{query}")
                seconds = time.perf_counter() - started
            if found < count:
                raise SystemExit(f"the listing has {found} files, {count} were committed")
            report.tell(
                f"{name:<15} {seconds * 1e3:7.0f} ms in {pages} pages, "
                f"{(server.cpu_seconds() - cpu) * 1e3:.0f} CPU ms; git ls-tree: {git * 1e3:.0f} ms; "
                f"the server's memory +{(memory.peak - memory.base) / 1e6:.0f} MB"
            )
            report.goal(f"listing {name}, peak of the server's memory in MB", memory.peak / 1e6, most=400)


def _walk(server: Server, token: str, path: str) -> tuple[int, int]:
    """How many files all pages name, and how many pages there are."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    files = pages = 0
    address: str | None = f"http://127.0.0.1:{server.port}{path}"
    while address:
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        with opener.open(request, timeout=120) as answer:
            files += sum(row["type"] == "file" for row in json.load(answer))
            onward = re.search(r'<[^>]*?(/api/[^>]+)>; rel="next"', answer.headers.get("Link") or "")
        pages += 1
        address = f"http://127.0.0.1:{server.port}{onward.group(1)}" if onward else None
    return files, pages


def _by_git(folder: Path) -> float:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, env=environment)

    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-qm", "all")
    started = time.perf_counter()
    git("ls-tree", "-r", "--long", "HEAD")
    return time.perf_counter() - started
