"""V0.5's budget: draw one more rollout while it improves the baseline by more than it costs."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import blend_risk, cell_mean, james_stein

CARD = Card(
    title="V0.5: Generalist Value Model as a Prior for Sparse RL Rollouts (sequential budget)",
    paper="arXiv:2603.10848",
    bibtex="""@article{zhang2026v05,
  title={$V_{0.5}$: Generalist Value Model as a Prior for Sparse RL Rollouts},
  author={Zhang, Yi-Kai and Sun, Yueqing and Hao, Hongyan and Gu, Qi and Cai, Xunliang and Zhan, De-Chuan and others},
  journal={arXiv:2603.10848}, year={2026}}""",
    evidence="secondary text",
    per="task",
    needs="a prior of the outcome per prompt, the outcomes drawn so far",
    bias="Stopping looks at the outcomes: a group ends where its mean happens to agree with the prior, so its mean is "
    "drawn toward the prior.",
    departures="Risk and rule are from texts about the paper; that the look-ahead keeps the estimated distance of the "
    "prior and only lowers the noise is ours (the exact plug-in is not in them).",
)


def v05_budget(
    layout: Layout,
    prior_value: Floats,
    outcome: Floats,
    *,
    least: int = 4,
    most: int = 16,
    cost: float = 0.0039,
    low: float = -1.0,
    high: float = 1.0,
) -> Selection:
    """Whether to draw one more rollout of each prompt. No rollout is left out.

        more_g = 1   where  D > 0, risk(k) - risk(k + 1) > cost, k < most
        risk(k) = D s_k / (D + s_k),  s_k = ((high - low) / 2)^2 / k
        D = max(0, (mean_k - prior)^2 - s_k)
        more_g = least - k   where  k < least

    Args:
        prior_value: [G] expected outcome of the prompt, in the outcome's range; NaN = none: the mean stands alone, and
            draws go on while its own risk falls by more than the cost.
        outcome: [R] verdict on each rollout, in low..high; NaN = unknown: not counted among the k.
        least, most: rollouts per prompt.
        cost: of a rollout, in units of the squared outcome.
        low, high: range of the outcomes, which bounds their variance.

    Returns:
        Selection with more [G].

    Raises:
        StepCreditError: low is not below high.

    >>> two = Layout(group=np.repeat([0, 1], 4), rollout=np.arange(8))
    >>> outcome = np.array([1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    >>> v05_budget(two, np.array([-0.6, -0.2]), outcome).more
    array([1, 0])
    """
    if not low < high:
        raise StepCreditError(f"v05_budget got the range of outcomes {low:g} to {high:g}; low must lie below high")
    k = np.bincount(layout.group, weights=~np.isnan(outcome), minlength=layout.G).astype(np.int64)
    noise = ((high - low) / 2) ** 2 / np.maximum(k, 1)
    after = ((high - low) / 2) ** 2 / (k + 1)
    gap = james_stein(cell_mean(outcome, layout.group), prior_value, noise).gap
    worth = (gap > 0) & (blend_risk(gap, noise) - blend_risk(gap, after) > cost)
    more = np.where(k < least, least - k, np.where(worth & (k < most), 1, 0))
    more[np.bincount(layout.group, minlength=layout.G) == 0] = 0
    return Selection(np.zeros(layout.R, np.int64), more=more)
