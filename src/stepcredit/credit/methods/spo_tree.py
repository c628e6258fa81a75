"""SPO-tree and kin: a step is worth what it changes of the value of its prefix, read off a tree of samples."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Holds, Preset
from stepcredit.data.layout import Floats, Tree
from stepcredit.ops import backup, center, edge_advantage
from stepcredit.ops.tree import Backup

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
    "is not rewarded; with root_weight it is no telescoping sum, and each step of a good branch is paid for the whole "
    "branch. spread='population' weighs forks with little between them up.",
    departures="None in SPO's formula. Its code then drops segments of credit 0 and texts of no length, replays "
    "segments for some iterations, and masks tokens of probability above 0.9: steps of the caller. Of TreePS-RAG no "
    "code is public and its formula was not at hand: by='leaves' is its Monte Carlo estimate, the two forms of its "
    "advantage and the normalization are derived (the second form and damp are TreeRL's, as its paper has them).",
    holds=frozenset({"shift"}),
)

_SHIFT: frozenset[Holds] = frozenset({"shift"})
_TREEPS_RAG = "no code or formula at hand: leaf means as summaries of the paper say; the advantage is derived, "

PRESETS = {
    "rloo": Preset({"spread": "none"}, "SPO tree_episode_generator.py, its default: V(child) - V(parent)"),
    "grpo": Preset({"spread": "population"}, "SPO tree_episode_generator.py, over the spread of the siblings"),
    "treeps_rag": Preset(
        {"by": "leaves"},
        _TREEPS_RAG + "form (a): what the step adds",
        holds=_SHIFT,
        system="treeps_rag",
        title="TreePS-RAG: Tree-based Process Supervision for Reinforcement Learning in Agentic RAG",
        paper="arXiv:2601.06922",
        bibtex="""@article{zhang2026treepsrag,
  title={TreePS-RAG: Tree-based Process Supervision for Reinforcement Learning in Agentic RAG},
  author={Zhang, Tianhua and Li, Kun and Li, Junan and Li, Yunxiang and Luo, Hongyin and Wu, Xixin and others},
  journal={arXiv:2601.06922}, year={2026}}""",
        evidence="derived",
    ),
    "treeps_rag-root": Preset(
        {"by": "leaves", "root_weight": 1.0}, _TREEPS_RAG + "form (b): and what it is above the prompt", holds=_SHIFT
    ),
}


def spo_tree(
    tree: Tree,
    outcome: Floats,
    *,
    by: Backup = "children",
    spread: Literal["none", "population"] = "none",
    root_weight: float = 0.0,
    damp: bool = False,
    normalize: Literal["none", "sample", "population"] = "none",
    eps: float = 1e-8,
) -> Floats:
    """Credit of a step (an edge of the tree): the value after it minus the value before it.

        A(x) = V(x) - V(parent of x) + root_weight * (V(x) - V(prompt))
        V(x) = mean of V over the children of x; the outcome at a leaf       by "children"
        V(x) = mean outcome of the rollouts that pass x                      by "leaves"

    Args:
        outcome: [R] verdict on each rollout, one per leaf; NaN = unknown, left out.
        by: the two differ where a tree is unbalanced.
        spread: "population" divides V(x) - V(parent) by the spread of the parent's children (+ eps), "none" does not.
        root_weight: weight of the step's value above the prompt's.
        damp: whether A(x) is divided by the root of the number of (judged) rollouts that pass x.
        normalize: "sample" or "population" then compares A(x) with all nodes of the prompt's tree: minus their mean,
            over their spread (+ eps).
        eps: added to the spreads.

    Returns:
        [S] credit, in units of the outcome where nothing is divided by a spread. A fork with equal children gives 0,
        and so does a step that is the only one to follow (unless root_weight or normalize are set).

    >>> from stepcredit.data.layout import Paths
    >>> shared = Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2]))
    >>> tree = Tree(group=np.array([0, 0]), rollout=np.array([0, 0, 1]), shared=shared)
    >>> spo_tree(tree, np.array([1.0, 0.0]))
    array([ 0. ,  0.5, -0.5])
    """
    nodes = backup(tree, outcome, by=by)
    credit = edge_advantage(tree, nodes.value)
    if spread != "none":
        width = nodes.spread[tree.parent]
        scaled = np.divide(credit, width + eps, out=np.zeros(tree.S), where=width > 0)
        credit = np.where(np.isnan(credit), np.nan, scaled)
    if root_weight:
        credit = credit + root_weight * (nodes.value[: tree.S] - nodes.value[tree.S :][tree.step_group])
    if damp:
        judged = (~np.isnan(outcome)).astype(float)[tree.paths.rollout]
        credit = credit / np.sqrt(np.maximum(np.bincount(tree.paths.rows, weights=judged, minlength=tree.S), 1.0))
    return credit if normalize == "none" else center(credit, tree.step_group, spread=normalize, eps=eps)
