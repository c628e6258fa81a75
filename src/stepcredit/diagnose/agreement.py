"""How far two raters agree: the share of equal labels, and Cohen's kappa with an interval."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.errors import LayoutError
from stepcredit.ops import kappa

LEVEL = 0.95
DRAWS = 2000


class Agreement(NamedTuple):
    """n: what both labeled. agree: share of equal labels. kappa, low, high: and its 95% interval. NaN: not known."""

    n: int
    agree: float
    kappa: float
    low: float
    high: float


def agreement(
    a: Sequence[Hashable], b: Sequence[Hashable], cluster: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0
) -> Agreement:
    """Agreement of two raters on the same things.

        kappa = (p_o - p_e) / (1 - p_e),    p_e = sum_k p_a(k) p_b(k)

    The interval is that of a bootstrap over clusters: labels of one run are not independent. It is NaN with fewer than
    two clusters, and draws in which chance alone agrees fully are left out.

    Args:
        a, b: [n] a label of each rater. cluster: [n] run that each label stands in.

    Raises:
        LayoutError: lengths that differ.

    >>> found = agreement([1, 1, -1, -1], [1, 1, -1, 1], ["x", "x", "y", "z"])
    >>> found.n, found.agree, found.kappa
    (4, 0.75, 0.5)
    """
    if not len(a) == len(b) == len(cluster):
        raise LayoutError(f"two raters' labels and their runs must be as many; got {len(a)}, {len(b)}, {len(cluster)}")
    if not a:
        return Agreement(0, *[float("nan")] * 4)
    kinds = {k: i for i, k in enumerate(dict.fromkeys([*a, *b]))}
    runs = {c: i for i, c in enumerate(dict.fromkeys(cluster))}
    table = np.zeros((len(runs), len(kinds), len(kinds)))
    for mine, other, run in zip(a, b, cluster, strict=True):
        table[runs[run], kinds[mine], kinds[other]] += 1
    whole = table.sum(0)
    low = high = float("nan")
    if len(runs) > 1:
        weight = np.random.default_rng(seed).multinomial(len(runs), np.full(len(runs), 1 / len(runs)), draws)
        drawn = kappa(np.tensordot(weight.astype(float), table, 1))
        kept = drawn[~np.isnan(drawn)]
        if kept.size:
            low, high = (float(v) for v in np.quantile(kept, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return Agreement(len(a), float(np.trace(whole) / whole.sum()), float(kappa(whole[None])[0]), low, high)
