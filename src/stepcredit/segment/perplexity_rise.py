"""Macro actions that end where the text gets harder to foresee."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Ints
from stepcredit.segment._lengths import column, from_starts


def perplexity_rise(
    token_ref_logp: ArrayLike, *, starts: Literal["risen", "before"] = "risen", last_alone: bool = True
) -> Ints:
    """[K] macro action of each token: a new one wherever the reference finds a token less likely than the one before.

    Inside a macro perplexity does not rise.

    Args:
        token_ref_logp: [K] log-probability of each token of one response under the reference model; NaN = unknown,
            where nothing is cut.
        starts: which token starts the new macro: "risen", the less likely one, so that perplexity falls or stays
            inside each macro; "before", the one before it, as in the official code.
        last_alone: the last token is a macro of its own.

    Raises:
        LayoutError: not one number per token.

    Source: MA-RLHF, arXiv:2410.02743. The paper's macros are runs of falling perplexity; its code cuts one token
    earlier (official code executed: the cut of a rise from i to i + 1 is kept at i, and cuts are where macros start).

    >>> perplexity_rise([-1.0, -0.5, -2.0, -0.1, -0.1]).tolist()
    [0, 0, 1, 1, 2]
    >>> perplexity_rise([-1.0, -0.5, -2.0, -0.1, -0.1], starts="before").tolist()
    [0, 1, 1, 1, 2]
    """
    logp = column(token_ref_logp, "token_ref_logp")
    cut = np.zeros(logp.size, bool)
    cut[1:] = logp[1:] < logp[:-1]
    if starts == "before":
        cut[:-1] = cut[1:].copy()
    if last_alone and cut.size:
        cut[-1] = True
    return from_starts(cut)
