"""BranchGRPO: nodes of one depth of a tree are compared by what comes below them; some then leave the loss."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Bools, Floats, Ints, Layout, Tree
from stepcredit.errors import MissingColumn
from stepcredit.ops import backup, center, place, turn_cells, weighted_backup

CARD = Card(
    title="BranchGRPO: Stable and Efficient GRPO with Structured Branching in Diffusion Models",
    paper="arXiv:2509.06040",
    bibtex="""@article{li2025branchgrpo,
  title={BranchGRPO: Stable and Efficient GRPO with Structured Branching in Diffusion Models},
  author={Li, Yuming and Wang, Yikai and Zhu, Yuying and Zhao, Zhongyu and Lu, Ming and She, Qi and Zhang, Shanghang},
  journal={arXiv:2509.06040}, year={2025}}""",
    code="https://github.com/Fredreic1849/BranchGRPO",
    evidence="official code executed",
    needs="a tree of samples (rollouts that share steps), one outcome per leaf; for fusion='logp' log-probabilities of "
    "the sampled tokens",
    bias="A step is compared with all of its depth, also with those that followed other steps: the baseline depends on "
    "what was done before, and a step pays for its ancestors. It holds the step's own value. Between forks a value "
    "repeats, so depths far from a fork count it again. Before the first fork everything is 0. fusion='logp' weighs "
    "long steps of a language model next to nothing, since their log-probabilities are sums.",
    departures="The project page says that fusion goes by path probability; the released script has the plain mean of "
    "leaves, and so has the default here; fusion='logp' is the code's option (a softmax at each fork). In the code "
    "compare='prompt' (use_group) gives inner nodes no number and stops there; here they get the mean of their "
    "leaves. Where pruning counts, ties of one depth stay together (the code cuts them by order, and trains a sample "
    "twice if it is best and worst). Windows that slide during training, and noise-free edges, are the caller's.",
    holds=frozenset({"scale", "shift"}),
    pools={"width": "ends"},
)

PRESETS = {
    "logp": Preset({"fusion": "logp"}, "BranchGRPO 19fbb9f train_branchgrpo_flux.py --tree_prob_weighted"),
    "group": Preset({"compare": "prompt"}, "BranchGRPO 19fbb9f --use_group, with its inner nodes given a number"),
    "width-best": Preset({"width": "best"}, "BranchGRPO 19fbb9f --width_pruning_mode 1"),
    "width-ends": Preset({"width": "ends"}, "BranchGRPO 19fbb9f --width_pruning_mode 2"),
}


def grouping(tree: Tree) -> dict[str, Ints]:
    """Where steps are compared: those of one depth of the prompt's tree."""
    return {"depth": turn_cells(tree)}


def branchgrpo(
    tree: Tree,
    outcome: Floats,
    token_old_logp: Floats | None = None,
    token_logp: Floats | None = None,
    *,
    fusion: Literal["leaves", "logp"] = "leaves",
    compare: Literal["depth", "prompt"] = "depth",
    eps: float = 1e-8,
    least: float = 1e-6,
    clip: float = 5.0,
    prune_from: int = 0,
    prune_to: int = 0,
    width: Literal["all", "best", "ends"] = "all",
    share: float = 0.5,
) -> Result:
    """Credit of a step: its value, compared with the values of all steps of its depth; and whether it trains.

        A(x) = (V(x) - mean V) / (std V + eps)      over the prompt's steps of the depth of x; 0 if std V < least
        V(x) = mean outcome of the rollouts that pass x                              fusion "leaves"
        V(x) = sum_c softmax_c(log p(c)) V(c) over the children c; a leaf's outcome  fusion "logp"

    then cut to [-clip, clip]. std: sample.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out.
        token_old_logp: [K] log-probability of each token as sampled; a step's log p is their sum, 0 without tokens.
        token_logp: [K] the same under the training policy, used where there is no token_old_logp.
        compare: "prompt" compares outcomes among the prompt's rollouts instead; a step gets the mean of its rollouts.
        eps: added to the spread. least: a smaller spread of a depth is no spread.
        prune_from, prune_to: depths (1 = first steps) that leave the loss; 0 = none, and to the deepest.
        width: which steps after the last fork on their way train, besides the first after it: "all", each branch's
            "best" share, or the best and worst halves of a share of the batch ("ends").
        share: of these steps, how much stays: at least one of a branch, two of the batch.

    Returns:
        Result: credit [S], train_mask [S]. A depth with one step gets 0.

    Raises:
        MissingColumn: fusion "logp" without log-probabilities.

    >>> from stepcredit.data.layout import Paths
    >>> shared = Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2]))
    >>> tree = Tree(group=np.array([0, 0]), rollout=np.array([0, 0, 1]), shared=shared)
    >>> branchgrpo(tree, np.array([1.0, 0.0])).credit.round(4)
    array([ 0.    ,  0.7071, -0.7071])
    """
    if compare == "prompt":
        credit = tree.merge(center(outcome, tree.group, eps=eps)[tree.paths.rollout])
    else:
        (depth,) = grouping(tree).values()
        if fusion == "leaves":
            value = backup(tree, outcome, by="leaves").value[: tree.S]
        else:
            value = weighted_backup(tree, outcome, _step_logp(tree, token_old_logp, token_logp))[: tree.S]
        apart, credit = center(value, depth, spread="none"), center(value, depth, eps=eps)
        # apart = (spread + eps) * credit, so this is spread < least.
        credit = np.where(np.abs(apart) < (least + eps) * np.abs(credit), 0.0, credit)
    credit = np.clip(credit, -clip, clip)
    mask = ~np.isnan(credit)
    if prune_from:
        mask &= (tree.depth < prune_from) | (tree.depth > (prune_to or tree.S))
    return Result(credit, train_mask=mask if width == "all" else _narrowed(tree, credit, mask, width == "best", share))


def _step_logp(layout: Layout, old: Floats | None, new: Floats | None) -> Floats:
    logp, own = new if old is None else old, layout.tokens >= 0
    if logp is None:
        raise MissingColumn(
            "branchgrpo with fusion='logp' needs the log-probability of each sampled token: column 'token_old_logp' "
            "[K] or 'token_logp' [K]; the batch holds neither",
            hint="keep the sampler's log-probabilities, or use fusion='leaves'",
        )
    return np.bincount(layout.tokens[own], weights=np.asarray(logp, float)[own], minlength=layout.S).astype(float)


def _narrowed(tree: Tree, credit: Floats, mask: Bools, best: bool, share: float) -> Bools:
    """The mask with fewer of the steps after the last fork on their way, the first after it left alone."""
    before, single = tree.previous, tree.visits == 1
    tail = np.flatnonzero(mask & single & (before >= 0) & single[before])
    branch = tree.rollout[tail] if best else tree.batches[tree.rollout[tail]]
    stay = np.floor(np.bincount(branch) * share)[branch] if tail.size else np.zeros(0)
    # Along a branch values repeat: what differs by rounding only is equal, and the shallower comes first.
    a, depth = np.round(credit[tail], 9), tree.depth[tail]
    if best:
        kept = place(branch, -a, depth) < np.maximum(stay, 1)
    else:
        stay = np.maximum(stay, 2)
        kept = (place(branch, -a, depth) < stay // 2) | (place(branch, a, -depth) < stay - stay // 2)
    out = mask.copy()
    out[tail] = kept
    return out
