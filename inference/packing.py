"""Convolutions on a CPU whose weights are laid out once.

oneDNN multiplies weights in a layout of its own, and torch brings them into it at every call: in calls of one or two
rows that is a tenth of the work and more, in larger ones nothing that can be measured.

Compatibility: the operators are those by which torch's own compiler freezes models, and not public. Where they are
missing, nothing is packed.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import Conv2d, Module

MOST_ROWS = 2  # of calls that gain by it
_MOST_BYTES = 256 * 2**20  # what the second layout of all weights may take
_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")


class PackedConvolution(Module):
    """What a convolution computes, of inputs of the shape that it sees first."""

    def __init__(self, plain: Conv2d) -> None:
        super().__init__()
        self._plain = plain
        self._weight: Tensor | None = None
        self._shape = [plain.padding, plain.stride, plain.dilation]

    def forward(self, rows: Tensor) -> Tensor:
        """(row, channel, height, width) to the same of the convolution's own channels and size."""
        plain, shape = self._plain, [list(each) for each in self._shape]
        if self._weight is None:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                plain.weight, *shape, plain.groups, list(rows.shape)
            )
        packed: Tensor = torch.ops.mkldnn._convolution_pointwise(
            rows, self._weight, plain.bias, *shape, plain.groups, "none", [], ""
        )
        return packed


def packed_bytes(denoiser: Any) -> int:
    """What the second layout of a denoiser's convolutions takes; 0 where they are not to be packed."""
    convolutions = [module for module in denoiser.modules() if isinstance(module, Conv2d)]
    if not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS):
        return 0
    if any(each.weight.dtype is not torch.bfloat16 or each.padding_mode != "zeros" for each in convolutions):
        return 0
    size = sum(each.weight.numel() * each.weight.element_size() for each in convolutions)
    return size if size <= _MOST_BYTES else 0


def packed(denoiser: Any) -> Any:
    """The same denoiser with its convolutions packed; it shares all its weights with the one that is given."""
    shared = {id(tensor): tensor for tensor in (*denoiser.parameters(), *denoiser.buffers())}
    twin = deepcopy(denoiser, shared)
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if type(child) is Conv2d:
                setattr(module, name, PackedConvolution(child))
    return twin
