"""VSRM against a loop over steps."""

import numpy as np
import pytest

from stepcredit.credit import assign
from stepcredit.testing import random_batch


def plain(d, window, decay, eps):
    out = []
    for t in range(len(d)):
        near = [q for q in range(min(window, len(d) - 1 - t) + 1) if abs(d[t + q]) > eps]
        out.append(decay ** near[0] * d[t + near[0]] if near else 0.0)
    return out


@pytest.mark.parametrize("window", [0, 1, 2, 9])
@pytest.mark.parametrize("seed", range(20))
def test_a_step_without_a_difference_takes_the_nearest_one_ahead(seed, window):
    batch = random_batch(seed, tree=False)
    lay, d = batch.layout, batch["next_value"] - batch["value"]
    want = [x for r in range(lay.R) for x in plain(d[lay.rollout == r].tolist(), window, 0.5, 0.25)]
    got = assign(batch, "vsrm@reward", window=window, decay=0.5, eps=0.25, outcome_weight=0.0)
    np.testing.assert_allclose(got.values, want, atol=1e-12)
