"""PORTool: forks are compared by how near a success they lead, rollouts by how they ended."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Floats, Ints, Tree
from stepcredit.ops import center, outcome_ahead, sibling_cells
from stepcredit.ops.center import Spread
from stepcredit.ops.tree import Descendants

CARD = Card(
    title="PORTool: Tool-Use LLM Training with Rewarded Tree",
    paper="arXiv:2510.26020",
    bibtex="""@article{wu2025portool,
  title={PORTool: Tool-Use LLM Training with Rewarded Tree},
  author={Wu, Feijie and Zhu, Weiwu and Zhang, Yuxiang and Chatterjee, Soumya and Zhu, Jiarong and Mo, Fan and others},
  journal={arXiv:2510.26020}, year={2025}}""",
    evidence="derived",
    needs="a tree of samples (rollouts that share steps), one outcome of 0 or 1 per rollout; optionally whether each "
    "step's tool calls were well formed and ran (`grounded`)",
    bias="Both baselines are means (of siblings, of the prompt's rollouts) that hold the step's own value and do not "
    "depend on the action. The best of a step's rollouts is an optimist: it grows with the rollouts that pass. gamma "
    "below 1 pays short ways to success. A shared step gets the mean of its rollouts' terms.",
    departures="No code is public and the formulas were not at hand: the abstracts (of both versions, the second is "
    "called Importance-Aware Policy Optimization with Rewarded Tree) and summaries name the step reward (does any "
    "descendant succeed, well-formed calls, a decay gamma = 0.95), the two advantages and their weights w1 and w2; "
    "where the decay stands, best or mean, the spreads and the other constants are derived.",
)

PRESETS = {
    "mean": Preset({"descendants": "mean"}, "the mean over the rollouts through a step, not the best (derived)"),
}


def grouping(tree: Tree) -> dict[str, Ints]:
    """Where steps are compared: those that follow the same step."""
    return {"siblings": sibling_cells(tree)}


def portool(
    tree: Tree,
    outcome: Floats,
    grounded: Ints | None = None,
    *,
    gamma: float = 0.95,
    descendants: Descendants = "best",
    format_weight: float = 0.1,
    fork_weight: float = 1.0,
    rollout_weight: float = 1.0,
    rollout_reward: Literal["outcome", "sum", "mean"] = "outcome",
    spread: Spread = "sample",
    eps: float = 1e-6,
    per_rollout: bool = False,
) -> Result:
    """Credit of a step: how its fork did among its siblings, plus how its rollouts did among those of the prompt.

        A(x) = fork_weight * center(r(x)) among the siblings of x
               + rollout_weight * mean of center(R_j) over the rollouts j that pass x
        r(x) = max of gamma^k R_j over those rollouts + format_weight * grounded(x)
        center(y) = (y - mean) / (spread + eps)

    k: steps that follow x on rollout j.

    Args:
        outcome: [R] verdict on each rollout, 0 or 1; NaN = unknown, left out.
        grounded: [S] 1 = the step's calls were well formed and ran, 0 = not, -1 = not known: no fork term, so such a
            step is not judged. None: r has no such part.
        gamma: discount per step.
        descendants: the "best" rollout through x, or their "mean".
        format_weight, fork_weight, rollout_weight: of the three parts.
        rollout_reward: what rollouts are compared by: the "outcome", or the "sum" or "mean" of r along them.
        spread: of both comparisons. eps: added to it.
        per_rollout: whether a shared step weighs in the loss once per rollout that passes it, not once.

    Returns:
        Result: credit [S]; loss_weight [S] with per_rollout. An only child has no fork term.

    >>> from stepcredit.data.layout import Paths
    >>> shared = Paths(np.array([0, 2, 4, 5]), np.array([0, 1, 0, 2, 3]))
    >>> tree = Tree(group=np.array([0, 0, 0]), rollout=np.array([0, 0, 1, 2]), shared=shared)
    >>> portool(tree, np.array([1.0, 0.0, 0.0]), gamma=0.5, rollout_weight=0.0, spread="none").credit
    array([ 0.25,  0.5 , -0.5 , -0.25])
    """
    (fork,) = grouping(tree).values()
    reward = outcome_ahead(tree, outcome, gamma, over=descendants)
    if grounded is not None:
        reward = reward + format_weight * np.where(grounded < 0, np.nan, grounded)
    whole = outcome
    if rollout_reward != "outcome":
        whole = tree.total(reward) / (np.maximum(tree.steps, 1) if rollout_reward == "mean" else 1)
        whole = np.where(np.isnan(outcome), np.nan, whole)
    rollout = center(whole, tree.group, spread=spread, eps=eps)[tree.paths.rollout]
    credit = fork_weight * center(reward, fork, spread=spread, eps=eps) + rollout_weight * tree.merge(rollout)
    return Result(credit, loss_weight=tree.visits.astype(float) if per_rollout else None)
