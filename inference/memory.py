"""Memory of the device: how much is free, what a model's weights take, what a call takes at its peak."""

import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

USABLE_SHARE = 0.85  # of what is free at the start: libraries and other processes take some, too
_CGROUP_LIMIT, _CGROUP_USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def usable_bytes(device: str) -> int:
    """What models and calls may take on this device, as it is now."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(torch.device(device))
        return int(free * USABLE_SHARE)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in line)
        free = int(available.split()[1]) * 1024
        free = min(free, int(_CGROUP_LIMIT.read_text()) - int(_CGROUP_USED.read_text()))
    except (OSError, StopIteration, ValueError):  # not Linux, or no limit ("max")
        pass
    return int(free * USABLE_SHARE)


def reclaim(device: str) -> None:
    """Give freed memory back to the device."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def weight_bytes(parts: dict[str, Any]) -> int:
    """What a model's modules hold."""
    modules = [part for part in parts.values() if isinstance(part, torch.nn.Module)]
    tensors: list[Tensor] = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a call failed for want of memory; on the CPU torch says so with a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def peak_bytes(call: Callable[[], object]) -> int:
    """The most that tensors made during a call took at one time. Scratch inside a kernel is not seen."""
    live = _Live()
    with live:
        call()
    return live.peak


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # upstream has no annotation
    """Counts the bytes of every storage that appears, until it is gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # upstream has no annotation
        self.peak = 0
        self._now = 0
        self._seen: dict[int, Any] = {}
        self._lock = threading.Lock()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {id(s) for s in self._storages((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for storage in self._storages(result):
            if id(storage) not in known and id(storage) not in self._seen:
                self._add(storage)
        return result

    def _storages(self, tree: Any) -> list[Any]:
        return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]

    def _add(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()

        def gone(_: Any) -> None:
            with self._lock:
                self._now -= size
                self._seen.pop(key, None)

        with self._lock:
            self._now += size
            self.peak = max(self.peak, self._now)
        self._seen[key] = weakref.ref(storage, gone)
