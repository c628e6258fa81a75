"""How returns pass from one sampled token to the next."""

from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import NotChecked


class Walk(NamedTuple):
    """Returns over the gaps between turns, [q] each.

    gamma: discount per sampled token, measured inside turns. before: entry of the last token of a turn; width: tokens
    of the gap; got: what came over it, G_t - r_t; want: gamma times the return after it; slow: the same with every
    token of the gap discounted; leaked: sum of |rewards| of the gap's own tokens; tolerance: what counts as equal.
    """

    gamma: float
    before: Ints
    width: Ints
    got: Floats
    want: Floats
    slow: Floats
    leaked: Floats
    tolerance: float

    @property
    def whole(self) -> Bools:
        """[q] the return passes as inside a turn."""
        return np.abs(self.got - self.want) <= self.tolerance

    @property
    def cut(self) -> Bools:
        """[q] nothing passes, although something should."""
        return ~self.whole & (np.abs(self.got) <= self.tolerance)


def walk(
    returns: Floats, reward: Floats, mask: Bools, row: Ints, position: Ints, turn_id: Ints | None
) -> Walk | NotChecked:
    """Measure the recursion G_t = r_t + gamma G_{t+1} inside turns, then look at the gaps."""
    at = np.flatnonzero(mask & np.isfinite(returns) & np.isfinite(reward))
    now, after = at[:-1], at[1:]
    same = row[now] == row[after]
    now, after = now[same], after[same]
    gap = position[after] - position[now] > 1
    got, ahead = returns[now] - reward[now], returns[after]
    # float32 returns are sums over thousands of tokens.
    tolerance = 1e-3 * float(np.sqrt(np.mean(returns[at] ** 2))) if at.size else 0.0
    told = ~gap & (np.abs(ahead) > tolerance)
    if turn_id is not None:
        told &= turn_id[now] == turn_id[after]
    if told.sum() < 8:
        return NotChecked("needs turns of several tokens with returns other than 0")
    gamma = float(np.median(got[told] / ahead[told]))
    if not 0 < gamma <= 1.001 or np.mean(np.abs(got[told] - gamma * ahead[told]) <= tolerance) < 0.99:
        return NotChecked(
            "inside turns the returns are no discounted sums of token_rewards (bootstrapped, or whitened?)"
        )
    gamma = min(gamma, 1.0)
    if not gap.any():
        return NotChecked("needs rows with tool or environment tokens between turns")
    now, after, got = now[gap], after[gap], got[gap]
    width = position[after] - position[now] - 1
    fed = np.concatenate(([0.0], np.cumsum(np.abs(np.nan_to_num(reward)))))
    leaked = fed[after] - fed[now + 1]
    want = gamma * returns[after]
    return Walk(gamma, now, width, got, want, want * gamma**width, leaked, tolerance)
