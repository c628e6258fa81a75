"""VSRM: a step is rewarded by what it adds to the accuracy of answers given there and then."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout

CARD = Card(
    title="VSRM: Promoting Efficient Reasoning with Verifiable Stepwise Reward",
    paper="arXiv:2508.10293",
    bibtex="""@article{yue2025vsrm,
  title={Promoting Efficient Reasoning with Verifiable Stepwise Reward},
  author={Yue, Chuhuai and Dong, Chengqi and Gao, Yinan and He, Hang and Chai, Jiajun and Yin, Guojun and Lin, Wei},
  journal={arXiv:2508.10293}, year={2025}}""",
    evidence="derived",
    needs="accuracy of answers sampled before and after each step (thinking cut off there), one outcome per rollout",
    bias="The accuracy before a step is fixed before it: action-independent; the sum from here on is not centered. "
    "Steps that change nothing right before one that helps share its reward, decayed, so a few idle steps are paid "
    "for; length is not charged directly. Differences of accuracies from few samples are noisy.",
    departures="That a step's reward is the gain in accuracy is the paper's; how a step without one takes over a "
    "later one's, and the constants, are derived from its abstract (no code is out). The paper trains with PPO or "
    "REINFORCE++: the default is the return that both start from; PPO's critic is the caller's (ahead='none' gives "
    "the rewards to run gae on).",
    cost="answers sampled at every step (about 4 to 8 each)",
    pools={"whiten": True},
    waives={"equal_rollouts": "a step is compared with the accuracy before it, not with other rollouts"},
)

PRESETS = {
    "reward": Preset({"ahead": "none"}, "the step rewards themselves, for PPO's GAE"),
    "reinforce++": Preset({"whiten": True}, "REINFORCE++: returns whitened over the batch's tokens"),
}


def vsrm(
    layout: Layout,
    value: Floats,
    next_value: Floats,
    outcome: Floats,
    *,
    window: int = 3,
    decay: float = 0.7,
    eps: float = 1e-6,
    outcome_weight: float = 1.0,
    ahead: Literal["return", "none"] = "return",
    whiten: bool = False,
) -> Floats:
    """Credit of a step: the sum of the rewards from here on.

        G_t = r_t + G_{t+1}
        r_t = d_t                        where |d_t| > eps
              decay^q * d_{t+q}          else, for the smallest q <= window with |d_{t+q}| > eps; 0 if there is none
        d_t = accuracy after the step - accuracy before it
        the last step's r has outcome_weight * R on top

    Args:
        value, next_value: [S] accuracy before and after each step; NaN = not measured: no difference of its own.
        outcome: [R] verdict on each rollout; NaN = unknown: not judged.
        window: how many steps ahead a step without a difference may look.
        decay: per step that it looks ahead.
        eps: differences up to it are none.
        outcome_weight: weight of the outcome.
        ahead: "return" sums up what follows, "none" gives the rewards r_t.
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over the sampled tokens of the batch.

    Returns:
        [S] credit, in units of accuracy unless whitened.

    >>> one = Layout(group=np.array([0]), rollout=np.zeros(5, int))
    >>> acc = np.array([0, 0, 0.5, 0.5, 0.5, 0.75])
    >>> vsrm(one, acc[:-1], acc[1:], np.array([0.0]), ahead="none").round(4)
    array([0.35  , 0.5   , 0.1225, 0.175 , 0.25  ])
    """
    paths = layout.paths
    d = layout.along(next_value - value)
    source = ops.ahead(np.abs(d) > eps, paths.left)
    distance = source - np.arange(d.size)
    filled = np.where((source < 0) | (distance > window), 0.0, decay ** np.maximum(distance, 0) * d[source])
    reward = layout.merge(filled) + outcome_weight * ops.at_last(layout, outcome)
    credit = ops.returns(layout, reward) if ahead == "return" else reward
    credit = credit + layout.merge(np.where(np.isnan(outcome), np.nan, 0.0)[paths.rollout])
    if not whiten:
        return credit
    return ops.whiten(credit, layout.batches[layout.rollout], weight=layout.step_tokens)
