"""Segments that start at tokens the policy was unsure of."""

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Ints
from stepcredit.errors import StepCreditError
from stepcredit.segment._lengths import column, from_starts, positive


def cut_points(token_logp: ArrayLike, *, below: float = 0.9, every: int = 5) -> Ints:
    """[K] segment of each token: a new one at every n-th token whose probability was below a threshold.

    A value is then asked for after the token before each such token: that is where the response could have gone
    another way. If the first token of the response is one of them, segment 0 starts at it; else segment 0 is what
    stands before the first. Without an unsure token the response is one segment.

    Args:
        token_logp: [K] log-probability of each token of one response under the policy that sampled it; NaN = unknown,
            never a cut.
        below: probability under which a token is unsure; equal is not below.
        every: of the unsure tokens, the first, the (n+1)-th, ... start a segment.

    Raises:
        LayoutError: not one number per token. StepCreditError: a threshold that is no probability, `every` below 1.

    Source: SPO-chain, arXiv:2505.23564 (official code read: cut point c = k - 1 before unsure token k, every 5th).

    >>> p = [0.99, 0.85, 0.95, 0.6, 0.97, 0.5, 0.99, 0.7, 0.98, 0.99]
    >>> import numpy as np
    >>> cut_points(np.log(p), every=2).tolist()
    [0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    """
    if not 0 < below <= 1:
        raise StepCreditError(f"below={below}", hint="a probability: more than 0, at most 1")
    logp = column(token_logp, "token_logp")
    unsure = np.flatnonzero(np.exp(logp) < below)
    starts = np.zeros(logp.size, bool)
    starts[unsure[:: positive(every, "every")]] = True
    return from_starts(starts)
