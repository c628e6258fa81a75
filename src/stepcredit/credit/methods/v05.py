"""V0.5: the baseline of a prompt is a prior value, blended with the mean of its rollouts as far as they contradict."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import center, james_stein

CARD = Card(
    title="V0.5: Generalist Value Model as a Prior for Sparse RL Rollouts",
    paper="arXiv:2603.10848",
    bibtex="""@article{zhang2026v05,
  title={V0.5: Generalist Value Model as a Prior for Sparse RL Rollouts},
  author={Zhang, Yi-Kai and Sun, Yueqing and Hao, Hongyan and Gu, Qi and Cai, Xunliang and Zhan, De-Chuan and
    Ye, Han-Jia},
  journal={arXiv:2603.10848}, year={2026}}""",
    evidence="secondary text",
    needs="one outcome per rollout and a value of the prompt known before any rollout, in the outcome's range",
    bias="The prior does not depend on actions; the mean blended in holds the rollout's own outcome, so the baseline "
    "is the own one's by weight / k. A prior that the rollouts do not contradict stays, right or wrong, within one "
    "standard error of their mean. Each step of a rollout gets the same number.",
    departures="None known; whether the advantage is scaled is not stated in what was read. How many more rollouts to "
    "draw is a selector's (the same blend).",
    cost="one value of a prior model per prompt",
    waives={"equal_rollouts": "equal outcomes still differ from the prior"},
)


def v05(layout: Layout, prior_value: Floats, outcome: Floats, *, low: float = -1.0, high: float = 1.0) -> Floats:
    """Credit of every step of rollout i: its outcome minus a baseline between the prior and the mean of the prompt.

        A_i = R_i - (w * mean_g + (1 - w) * V_g)
        w   = D / (D + noise),  D = max(0, (mean_g - V_g)^2 - noise)
        noise = ((high - low) / 2)^2 / k           bound on the variance of the mean of k outcomes

    Args:
        prior_value: [G] V_g, expected outcome of the prompt, in the outcome's range (a chance of success p is p for
            outcomes 0 and 1, 2 p - 1 for -1 and 1); NaN = none: the mean alone.
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the mean and not judged.
        low, high: the range of outcomes; a wider one than theirs trusts the prior more.

    Returns:
        [S] credit, in units of the outcome.

    Raises:
        StepCreditError: low is not below high.

    >>> four = Layout(group=np.zeros(4, int), rollout=np.arange(4))
    >>> v05(four, np.array([-0.2]), np.array([1.0, -1.0, -1.0, -1.0]))
    array([ 1.2, -0.8, -0.8, -0.8])
    """
    if not low < high:
        raise StepCreditError(f"v05 got the range of outcomes {low:g} to {high:g}; low must lie below high")
    group = layout.group
    k = np.bincount(group, weights=~np.isnan(outcome), minlength=layout.G)[group]
    mean = outcome - center(outcome, group, spread="none")
    noise = np.divide((high - low) ** 2 / 4, k, out=np.full(layout.R, np.inf), where=k > 0)
    advantage = outcome - james_stein(mean, prior_value[group], noise).mean
    return layout.merge(advantage[layout.paths.rollout])
