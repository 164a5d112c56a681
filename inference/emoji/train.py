"""Trains the bundled model from nothing: `python -m inference.emoji.train [stage] --out DIR`.

Stages in order: render, captions, vae, clip, unet, checker, pack, labels, evaluate. `all` runs them, vae and clip at
once. Every stage counts steps, never time, and draws its chance from the seed and the step, so that a run can be
repeated and a stopped one continued with `--resume`.
"""

import os

# One thread a process: the parallelism is in the processes, and two threads of one process wait for each other here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from inference.emoji import captions, checker, clip, evaluate, labels, loop, pack, render, unet, vae

Stage = Callable[[], object]


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    loop.quiet()
    out: Path = options.out
    stages = _stages(out, options)
    match options.stage:
        case "all":
            stages["render"]()
            stages["captions"]()
            _side_by_side(["vae", "clip"], options)
            for name in ("unet", "checker", "pack", "labels", "evaluate"):
                stages[name]()
        case name:
            stages[name]()


def _stages(out: Path, options: argparse.Namespace) -> dict[str, Stage]:
    def steps(default: int) -> int:
        return options.steps or default

    seed, resume = options.seed, options.resume
    return {
        "render": lambda: render.render(out),
        "captions": lambda: captions.train_tokenizer(render.load(out).pictures, out / "tokenizer"),
        "vae": lambda: vae.train(out, render.load(out), steps=steps(vae.STEPS), seed=seed, resume=resume),
        "clip": lambda: clip.train(out, render.load(out), steps=steps(clip.STEPS), seed=seed, resume=resume),
        "unet": lambda: unet.train(out, steps=steps(unet.STEPS), seed=seed, resume=resume, processes=options.processes),
        "checker": lambda: _check(out, options),
        "pack": lambda: pack.pack(out, options.target or out / "packed"),
        "labels": lambda: labels.write(render.load(out), options.target or out / "packed"),
        "evaluate": lambda: evaluate.evaluate(out, options.target or out / "packed"),
    }


def _check(out: Path, options: argparse.Namespace) -> None:
    (out / "checker.pt").unlink(missing_ok=True)
    pack.pack(out, out / "draft")
    steps = options.steps or checker.STEPS
    weights = out / "draft" / "weights"
    checker.train(out, weights, render.load(out), steps=steps, seed=options.seed, processes=options.processes)


def _side_by_side(names: list[str], options: argparse.Namespace) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=partial(_run_stage, name, options)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a training stage failed; run again with --resume")


def _run_stage(name: str, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    loop.quiet()
    _stages(options.out, options)[name]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.emoji.train", description=__doc__)
    names = ("render", "captions", "vae", "clip", "unet", "checker", "pack", "labels", "evaluate", "all")
    parser.add_argument("stage", nargs="?", default="all", choices=names)
    parser.add_argument("--out", type=Path, required=True, help="working directory: states, parts and measurements")
    parser.add_argument(
        "--target",
        type=Path,
        help="where pack writes weights/ and reader/, and evaluate finds them (default: OUT/packed)",
    )
    parser.add_argument("--steps", type=int, help="steps of the stage, instead of the recorded default")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2, help="processes that train the unet together")
    parser.add_argument("--resume", action="store_true", help="continue from the last states under OUT")
    return parser


if __name__ == "__main__":
    main()
