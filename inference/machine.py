"""The worker's torch side, put together: builder, step engine, pipeline lane and release on one device."""

import logging
from functools import partial

import diffusers
import torch
from transformers.utils import logging as transformers_logging

from inference.building import ModelBuilder, pick_device
from inference.engine import Engine
from inference.memory import reclaim, usable_bytes
from inference.pipelines import PipelineLane
from inference.readers import load_readers
from inference.release import Release, Runtime
from inference.room import Room
from inference.safety.trusted import trusted_checkers
from inference.settings import Settings
from inference.workshop import Workshop, new_queue

log = logging.getLogger(__name__)


def make_workshop(settings: Settings) -> Workshop:
    """Everything that makes images, not started. Raises CheckerError or ReaderError for plug-ins that are unsound."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # upstream has no annotation
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    torch.set_num_threads(settings.threads)
    device = pick_device(settings.device)
    runtime = Runtime(torch_version=torch.__version__, diffusers_version=diffusers.__version__, device=device)
    checkers = trusted_checkers(
        settings.checkers, default=settings.default_checker, timeout_seconds=settings.checker_timeout_seconds
    )
    limit_threads = partial(torch.set_num_threads, settings.threads)
    release = Release(runtime, on_start=limit_threads)
    room = Room(settings.memory_bytes or usable_bytes(device), reclaim=partial(reclaim, device))
    engine = Engine(
        new_queue(settings),
        release,
        buckets=settings.limits.buckets,
        max_rows=settings.max_rows,
        threads=settings.threads,
        spare_bytes=lambda: room.spare_bytes,
    )
    pipelines = PipelineLane(new_queue(settings), release, threads=settings.threads)
    build = ModelBuilder(
        checkers, store=settings.store_dir, device=device, dtype=settings.dtype, threads=settings.threads
    )
    return Workshop(
        build=build,
        lanes={"step": engine, "diffusers": pipelines},
        release=release,
        runtime=runtime,
        dtype=settings.dtype,
        room=room,
        readers=load_readers(settings.readers),
    )
