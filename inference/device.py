"""How a denoiser is run on its device: memory layout, attention kernel, compilation, recorded calls, threads.

A call of the default size has one of a few fixed shapes, so each is compiled and recorded once and for all; other sizes
are neither. No switch makes a row's
result depend on its company; each may change the bits, which is why the receipt names them all. The paths of CUDA
were written without a GPU at hand and have not run on one.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from inference.fleet import Way
from inference.packing import MOST_ROWS, packed, packed_bytes
from inference.settings import Attention, Settings, Switch

_KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
_DOUBLING_GAIN = 1.3  # twice the threads must be so much faster to be worth it
_SHAPES = 64  # of all models: for each its buckets


@dataclass(frozen=True)
class DevicePath:
    """The switches as they are on this device.

    channels_last  convolutions see (row, height, width, channel) in memory
    compiled       torch.compile with static shapes
    recorded       CUDA graphs, one for each shape
    packed         convolutions of small calls on a CPU keep their weights laid out
    attention      kernel of scaled dot product attention; "auto" is torch's choice
    """

    channels_last: bool = False
    compiled: bool = False
    recorded: bool = False
    packed: bool = False
    attention: Attention = "auto"

    @classmethod
    def choose(cls, settings: Settings, device: str) -> "DevicePath":
        """What the settings say, and where they say "auto" what suits the device: on a GPU all of a GPU's."""
        is_cuda = device.startswith("cuda")

        def on(switch: Switch) -> bool:
            return is_cuda if switch == "auto" else switch == "on"

        return cls(
            channels_last=on(settings.channels_last),
            compiled=on(settings.compile),
            recorded=on(settings.cuda_graphs) and is_cuda,
            packed=device == "cpu" and settings.packed != "off" and not on(settings.compile),
            attention=settings.attention,
        )

    def __str__(self) -> str:
        names = [name for name in ("channels_last", "compiled", "recorded", "packed") if getattr(self, name)]
        return " ".join([*names, f"attention={self.attention}"])

    def kernels(self, device: str, dtype: torch.dtype) -> str:
        """For the receipt: the switches, and where a GPU computes in float32, that it does so without TF32."""
        is_exact = device.startswith("cuda") and dtype is torch.float32
        return f"{self} tf32=off" if is_exact else str(self)

    def for_model(self, denoiser: Any) -> "DevicePath":
        """What of it suits a denoiser."""
        return replace(self, packed=self.packed and packed_bytes(denoiser) > 0)

    def rows(self, buckets: tuple[int, ...]) -> tuple[int, ...]:
        """The buckets that are called otherwise than calls of any shape."""
        return tuple(bucket for bucket in buckets if not self.packed or bucket <= MOST_ROWS)

    @property
    def any_shape(self) -> "DevicePath":
        """The same without what is done for each shape anew."""
        return replace(self, compiled=False, recorded=False, packed=False)

    def way(self, denoiser: Any, device: str, dtype: torch.dtype) -> Way:
        """How a denoiser of this number format is called."""
        return Way(self.prepared(denoiser), self.kernels(device, dtype))

    def prepared(self, denoiser: Any, *, backend: str = "inductor") -> Callable[..., Any]:
        """The denoiser as it is to be called, in inference mode."""
        if self.channels_last:
            denoiser.to(memory_format=torch.channels_last)
        call: Callable[..., Any] = packed(denoiser) if self.packed else denoiser
        if self.compiled:
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _SHAPES)
            call = torch.compile(call, dynamic=False, backend=backend)
        if self.attention != "auto":
            call = _with_kernel(call, _KERNELS[self.attention])
        return Recorded(call) if self.recorded else call


PLAIN = DevicePath()


class Recorded:
    """A denoiser whose calls are recorded as CUDA graphs by shape and then replayed: no launch overhead.

    record  makes a replay of a call on static inputs; returns it and its static output
    """

    def __init__(
        self,
        call: Callable[..., Any],
        *,
        record: Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]] | None = None,
    ) -> None:
        self._call = call
        # The graphs share their memory: none is replayed while another's output is still wanted.
        self._record = record or partial(record_graph, pool=torch.cuda.graph_pool_handle())
        self._records: dict[tuple[Any, ...], tuple[list[Tensor], Callable[[], None], Tensor]] = {}

    def __call__(
        self,
        latents: Tensor,
        timesteps: Tensor,
        *,
        encoder_hidden_states: Tensor,
        return_dict: bool = False,
        added_cond_kwargs: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor]:
        """As the denoiser itself; the result is a copy that the next replay does not change."""
        names = sorted(added_cond_kwargs or {})
        given = [latents, timesteps, encoder_hidden_states, *((added_cond_kwargs or {})[name] for name in names)]
        key = (*names, *(tensor.shape for tensor in given))
        if key not in self._records:
            static = [tensor.clone() for tensor in given]

            def call() -> Tensor:
                added = {"added_cond_kwargs": dict(zip(names, static[3:], strict=True))} if names else {}
                output: Tensor = self._call(
                    static[0], static[1], encoder_hidden_states=static[2], return_dict=False, **added
                )[0]
                return output

            self._records[key] = (static, *self._record(call))
        static, replay, output = self._records[key]
        for target, source in zip(static, given, strict=True):
            target.copy_(source)
        replay()
        return (output.clone(),)


def record_graph(call: Callable[[], Tensor], *, pool: Any) -> tuple[Callable[[], None], Tensor]:
    """Record a call on static inputs as a CUDA graph, after calls that let libraries choose their kernels.

    pool  of memory, which other graphs use too
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # upstream has no annotation
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads decode and check on this device meanwhile; they must not spoil the recording.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        output = call()
    return graph.replay, output


def measured_threads(most: int) -> int:
    """How many torch threads are worth their cost: doubled for as long as a denoiser's kind of work gains by it."""
    best, seconds = 1, _work_seconds(1)
    while best * 2 <= most:
        doubled = _work_seconds(best * 2)
        if seconds < doubled * _DOUBLING_GAIN:
            break
        best, seconds = best * 2, doubled
    return best


@torch.inference_mode()
def _work_seconds(threads: int) -> float:
    """Median wall time of a few convolutions and products. The median: threads that wait for each other cost, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    image, kernel, rows = torch.randn(4, 128, 32, 32), torch.randn(128, 128, 3, 3), torch.randn(1024, 512)
    seconds = []
    for _ in range(9):
        began = time.perf_counter()
        torch.nn.functional.conv2d(image, kernel, padding=1)
        rows @ rows.t()
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(before)
    return statistics.median(seconds[2:])


def _with_kernel(call: Callable[..., Any], kernel: SDPBackend) -> Callable[..., Any]:
    def with_kernel(*args: Any, **kwargs: Any) -> Any:
        with sdpa_kernel([kernel, SDPBackend.MATH]) if kernel is not SDPBackend.MATH else sdpa_kernel([kernel]):
            return call(*args, **kwargs)

    return with_kernel
