"""A2TGPO: information gain compared at the same turn, summed ahead without favoring long rollouts."""

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cells, center, scan
from stepcredit.ops.center import Spread

CARD = Card(
    title="A2TGPO: Agentic Turn-Group Policy Optimization with Adaptive Turn-level Clipping",
    paper="arXiv:2605.06200",
    bibtex="""@article{chen2026a2tgpo,
  title={A$^2$TGPO: Agentic Turn-Group Policy Optimization with Adaptive Turn-level Clipping},
  author={Chen, Dingwei and Zong, Zefang and Ma, Zhipeng and Luo, Leo and Li, Yang and Li, Chengming and others},
  journal={arXiv:2605.06200}, year={2026}}""",
    code="https://github.com/CuSO4-Chen/A-TGPO",
    evidence="official code executed",
    needs="what each turn added to the log-probability of the gold answer (`gain`), one outcome per rollout, several "
    "rollouts per prompt",
    bias="The gain's baseline is the mean over the actions at the n-th gain turn of the prompt's rollouts: "
    "action-independent only where their histories are alike, and it holds the step's own gain. The division by the "
    "root of the turns ahead keeps long rollouts from larger sums. A gain can be had by copying the answer.",
    departures="A gain of exactly 0 is a gain here; the official code does not see it, so that turn merges with the "
    "next. The code adds 1e-8 under the root of the variance besides eps: a relative 5e-9 / variance, left out. "
    "IGPO's estimator (one pool over all turns, the outcome inside the sum) is another formula: `igpo`. The code's "
    "older modes, which accumulate first and compare then, are not reproduced.",
    holds=frozenset({"scale", "shift"}),
)

PRESETS = {
    "official": Preset({}, "A-TGPO core_algos.py compute_igpo_step_advantage, mode turn-group-v1d: the defaults"),
}


def grouping(layout: Layout, gain: Floats) -> dict[str, Ints]:
    """Where gains are compared: the prompt's t-th turns with a gain; a turn without one is alone."""
    has, paths = layout.along(~np.isnan(gain)), layout.paths
    before = np.cumsum(has) - has
    turn = np.zeros(layout.S, np.int64)
    turn[paths.rows] = before - before[paths.start[:-1][paths.rollout]]
    alone = layout.S + np.arange(layout.S)
    return {"gain turn": np.where(np.isnan(gain), alone, cells(layout.step_group, turn))}


def a2tgpo(
    layout: Layout,
    gain: Floats,
    outcome: Floats,
    *,
    alpha: float = 0.3,
    gamma: float = 1.0,
    amplitude: float = 0.3,
    spread: Spread = "population",
    eps: float = 1e-6,
) -> Result:
    """Credit of a turn: the gains from here on, plus how its rollout did; and how far its policy may move.

        A_t = alpha * D_t / sqrt(n - t) + center(R_i)     t = 0 .. n - 1, the rollout's turns with a gain
        D_t = z_t + gamma * D_{t+1}
        z_t = center(gain_t)   among the prompt's t-th turns with a gain
        clip_t = 1 + amplitude * (2 sigmoid(z_t) - 1)

    Args:
        gain: [S] information gained about the gold answer by each turn. NaN = a turn without one: it shares the number
            of the next turn that has one (the first search turn belongs to the second), and after the last gain it
            gets center(R_i) alone and clip 1 (the answer turn).
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        alpha: weight of the gains. gamma: discount per turn with a gain.
        amplitude: how far the clip range may widen or narrow.
        spread: of both comparisons. eps: added to it.

    Returns:
        Result: credit [S], clip_scale [S]: multiplies the policy's clip range.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 0, 1]))
    >>> gain = np.array([np.nan, 0.2, np.nan, 0.4])
    >>> a2tgpo(two, gain, np.array([1.0, 0.0]), alpha=1.0, spread="none").credit
    array([ 0.4,  0.4,  0.5, -0.4])
    """
    has, paths = layout.along(~np.isnan(gain)), layout.paths
    z = layout.along(center(gain, grouping(layout, gain)["gain turn"], spread=spread, eps=eps))
    z = np.where(has, z, 0.0)
    # Turns without a gain pass on what comes after them, undiscounted.
    ahead = scan(z, np.where(has, gamma, 1.0), paths.left)
    turns = scan(has.astype(float), 1.0, paths.left)
    nearest = scan(z, np.where(has, 0.0, 1.0), paths.left)
    rollout = center(outcome, layout.group, spread=spread, eps=eps)[paths.rollout]
    credit = alpha * ahead / np.sqrt(np.maximum(turns, 1.0)) + rollout
    clip = 1.0 + amplitude * np.tanh(nearest / 2)
    return Result(layout.merge(credit), clip_scale=layout.merge(clip))
