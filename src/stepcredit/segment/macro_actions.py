"""Macro actions: n-grams of fixed or of drawn length."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.segment._lengths import count, from_lengths, positive


def macro_actions(
    tokens: int,
    *,
    rule: Literal["fixed", "random"] = "fixed",
    length: int = 5,
    lengths: Sequence[int] = (1, 2, 3, 5, 10),
    repeat: int = 5,
    seed: int = 0,
    last_alone: bool = True,
) -> Ints:
    """[K] macro action of each token.

    Args:
        tokens: K, how many tokens the response has.
        rule: "fixed": n-grams of `length` tokens. "random": lengths from a shuffled list that holds each of `lengths`
            `repeat` times; when the list is used up, what is left of the response is one macro.
        seed: of the shuffle.
        last_alone: the last token is a macro of its own, so that a reward at the end is not averaged with what stands
            on other tokens. A macro that this leaves empty is none.

    Where macros end by the text's phrases see `constituents`, by rising perplexity `perplexity_rise`. `length=1` is a
    step per token.

    Raises:
        StepCreditError: a length or `repeat` below 1.

    Source: MA-RLHF, arXiv:2410.02743 (official code executed). Its code gives all rows of a batch the macros of the
    first, and counts an empty macro where the last token would have started one: there the tokens are as here.
    `repeat` has no default there.

    >>> macro_actions(8, length=3).tolist()
    [0, 0, 0, 1, 1, 1, 2, 3]
    >>> macro_actions(8, rule="random", lengths=(1, 2), repeat=2, last_alone=False).tolist()
    [0, 0, 1, 2, 3, 3, 4, 4]
    """
    k = count(tokens)
    if rule == "fixed":
        size = positive(length, "length")
        drawn = [size] * (k // size) + [k % size] * (k % size > 0)
    else:
        each = [positive(n, "lengths") for n in lengths]
        drawn = np.random.default_rng(seed).permutation(np.repeat(each, positive(repeat, "repeat"))).tolist()
    return from_lengths(drawn, k, last_alone=last_alone)
