"""The whole service for one user against the bare pipeline, image bytes to image bytes: for bench/engine.py.

A hub of its own with its worker is asked by `POST /models/...`, in turns with the pipeline in this process: the token,
the decision, quota, evidence, screening, queue, check, mark, signature, receipt and every file on disk are in it.

    python bench/engine_service.py [ROUNDS]     this part alone, with the bundled model at 20 steps
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "HF_HUB_OFFLINE": "1"}

import httpx2
import torch
from engine_models import load_model, quiet
from engine_sides import GUIDANCE, Load, Outcome, bare_pipeline, through_diffusers, timed
from measuring import Report, clean_environment, free_port, running, seed

from inference.contract import SldLevel
from inference.emoji import weights_dir

MOST_OVERHEAD = 0.05


def service(
    report: Report, load: Load, bare: Callable[[Outcome], None], directory: Path, data: Path, repeats: int
) -> None:
    """Print what the service adds, of the fastest and of the middle rounds, and the web process's own CPU time."""
    report.title("one user: the whole service, against the bare pipeline")
    data.mkdir()
    token = seed(data, model=directory)
    port = free_port()
    environment = {
        **clean_environment(),
        "GATEKEEPER_DATA_DIR": str(data),
        "INFERENCE_THREADS": str(torch.get_num_threads()),
        "INFERENCE_DTYPE": str(load.model.dtype).removeprefix("torch."),
    }
    command = [sys.executable, "-m", "gatekeeper", "serve", "--port", str(port)]
    parameters = {"num_inference_steps": load.steps, "guidance_scale": GUIDANCE, "sld_level": str(load.level)}
    with (
        running(command, port, data / "serve.log", environment=environment, probe="/healthz") as server,
        httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=300,
            trust_env=False,
        ) as http,
    ):

        def ask(number: int) -> float:
            began = time.perf_counter()
            body = {"inputs": load.order(0).prompt, "parameters": {**parameters, "seed": number}}
            answer = http.post("/models/bench/model", json=body)
            if answer.status_code != 200:
                raise SystemExit(f"the service answered {answer.status_code}: {answer.text[:500]}")
            return time.perf_counter() - began

        for number in range(3):
            ask(number)
            timed(bare)
        before = server.cpu_seconds()
        pairs = [(timed(bare).wall, ask(3 + number)) for number in range(repeats)]
        web = (server.cpu_seconds() - before) / repeats
    least, middle = [[of(side) for side in zip(*pairs, strict=True)] for of in (min, statistics.median)]
    for name, (bare_seconds, seconds) in (("fastest", least), ("middle", middle)):
        report.tell(f"{name:<8} bare {1000 * bare_seconds:.0f} ms, service {1000 * seconds:.0f} ms")
    report.tell(f"web process: {1000 * web:.0f} CPU ms an image")
    report.goal("share on top of the bare pipeline", middle[1] / middle[0] - 1, most=MOST_OVERHEAD)


def main() -> None:
    """Measure the bundled model."""
    quiet()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with tempfile.TemporaryDirectory(prefix="gk-") as scratch:
        model = load_model(weights_dir(), Path(scratch))
        load = Load(model, 1, 1, 20, SldLevel.OFF)
        bare = partial(through_diffusers, bare_pipeline(model, weights_dir(), load.level), load, batch=1)
        rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
        report = Report()
        report.tell(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors when the run began")
        service(report, load, bare, weights_dir(), Path(scratch) / "hub", rounds)
    sys.exit(bool(report.missed))


if __name__ == "__main__":
    main()
