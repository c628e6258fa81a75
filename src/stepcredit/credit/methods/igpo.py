"""IGPO: information gain at every turn and the outcome at the end, as one chain of compared rewards."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, scan
from stepcredit.ops.center import Spread

CARD = Card(
    title="IGPO: Information Gain-based Policy Optimization for Multi-Turn LLM Agents",
    paper="arXiv:2510.14967",
    bibtex="""@inproceedings{wang2026igpo,
  title={Information Gain-based Policy Optimization: A Simple and Effective Approach for Multi-Turn LLM Agents},
  author={Wang, Guoqing and Dai, Sunhao and Ye, Guangze and Gan, Zeyu and Yao, Wei and Deng, Yong and others},
  booktitle={ICLR}, year={2026}}""",
    code="https://github.com/GuoqingWang1/IGPO, https://github.com/dl-m9/SIOP (estimator igpo)",
    evidence="official code executed",
    needs="what each turn added to the chance of the gold answer (`gain`), one outcome per rollout, several rollouts "
    "per prompt",
    bias="The baseline is one number per prompt (two with normalize='separate'): action-independent, but it holds the "
    "turn's own gain, and turns are compared whatever their place: late turns, where little is left to gain, are "
    "charged for being late. Sums of gains above the mean grow with the number of turns. A gain can be had by copying "
    "the answer.",
    departures="The paper puts gains and outcomes in one pool (normalize='joint'); the estimator's released code has "
    "both, and separate pools by default. It does not see a gain of exactly 0: that turn merges with the next; here it "
    "is a gain. It adds 1e-8 under the root of the variance besides eps: a relative 5e-9 / variance, left out. The "
    "paper's own repository computes something else, not reproduced: the return at a token minus the group's mean "
    "return at the same token position, without a spread. A gain there is a difference of probabilities; A2TGPO's and "
    "this estimator's is one of log-probabilities: the column's affair.",
    cost="one forward pass of the gold answer per turn",
    waives={"equal_rollouts": "a gain is also compared with those of its own rollout"},
)

PRESETS = {
    "official": Preset(
        {"normalize": "separate"}, "dl-m9/SIOP verl core_algos.compute_igpo_turn_level_advantage, its default mode"
    ),
    "official-mean": Preset(
        {"normalize": "separate", "spread": "none"}, "the same, norm_adv_by_std_in_grpo=False: means only"
    ),
}


def igpo(
    layout: Layout,
    gain: Floats,
    outcome: Floats,
    *,
    gamma: float = 1.0,
    normalize: Literal["joint", "separate"] = "joint",
    gain_weight: float = 1.0,
    outcome_weight: float = 1.0,
    spread: Spread = "population",
    eps: float = 1e-6,
) -> Floats:
    """Credit of a turn: its compared gain, plus what follows, the compared outcome at the end.

        A_t = z_t + gamma * A_{t+1}
        z_t = center(x_t)   among the prompt's gains and outcomes, or ("separate") each among its own kind
        x_t = gain_weight * gain_t; outcome_weight * R_i at the last step

    Args:
        gain: [S] information gained about the gold answer by each turn. NaN = a turn without one: it shares the number
            of the next turn that has one. The last step has the outcome instead; a gain there is not used.
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        gamma: discount per turn with a gain, after the comparison.
        normalize: gains and outcomes in one pool ("joint", paper) or in one each ("separate", code).
        gain_weight, outcome_weight: of the two kinds before they are compared (the code's curriculum).
        spread: of the comparisons. eps: added to it.

    Returns:
        [S] credit.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> gain = np.array([0.4, np.nan, 0.2, np.nan])
    >>> igpo(two, gain, np.array([1.0, 0.0]), normalize="separate", spread="none")
    array([ 0.6,  0.5, -0.6, -0.5])
    """
    paths, at_end = layout.paths, np.zeros(layout.S, bool)
    at_end[layout.last[layout.last >= 0]] = True
    x = np.concatenate((np.where(at_end, np.nan, gain_weight * gain), outcome_weight * outcome))
    kind = 0 if normalize == "joint" else layout.G
    z = center(x, np.concatenate((layout.step_group, layout.group + kind)), spread=spread, eps=eps)
    unit = np.where(paths.left == 0, z[layout.S :][paths.rollout], layout.along(z[: layout.S]))
    open_ = np.isnan(layout.along(gain)) & (paths.left > 0)
    return layout.merge(scan(np.where(open_, 0.0, unit), np.where(open_, 1.0, gamma), paths.left))
