"""Step numbers of tokens, from where steps start or from how long they are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError


def from_lengths(lengths: Sequence[int], tokens: int, *, last_alone: bool = False) -> Ints:
    """[tokens] 0 for the tokens of the first length, 1 for the second, ...; what the lengths leave over is one step.

    last_alone: the last token is a step of its own, whatever the lengths say.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = np.zeros(tokens, bool)
    starts[ends[ends < tokens]] = True
    if last_alone and tokens:
        starts[-1] = True
    return from_starts(starts)


def from_starts(starts: Bools) -> Ints:
    """[K] step of each token, given where steps start; the first token starts one in any case."""
    number: Ints = np.cumsum(starts, dtype=np.int64)
    return number - number[0] if number.size else number


def column(values: ArrayLike, name: str) -> Floats:
    """One number per token as float64 [K], or LayoutError."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise LayoutError(f"{name} must hold one number per token of one response; got shape {array.shape}")
    return array


def count(tokens: int) -> int:
    """A number of tokens, or StepCreditError."""
    if isinstance(tokens, bool) or not isinstance(tokens, int | np.integer) or tokens < 0:
        raise StepCreditError(f"tokens={tokens!r} is no number of tokens", hint="how many tokens the response has")
    return int(tokens)


def positive(value: int, name: str) -> int:
    """A length or an interval of at least 1, or StepCreditError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise StepCreditError(f"{name}={value!r}", hint="a whole number of at least 1")
    return int(value)
