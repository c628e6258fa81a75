"""UI-S1's filter: learn from tasks whose rollouts differ in what they gather before they fail."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.credit.select.variance import variance
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import returns

CARD = Card(
    title="UI-S1: Advancing GUI Automation via Semi-online Reinforcement Learning (group filter)",
    paper="arXiv:2509.11543",
    bibtex="""@article{lu2025uis1,
  title={UI-S1: Advancing GUI Automation via Semi-online Reinforcement Learning},
  author={Lu, Zhengxi and Ye, Jiabo and Tang, Fei and Shen, Yongliang and Xu, Haiyang and others},
  journal={arXiv:2509.11543}, year={2025}}""",
    code="https://github.com/X-PLUG/MobileAgent (UI-S1)",
    evidence="official code read",
    per="rollout",
    needs="step rewards, whether each step equals the expert's (`match`), several rollouts per prompt",
    bias="Prompts are chosen by the returns that they are then learned from. With discounting, what happens late in a "
    "rollout hardly spreads the returns: tasks that differ only at their end leave.",
    departures="None from the code's rule; it draws on until a batch has enough tasks and drops the surplus, which the "
    "caller does here. A rollout whose first return is not known leaves alone.",
)


def ui_s1_filter(
    layout: Layout, reward: Floats, match: Ints, *, gamma: float = 0.5, threshold: float = 0.3
) -> Selection:
    """Keep the tasks whose rollouts' first returns spread; a lone rollout stays.

        keep g  where  std over i in g of G_i0 > threshold  (population)
        G_t = r_t + gamma * G_{t+1} where step t and step t + 1 match, else r_t

    Args:
        reward: [S] reward received after each step; NaN = unknown.
        match: [S] 1 = the step equals the reference's, 0 = it does not, -1 = not known.
        gamma: discount per step.
        threshold: spread that has to be passed, in units of the reward.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1]))
    >>> ui_s1_filter(two, np.array([1.0, 1.0, 0.0]), np.array([1, 1, 0])).keep
    array([ True,  True])
    """
    ahead = returns(layout, np.where(match < 0, np.nan, reward), gamma, gate=match != 0)
    start = np.full(layout.R, np.nan)
    first = layout.paths.turn == 0
    start[layout.paths.rollout[first]] = ahead[layout.paths.rows[first]]
    made = variance(layout, start, threshold=threshold)
    reasons = ("its first return is unknown", "the first returns of its task spread too little", made.reasons[2])
    return Selection(made.why, reasons)
