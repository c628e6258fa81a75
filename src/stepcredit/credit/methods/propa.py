"""PROPA: next steps sampled from one prefix are compared by how often a search that took them succeeded."""

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Floats, Ints, Tree
from stepcredit.ops import backup, cell_range, center, sibling_cells
from stepcredit.ops.center import Spread

CARD = Card(
    title="PROPA: Toward Process-level Optimization in Visual Reasoning via Reinforcement Learning",
    paper="arXiv:2511.10279",
    bibtex="""@article{jiang2025propa,
  title={PROPA: Toward Process-level Optimization in Visual Reasoning via Reinforcement Learning},
  author={Jiang, Yanbei and Lei, Chao and Ding, Yihao and Ehinger, Krista and Lau, Jey Han},
  journal={arXiv:2511.10279}, year={2025}}""",
    code="https://github.com/YanbeiJiang/PROPA",
    evidence="official code executed",
    needs="a tree of samples (a Monte Carlo tree search, its simulations as rollouts), an outcome of 0 or 1 for each",
    bias="The baseline is the plain mean over the siblings: it does not depend on the action, but holds the step's own "
    "value, and a sibling that was searched once counts as much as one that was searched often. A search goes where "
    "it succeeds, so Q is no average over the policy. Dividing by the spread pays a small difference like a large one "
    "(least takes such forks out of the loss). A step that is the only one to follow gets 0.",
    departures="The siblings' comparison and Q are the code's and summaries' of the paper; the code bends Q (boost) "
    "and trains no fork whose bent values lie within 0.1 (least): preset official. A sibling that was never searched "
    "has 0 there; here it is no rollout. The code also skips prompts without any success and hands them to "
    "supervised training: a step of the caller.",
    cost="a tree search per prompt: 4 samples and up to 4 greedy continuations per expanded node in the code",
    holds=frozenset({"scale", "shift"}),
)

PRESETS = {
    "official": Preset(
        {"boost": 10.0, "least": 0.1},
        "PROPA 8b9d77c create_GRPO_train_intern.py (log_boost, groups within 0.1 skipped), swift grpo_trainer.py",
    ),
    "population": Preset({"spread": "population"}, "the other reading of its spread; which one the paper has is open"),
}


def grouping(tree: Tree) -> dict[str, Ints]:
    """Where steps are compared: those that follow the same step."""
    return {"siblings": sibling_cells(tree)}


def propa(
    tree: Tree,
    outcome: Floats,
    *,
    boost: float = 0.0,
    spread: Spread = "sample",
    eps: float = 1e-4,
    least: float = 0.0,
) -> Result:
    """Credit of a step: how often rollouts that took it succeeded, compared with the other steps from its prefix.

        A(x) = (q(x) - mean q) / (std q + eps)       over the siblings of x
        q(x) = Q(x), or log(1 + boost Q(x)) / log(1 + boost)
        Q(x) = mean outcome of the rollouts that pass x

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out.
        boost: bends Q, kept between 0 and 1, so that small differences count more near 0; 0 = not.
        spread: of q among the siblings. eps: added to it.
        least: a fork whose q lie closer together than this leaves the loss.

    Returns:
        Result: credit [S], train_mask [S]. Equal siblings get 0.

    >>> from stepcredit.data.layout import Paths
    >>> shared = Paths(np.array([0, 2, 4, 5]), np.array([0, 1, 0, 2, 3]))
    >>> tree = Tree(group=np.array([0, 0, 0]), rollout=np.array([0, 0, 1, 2]), shared=shared)
    >>> propa(tree, np.array([1.0, 0.0, 0.0]), spread="none").credit
    array([ 0.25,  0.5 , -0.5 , -0.25])
    """
    (fork,) = grouping(tree).values()
    q = backup(tree, outcome, by="leaves").value[: tree.S]
    if boost:
        q = np.log1p(boost * np.clip(q, 0.0, 1.0)) / np.log1p(boost)
    return Result(center(q, fork, spread=spread, eps=eps), train_mask=cell_range(q, fork)[fork] >= least)
