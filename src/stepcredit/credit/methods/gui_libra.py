"""GUI-Libra: actions sampled in one state, where a miss may be right too and is held against them less."""

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cell_mean, center, state_cells, turn_cells
from stepcredit.ops.center import Spread

CARD = Card(
    title="GUI-Libra: Training Native GUI Agents with Action-aware Supervision and Partially Verifiable RL",
    paper="arXiv:2602.22190",
    bibtex="""@article{yang2026guilibra,
  title={GUI-Libra: Training Native GUI Agents to Reason and Act with Action-aware Supervision and Partially
  Verifiable RL},
  author={Yang, Rui and Wu, Qianhui and Wang, Zhaoyang and Chen, Hanyang and Yang, Ke and Cheng, Hao and others},
  journal={arXiv:2602.22190}, year={2026}}""",
    code="https://github.com/GUI-Libra/GUI-Libra (the part for RL was not seen)",
    evidence="paper",
    needs="a reward for each step, several actions sampled in one state (`state`; without it, at one step index), and "
    "whether each equals the demonstrated action (`match`; without it the reward says so)",
    bias="The baseline is the mean over the actions sampled in the state: action-independent, but it holds the own "
    "reward. Misses are scaled and hits are not, so the credit of a state does not sum to 0: where few samples hit, "
    "hits gain more than misses lose.",
    departures="None from the paper's equations 10 and 11. The spread of its GRPO is not written out: sample, and eps "
    "1e-6, as in verl. The factor is bounded above only, as printed: with a negative offset or slope it can turn a "
    "miss into a gain.",
)

PRESETS = {
    "3b": Preset({"offset": 0.9, "slope": 0.5}, "GUI-Libra-3B, appendix B"),
    "7b": Preset({"offset": 1.4, "slope": -0.5}, "GUI-Libra-7B, appendix B: misses of crowded states weigh less"),
    "8b": Preset({"offset": 0.5, "slope": 2.0}, "GUI-Libra-8B, appendix B"),
}


def grouping(layout: Layout, state: Ints | None = None) -> dict[str, Ints]:
    """Where actions are compared: in the same state, or at the same step index where states are not known."""
    return {"step index": turn_cells(layout)} if state is None else {"state": state_cells(layout, state)}


def gui_libra(
    layout: Layout,
    reward: Floats,
    state: Ints | None = None,
    match: Ints | None = None,
    *,
    offset: float = 0.5,
    slope: float = 1.5,
    spread: Spread = "sample",
    eps: float = 1e-6,
) -> Floats:
    """Credit of an action: its reward among those sampled in its state; a miss counts by how sure hits are there.

        A_k = a_k if a_k >= 0, else min(offset + slope * p, 1) * a_k
        a_k = center(r_k)   among the prompt's steps taken in the same state
        p   = share of those that equal the demonstrated action

    Args:
        reward: [S] reward of each step.
        state: [S] id of the state each step was taken in; equal ids are comparable. None: steps of a prompt at one
            index, as where each step of a demonstration is a prompt of its own.
        match: [S] 1 = the step equals the demonstration's, 0 = it does not, -1 = not known, left out of p. None: p is
            the mean reward.
        offset: factor of a miss where nothing hits. slope: what it gains as all hit (defaults: those of GUI-Libra-4B).
        spread: "sample" divides by the spread, "none" only centers.
        eps: added to the spread.

    Returns:
        [S] credit. A state met once gives 0.

    >>> four = Layout(group=np.zeros(4, int), rollout=np.arange(4))
    >>> gui_libra(four, np.array([1.0, 0.0, 0.0, 0.0]), offset=0.0, slope=1.0, spread="none")
    array([ 0.75  , -0.0625, -0.0625, -0.0625])
    """
    (place,) = grouping(layout, state).values()
    hit = reward if match is None else np.where(match < 0, np.nan, match)
    advantage = center(reward, place, spread=spread, eps=eps)
    factor = np.minimum(offset + slope * cell_mean(hit, place)[place], 1.0)
    return np.where(advantage < 0, factor * advantage, advantage)
