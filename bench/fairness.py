"""A light user beside heavy ones, over the real service: how long one image takes, against the same on an idle hub.

Heavy users order as much as quotas let them: two orders at once, each of four images of fifty steps with previews, the
next as soon as one is done. A light user asks for one image of twenty steps now and then. A hub of its own with its
worker and the bundled model; the goal: at most three times as long.

    python bench/fairness.py [--heavy USERS] [--rounds N]
"""

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "HF_HUB_OFFLINE": "1"}

import httpx2
from measuring import Report, clean_environment, free_port, gatekeeper, running, seed

from inference.emoji import weights_dir

MOST_TIMES = 3.0
AT_ONCE = 2  # orders of one person at one repository, as policies/safety.toml has it
HEAVY = {"model": "bench/model", "prompt": "a red apple", "steps": 50, "images": 4, "previews": 3}
LIGHT = {"inputs": "a blue fish", "parameters": {"num_inference_steps": 20}}


def person(data: Path, name: str) -> str:
    """A token of one more person."""
    words = ["people", "add", name, "--email", f"{name}@example.org", "--password-stdin"]
    gatekeeper(data, *words, stdin="correct horse battery\n")
    return gatekeeper(data, "tokens", "issue", name, "--role", "write", "--label", name).strip()


def client(port: int, token: str) -> httpx2.Client:
    """Somebody's."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600, trust_env=False)


def order_for_ever(port: int, token: str, over: threading.Event, seen: list[str]) -> None:
    """One order after another, each as soon as the one before has ended; `seen` hears of every event."""
    with client(port, token) as http, contextlib.suppress(httpx2.TransportError):  # the hub ends before its users
        while not over.is_set():
            answer = http.post("/api/generations", json=HEAVY)
            if answer.status_code == 429:
                over.wait(0.2)
                continue
            if answer.is_error:
                raise SystemExit(f"a heavy user was answered {answer.status_code}: {answer.text[:500]}")
            with http.stream("GET", answer.json()["events"]) as events:
                for line in events.iter_lines():
                    seen += [line] if line.startswith("event: ") else []


def wait_of(http: httpx2.Client) -> float:
    """Seconds until the light user has an image."""
    began = time.perf_counter()
    answer = http.post("/models/bench/model", json=LIGHT)
    if answer.status_code != 200:
        raise SystemExit(f"the service answered {answer.status_code}: {answer.text[:500]}")
    return time.perf_counter() - began


def main() -> int:
    """Measure, first alone and then in company."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heavy", type=int, default=2, help="heavy users")
    parser.add_argument("--rounds", type=int, default=10, help="images of the light user, alone and in company")
    options = parser.parse_args()
    report, over, seen = Report(), threading.Event(), list[str]()
    with tempfile.TemporaryDirectory(prefix="gk-") as scratch:
        data, port = Path(scratch) / "hub", free_port()
        data.mkdir()
        # Without its card and license, so that nobody has to ask and accept first.
        bare = shutil.copytree(
            weights_dir(), Path(scratch) / "model", ignore=shutil.ignore_patterns("README.md", "LICENSE*")
        )
        light = seed(data, model=bare)
        heavy = [person(data, f"heavy{number}") for number in range(options.heavy)]
        environment = {**clean_environment(), "GATEKEEPER_DATA_DIR": str(data), "INFERENCE_THREADS": "1"}
        command = [sys.executable, "-m", "gatekeeper", "serve", "--port", str(port)]
        with (
            running(command, port, data / "serve.log", environment=environment, probe="/healthz"),
            client(port, light) as http,
        ):
            report.title(f"one image of 20 steps, beside {options.heavy} heavy users")
            wait_of(http)
            alone = [wait_of(http) for _ in range(options.rounds)]
            crowd = [
                threading.Thread(target=order_for_ever, args=(port, token, over, seen), daemon=True)
                for token in heavy
                for _ in range(AT_ONCE)
            ]
            for each in crowd:
                each.start()
            while seen.count("event: started") < len(crowd) and all(each.is_alive() for each in crowd):
                time.sleep(0.1)
            beside = []
            for _ in range(options.rounds):
                time.sleep(1)
                beside.append(wait_of(http))
            if not all(each.is_alive() for each in crowd):
                raise SystemExit("the heavy users could not order")
            over.set()
        report.tell(f"alone      {_figures(alone)}")
        report.tell(f"in company {_figures(beside)}; the others got {seen.count('event: image')} images meanwhile")
        report.goal("times as long, middle", statistics.median(beside) / statistics.median(alone), most=MOST_TIMES)
        report.goal("times as long, longest", max(beside) / statistics.median(alone), most=MOST_TIMES)
    return bool(report.missed)


def _figures(seconds: list[float]) -> str:
    return f"middle {1000 * statistics.median(seconds):.0f} ms, longest {1000 * max(seconds):.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
