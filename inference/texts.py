"""Text to what the denoiser is conditioned on: one text encoder (Stable Diffusion) or two (Stable Diffusion XL)."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inference.batching import in_sizes
from inference.fleet import Model
from inference.safety import levels
from inference.ticket import Ticket

log = logging.getLogger(__name__)

_OWN_TEXTS = frozenset({"", levels.SAFETY_CONCEPT})  # the server's own; only these are remembered


@dataclass(frozen=True)
class Conditioning:
    """What the denoiser hears of one text, or of several.

    hidden  (row, token, channel), in the model's number format
    pooled  (row, channel); None for models with one text encoder
    """

    hidden: Tensor
    pooled: Tensor | None = None

    def flat(self) -> Tensor:
        """(row, value): everything there is, to be compared."""
        hidden = self.hidden.flatten(1)
        return hidden if self.pooled is None else torch.cat([hidden, self.pooled], dim=1)

    def row(self, index: int) -> "Conditioning":
        """One row, still with its row axis."""
        span = slice(index, index + 1)
        return Conditioning(self.hidden[span], None if self.pooled is None else self.pooled[span])


def texts_of(ticket: Ticket) -> list[str]:
    """What an order's rows are conditioned on: [negative prompt, prompt, safety concept, nothing] or a part of it."""
    order = ticket.order
    texts = [order.prompt]
    if order.guidance_scale > 1:
        texts.insert(0, order.negative_prompt)
    if levels.can_act(order.safety.sld_level, order.guidance_scale):
        texts.append(levels.SAFETY_CONCEPT)
        if order.negative_prompt:
            texts.append("")
    return texts


def join(rows: list[Conditioning]) -> Conditioning:
    """Several rows as one."""
    pooled = [row.pooled for row in rows if row.pooled is not None]
    return Conditioning(torch.cat([row.hidden for row in rows]), torch.cat(pooled) if pooled else None)


def encode_orders(tickets: list[Ticket]) -> dict[int, dict[str, Conditioning]]:
    """Conditioning by model (its `id`) and text, the texts of all orders together. A failure leaves a model out."""
    texts: dict[int, set[str]] = {}
    models: dict[int, Model] = {}
    for ticket in tickets:
        model = ticket.request.model
        models[id(model)] = model
        texts.setdefault(id(model), set()).update(texts_of(ticket))
    encoded = {}
    for key, model in models.items():
        try:
            encoded[key] = encode_all(model, texts[key])
        except Exception as error:
            log.error("texts could not be encoded together: %s", type(error).__name__)
    return encoded


def encode_all(model: Model, texts: set[str]) -> dict[str, Conditioning]:
    """Each text's conditioning, computed together in the sizes that change no bit. Raises what the encoder raises."""
    known = {text: model.memory[text] for text in texts & model.memory.keys()}
    fresh: dict[str, Conditioning] = {}
    for group in in_sizes(sorted(texts - known.keys()), model.text_sizes):
        rows = encode(model, tokenize(model, group))
        fresh |= {text: _unconditional(model, text, rows.row(index)) for index, text in enumerate(group)}
    model.memory.update({text: row for text, row in fresh.items() if text in _OWN_TEXTS})
    return known | fresh


def tokenize(model: Model, texts: list[str]) -> Tensor:
    """(text, encoder, token) ids, padded and cut to the encoders' length."""
    return torch.stack([_token_ids(*pair, texts) for pair in _encoders(model)], dim=1)


def encode(model: Model, ids: Tensor) -> Conditioning:
    """The conditioning of texts, as diffusers' `encode_prompt` makes it.

    ids  (text, encoder, token)
    """
    outputs = []
    for place, (tokenizer, encoder) in enumerate(_encoders(model)):
        own = ids[:, place].to(model.device)
        mask = _mask(own, tokenizer.eos_token_id) if getattr(encoder.config, "use_attention_mask", False) else None
        outputs.append(encoder(own, attention_mask=mask, output_hidden_states=len(_encoders(model)) > 1))
    if len(outputs) == 1:
        return Conditioning(outputs[0][0].to(model.dtype))
    # Stable Diffusion XL: each encoder's last layer but one side by side, and the second encoder's projection.
    hidden = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    return Conditioning(hidden.to(model.dtype), outputs[1][0].to(model.dtype))


def _encoders(model: Model) -> list[tuple[Any, Any]]:
    places = (("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2"))
    return [(model.parts[tokenizer], model.parts[encoder]) for tokenizer, encoder in places if encoder in model.parts]


def _token_ids(tokenizer: Any, encoder: Any, texts: list[str]) -> Tensor:
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    ids: Tensor = tokenizer(
        texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def _mask(ids: Tensor, end: int) -> Tensor:
    """1 up to the first end of text, 0 for what pads."""
    places = torch.arange(ids.shape[1], device=ids.device)
    return (places <= (ids == end).int().argmax(dim=1, keepdim=True)).long()


def _unconditional(model: Model, text: str, row: Conditioning) -> Conditioning:
    """Some models were trained with zeros, and not with the encoding of an empty text, where there is no prompt."""
    if text or not model.zeros_for_empty:
        return row
    return Conditioning(torch.zeros_like(row.hidden), None if row.pooled is None else torch.zeros_like(row.pooled))
