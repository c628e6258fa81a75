"""Steps of equal length in tokens."""

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.errors import StepCreditError
from stepcredit.segment._lengths import count, from_lengths, positive


def equal_cuts(tokens: int, *, length: int | None = None, parts: int | None = None) -> Ints:
    """[K] step of each token: steps of `length` tokens, or `parts` steps of nearly equal length.

    Args:
        tokens: K, how many tokens the response has.
        length: tokens of a step; the last one holds what is left. 256 if `parts` is not given.
        parts: how many steps. Where K is no multiple of it, the first K mod parts steps are longer by one token; a
            response of fewer tokens has as many steps as tokens.

    Raises:
        StepCreditError: both are given, or one is below 1.

    Source: fixed lengths, PRL, arXiv:2601.10201 (official code: a step ends at every 256th or 64th token and at the
    last); equal parts, P2S, arXiv:2601.20649 (which does not say who gets the rest).

    >>> equal_cuts(7, length=3).tolist()
    [0, 0, 0, 1, 1, 1, 2]
    >>> equal_cuts(7, parts=3).tolist()
    [0, 0, 0, 1, 1, 2, 2]
    """
    if length is not None and parts is not None:
        raise StepCreditError(f"length={length} and parts={parts} exclude each other")
    k = count(tokens)
    if parts is None:
        size = positive(256 if length is None else length, "length")
        return np.arange(k, dtype=np.int64) // size
    m = positive(parts, "parts")
    return from_lengths([k // m + (i < k % m) for i in range(min(m, k))], k)
