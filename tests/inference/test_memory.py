"""Memory is measured, not guessed."""

import torch

from inference.fleet import Model
from inference.memory import is_out_of_memory, peak_bytes, usable_bytes, weight_bytes


def test_the_peak_is_what_was_alive_at_one_time() -> None:
    def call() -> None:
        first = torch.zeros(1000)
        second = first + 1  # two alive
        view = second.view(10, 100)  # no memory of its own
        del first
        torch.relu_(view)
        torch.zeros(500)

    assert peak_bytes(call) == 2 * 4000


def test_a_model_knows_what_it_holds_and_what_its_calls_take(tiny_model: Model) -> None:
    unet = sum(p.numel() for p in tiny_model.parts["unet"].parameters()) * 4

    assert tiny_model.held_bytes == weight_bytes(tiny_model.parts) > unet
    assert tiny_model.row_bytes > 4 * 8 * 8 * 4  # more than the latents themselves
    assert tiny_model.call_bytes(8, 64, 64) > 3 * tiny_model.call_bytes(8, 32, 32)


def test_the_machine_has_some_memory_to_use() -> None:
    assert usable_bytes("cpu") > 2**20


def test_torch_says_it_in_two_ways() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
