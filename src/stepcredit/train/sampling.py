"""Sampling of turns in batches: each token is computed once, whoever wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from stepcredit.plugins import extra


@dataclass(frozen=True)
class Said:
    """What a row said in a turn: token ids, their log-probabilities at the temperature."""

    ids: list[int]
    logps: list[float]


class Stream:
    """Rows of tokens that a causal model reads and goes on with, side by side.

    What a row is given is put to the right end of a block of columns; empty places are masked, and positions count
    tokens, not columns. So log-probabilities are those of the training's forward pass over the same tokens.

    Args:
        model: of transformers. ends: token ids with which a turn is over. pad: any token id.
        temperature: 0 takes the likeliest token. generator: of torch, on the model's device.
    """

    def __init__(self, model: Any, ends: frozenset[int], pad: int, *, temperature: float, generator: Any) -> None:
        self.torch = extra("torch", "sampling", name="train")
        self.model, self.pad, self.temperature, self.generator = model, pad, temperature, generator
        self.device = next(model.parameters()).device
        self.ends = self.torch.tensor(sorted(ends), device=self.device)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        # Its name since transformers 5.24.
        self._cache_name = "cache" if "cache" in signature(base.forward).parameters else "past_key_values"
        self._cache: Any = None
        self._mask: Any = None
        self._logits: Any = None

    def read(self, rows: Sequence[Sequence[int]]) -> None:
        """Read the next tokens of each row, at least one each."""
        longest = max(map(len, rows))
        ids = [[self.pad] * (longest - len(row)) + list(row) for row in rows]
        real = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        self._forward(self.torch.tensor(ids, device=self.device), self.torch.tensor(real, device=self.device))

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these."""
        index = self.torch.tensor(list(rows), device=self.device)
        self._cache.batch_select_indices(index)
        self._mask, self._logits = self._mask[index], self._logits[index]

    def turn(self, most: int) -> list[Said]:
        """What each row says, at most so many tokens. Its last token has not been read yet: the next block of the row
        begins with it."""
        torch, n = self.torch, len(self._mask)
        said: list[tuple[list[int], list[float]]] = [([], []) for _ in range(n)]
        talks = torch.ones(n, dtype=torch.bool, device=self.device)
        for place in range(most):
            token, logp = self._draw()
            for (ids, logps), t, p, on in zip(said, token.tolist(), logp.tolist(), talks.tolist(), strict=True):
                if on:
                    ids.append(t)
                    logps.append(p)
            talks &= ~torch.isin(token, self.ends)
            if place + 1 == most or not talks.any():
                break
            self._forward(torch.where(talks, token, self.pad)[:, None], talks[:, None].long())
        return [Said(*one) for one in said]

    def _draw(self) -> tuple[Any, Any]:
        torch = self.torch
        scale = self.temperature or 1.0
        logp = (self._logits.float() / scale).log_softmax(-1)
        if self.temperature == 0:
            token = logp.argmax(-1)
        else:
            token = torch.multinomial(logp.exp(), 1, generator=self.generator)[:, 0]
        return token, logp.gather(-1, token[:, None])[:, 0]

    def _forward(self, ids: Any, real: Any) -> None:
        torch = self.torch
        before = torch.zeros(len(ids), 1, dtype=torch.long, device=self.device)
        if self._mask is not None:
            before = self._mask.sum(1, keepdim=True)
        self._mask = real if self._mask is None else torch.cat((self._mask, real), 1)
        positions = (before + real.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            out = self.model(
                input_ids=ids,
                attention_mask=self._mask,
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
                **{self._cache_name: self._cache},
            )
        self._cache, self._logits = getattr(out, self._cache_name), out.logits[:, -1]


def generator(seed: Sequence[int], device: Any) -> Any:
    """Random numbers of torch that depend on these numbers alone."""
    torch = extra("torch", "sampling", name="train")
    made = torch.Generator(device=device)
    made.manual_seed(int(np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0] >> 1))
    return made
