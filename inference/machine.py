"""The worker's torch side, put together: builder, step engine, pipeline lane and release on one device."""

import logging
import os
from functools import partial

import diffusers
import torch
from transformers.utils import logging as transformers_logging

from inference.building import ModelBuilder, pick_device
from inference.device import DevicePath, measured_threads
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
    device = pick_device(settings.device)
    threads = settings.threads if settings.threads != "auto" else measured_threads(len(os.sched_getaffinity(0)))
    path = DevicePath.choose(settings, device)
    log.info("device %s, %d threads, %s", device, threads, path)
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False  # one kernel for one shape, or alone and in company would differ
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32, for the checkers' sake
    runtime = Runtime(torch.__version__, diffusers.__version__, device, threads=threads)
    checkers = trusted_checkers(
        settings.checkers,
        default=settings.default_checker,
        timeout_seconds=settings.checker_timeout_seconds,
        device=device,
    )
    limit_threads = partial(torch.set_num_threads, threads)
    release = Release(runtime, on_start=limit_threads)
    room = Room(settings.memory_bytes or usable_bytes(device), reclaim=partial(reclaim, device))
    engine = Engine(
        new_queue(settings),
        release,
        buckets=settings.limits.buckets,
        max_rows=settings.max_rows,
        threads=threads,
        spare_bytes=lambda: room.spare_bytes,
    )
    pipelines = PipelineLane(new_queue(settings), release, threads=threads, spare_bytes=lambda: room.spare_bytes)
    build = ModelBuilder(
        checkers,
        store=settings.store_dir,
        device=device,
        dtype=settings.dtype,
        threads=threads,
        path=path,
        buckets=tuple(bucket for bucket in settings.limits.buckets if bucket <= settings.max_rows),
    )
    return Workshop(
        build=build,
        lanes={"step": engine, "diffusers": pipelines},
        release=release,
        runtime=runtime,
        dtype=settings.dtype,
        threads=threads,
        room=room,
        readers=load_readers(settings.readers),
        checkers_sha256=checkers.sha256,
    )
