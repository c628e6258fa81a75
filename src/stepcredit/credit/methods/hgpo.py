"""HGPO: compare a step with those taken in the same state, after ever more of the same history."""

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import center, max_abs, returns, windows
from stepcredit.ops.center import Spread

CARD = Card(
    title="HGPO: Hierarchy-of-Groups Policy Optimization for Long-Horizon Agentic Tasks",
    paper="arXiv:2602.22817",
    bibtex="""@inproceedings{he2026hgpo,
  title={Hierarchy-of-Groups Policy Optimization for Long-Horizon Agentic Tasks},
  author={He, Shuo and Feng, Lang and Wei, Qi and Cheng, Xin and Feng, Lei and An, Bo},
  booktitle={ICLR}, year={2026}}""",
    code="https://github.com/langfengQ/verl-agent (recipe/hgpo)",
    evidence="official code executed",
    needs="step rewards (or an outcome), the state each step was taken in, rollouts of a prompt that start alike",
    bias="Baselines are means over the actions seen after equal states: action-independent, but they hold the step's "
    "own return. Deep cells are small, and weigh most. With gamma < 1 reaching success in fewer steps earns more. A "
    "step whose state is met once gets 0 whatever its outcome, unless base is set.",
    departures="From the official code: an item is zero where its return equals its cell's mean up to rounding; "
    "there the test is exact, so rounding decides which items are dropped (its float32 and float64 runs differ by up "
    "to 0.27). Whether the paper drops items, or counts the base group, was not established: drop_zero and base name "
    "both readings.",
    holds=frozenset({"scale"}),
)

PRESETS = {
    "verl-agent": Preset({}, "verl-agent recipe/hgpo/core_hgpo.py, mode mean_std_norm (its scripts): the defaults"),
    "verl-agent-mean": Preset({"spread": "none"}, "verl-agent recipe/hgpo/core_hgpo.py, mode mean_norm"),
    "a3": Preset(
        {"gamma": 1.0, "base_spread": "population"},
        "Agentic-RL-A3 algo/hgpo.py, exact histories (its similar ones are a way to make the states)",
    ),
}


def grouping(layout: Layout, state: Ints, *, history: int = 2) -> dict[str, Ints]:
    """Where actions are compared: by the last k states; a step with fewer states so far is alone."""
    alone, depths = layout.S + np.arange(layout.S), range(1, min(history, int(layout.turn.max(initial=0))) + 2)
    return {
        "state" if k == 1 else f"last {k} states": np.where(layout.turn < k - 1, alone, windows(layout, state, k))
        for k in depths
    }


def hgpo(
    layout: Layout,
    reward: Floats,
    state: Ints,
    *,
    history: int = 2,
    alpha: float = 1.0,
    gamma: float = 0.95,
    spread: Spread = "population",
    eps: float = 1e-6,
    base: bool = False,
    base_spread: Spread = "sample",
    drop_zero: bool = True,
) -> Floats:
    """Credit of a step: how its action did, over cells of equal state and of equal last states.

        A_t = sum_k w_k a_k / (sum_k w_k + eps)                  w_k = (k + 1)^alpha
        a_k = center(G_t)   among the prompt's steps whose last k states are equal, k = 1 .. history + 1
        a_0 = center(R_i)   over the prompt's step rows, only with base
        G_t = r_t + gamma * G_{t+1}

    A depth counts only where the rollout has k states so far and the cell holds another step.

    Args:
        reward: [S] reward received after each step.
        state: [S] id of the state each step was taken in; equal ids are comparable.
        history: states of memory before the current one; that of the agent's prompt.
        alpha: how much more deeper cells weigh; 0 = alike.
        gamma: discount per step.
        spread: of the cells: "population" divides by it, "none" only centers.
        eps: added to the spread and to the sum of weights.
        base: whether the rollout's own comparison joins as depth 0; a prompt of one row keeps its raw return there.
        base_spread: of that comparison, unless spread is "none".
        drop_zero: whether an item that is exactly average leaves the mean over depths, so that the others weigh more.

    Returns:
        [S] credit; 0 for a step without any item.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> hgpo(two, np.array([0.0, 1.0, 0.0, 0.0]), np.array([7, 8, 7, 9]), gamma=0.5, spread="none").round(3)
    array([ 0.25,  0.  , -0.25,  0.  ])
    """
    value = returns(layout, reward, gamma)
    total, weights = np.zeros(layout.S), np.zeros(layout.S)

    def add(item: Floats, weight: float, average: Floats | float) -> None:
        counts = ~np.isnan(item)
        if drop_zero:
            counts &= np.abs(item) > average
        total[counts] += weight * item[counts]
        weights[counts] += weight

    for k, cell in enumerate(grouping(layout, state, history=history).values(), 1):
        item = center(value, cell, spread=spread, eps=eps, lone="nan")
        # A return that equals its cell's mean misses 0 by rounding: of the spread, or of the returns themselves.
        rounding = 1e-12 * max_abs(value, cell)[cell] if spread == "none" else 1e-9
        add(item, (k + 1.0) ** alpha, rounding)
    if base:
        rollouts = layout.total(reward)
        how: Spread = "none" if spread == "none" else base_spread
        item = center(rollouts, layout.group, spread=how, eps=eps, lone="raw", weight=layout.steps)
        add(layout.merge(item[layout.paths.rollout]), 1.0, 1e-12)
    credit = np.divide(total, weights + eps, out=np.zeros(layout.S), where=weights > 0)
    return np.where(np.isnan(value), np.nan, credit)
