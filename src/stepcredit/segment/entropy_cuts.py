"""Segments that start at tokens where the policy could have gone several ways."""

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Ints
from stepcredit.errors import StepCreditError
from stepcredit.segment._lengths import column, from_starts, positive


def entropy_cuts(token_entropy: ArrayLike, *, top: float = 0.2, above: float | None = None, every: int = 1) -> Ints:
    """[K] segment of each token: a new one at every n-th token of high entropy.

    Args:
        token_entropy: [K] entropy of the distribution that each token of one response was drawn from; NaN = unknown,
            never a cut.
        top: share of the response's tokens, those of highest entropy; a token is among them if its entropy is above
            the (1 - top) quantile (linear interpolation), so that equal entropies cut nothing.
        above: cut where entropy is above this number (nats, if the column is in nats) instead.
        every: of these tokens, the first, the (n+1)-th, ... start a segment.

    Raises:
        LayoutError: not one number per token. StepCreditError: a share outside 0..1, `every` below 1.

    Ours: the entropy counterpart of `cut_points`.

    >>> entropy_cuts([0.1, 2.0, 0.0, 0.3, 1.5], top=0.4).tolist()
    [0, 1, 1, 1, 2]
    >>> entropy_cuts([0.1, 2.0, 0.0, 0.3, 1.5], above=0.2, every=2).tolist()
    [0, 1, 1, 1, 2]
    """
    if not 0 <= top <= 1:
        raise StepCreditError(f"top={top}", hint="a share: 0 to 1")
    entropy = column(token_entropy, "token_entropy")
    known = entropy[~np.isnan(entropy)]
    level = above
    if level is None:
        level = float(np.quantile(known, 1 - top)) if known.size else np.inf
    high = np.flatnonzero(entropy > level)
    starts = np.zeros(entropy.size, bool)
    starts[high[:: positive(every, "every")]] = True
    return from_starts(starts)
