"""SPO-tree: a segment is worth what it changes of the value of its prefix, read off a tree of samples."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Tree
from stepcredit.ops import backup, edge_advantage

CARD = Card(
    title="SPO: Segment Policy Optimization (SPO-tree)",
    paper="arXiv:2505.23564",
    bibtex="""@inproceedings{guo2025spo,
  title={Segment Policy Optimization: Effective Segment-Level Credit Assignment in RL for Large Language Models},
  author={Guo, Yiran and Xu, Lijie and Liu, Jie and Ye, Dan and Qiu, Shuang},
  booktitle={NeurIPS}, year={2025}}""",
    code="https://github.com/AIFrameResearch/SPO",
    evidence="official code executed",
    per="segment",
    needs="a tree of samples (rollouts that share steps), one outcome per leaf",
    bias="The baseline V(parent) does not depend on the action, but holds the step's own value, and is as noisy as "
    "the leaves below are few. The credit along a path sums to the outcome minus the value of the prompt, so length "
    "is not rewarded. spread='population' weighs forks with little between them up.",
    departures="None in the formula. The code then drops segments of credit 0 and texts of no length, replays "
    "segments for some iterations, and masks tokens of probability above 0.9: steps of the caller.",
    holds=frozenset({"shift"}),
)

PRESETS = {
    "rloo": Preset({"spread": "none"}, "SPO tree_episode_generator.py, its default: V(child) - V(parent)"),
    "grpo": Preset({"spread": "population"}, "SPO tree_episode_generator.py, over the spread of the siblings"),
}


def spo_tree(
    tree: Tree, outcome: Floats, *, spread: Literal["none", "population"] = "none", eps: float = 1e-8
) -> Floats:
    """Credit of a step (an edge of the tree): the value after it minus the value before it.

        A(x) = V(x) - V(parent of x)
        V(x) = mean of V over the children of x; the outcome at a leaf

    Args:
        outcome: [R] verdict on each rollout, one per leaf; NaN = unknown, left out.
        spread: "population" divides by the spread of the parent's children (+ eps), "none" does not.
        eps: added to the spread.

    Returns:
        [S] credit, in units of the outcome where spread="none". A fork with equal children gives 0; a step that is the
        only one to follow gives 0.

    >>> import numpy as np
    >>> from stepcredit.data.layout import Paths
    >>> shared = Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2]))
    >>> tree = Tree(group=np.array([0, 0]), rollout=np.array([0, 0, 1]), shared=shared)
    >>> spo_tree(tree, np.array([1.0, 0.0]))
    array([ 0. ,  0.5, -0.5])
    """
    nodes = backup(tree, outcome)
    edge = edge_advantage(tree, nodes.value)
    if spread == "none":
        return edge
    width = nodes.spread[tree.parent]
    return np.where(np.isnan(edge), np.nan, np.divide(edge, width + eps, out=np.zeros(tree.S), where=width > 0))
