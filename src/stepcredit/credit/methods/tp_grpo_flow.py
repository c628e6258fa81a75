"""TurningPoint-GRPO: steps earn what they change, and steps that turn the trend what comes of it."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout, Paths
from stepcredit.ops import cells, center, place, scan, turn_cells

CARD = Card(
    title="TP-GRPO: Alleviating Sparse Rewards by Modeling Step-Wise and Long-Term Sampling Effects in Flow-Based GRPO",
    paper="arXiv:2602.06422",
    bibtex="""@article{tong2026turningpoint,
  title={Alleviating Sparse Rewards by Modeling Step-Wise and Long-Term Sampling Effects in Flow-Based GRPO},
  author={Tong, Yunze and Liu, Mushui and Zhao, Canyu and He, Wanggui and Zhang, Shiyi and Zhang, Hongwei and others},
  journal={arXiv:2602.06422}, year={2026}}""",
    code="https://github.com/YunzeTong/TurningPoint-GRPO",
    evidence="official code executed",
    needs="the reward of a deterministic completion before and after each step (`value`, `next_value`), one outcome "
    "per rollout, several rollouts per prompt",
    bias="Compared are the prompt's steps of one index: action-independent only where histories are alike, as at the "
    "first step. A completion is one sample of its state's value. A step that turns the trend is paid for all that "
    "comes after it, so increments along a rollout no longer sum to its gain. Signs of small changes are noise.",
    departures="That turning points are paid the rest R - V(before) instead of their increment, in two definitions "
    "(consistent or not), and are balanced over the batch, is the paper's as its readers quote it, and what the "
    "launch scripts set: preset official; the configuration file's own defaults, which they override, are preset "
    "config. The scripts rank by the rollout's gain (balance_by) what they balance; ties are cut by order there, and "
    "kept in part here. Where a bonus is exactly 0 the code keeps the increment. Bonuses that start later in training "
    "are the caller's.",
    cost="one deterministic completion and one reward per step, and one for the start",
    pools={"balance": True, "spread_over": "batch"},
)

Part = Literal["increment", "gain", "outcome"]
Bonus = Literal["rest", "increment", "gain", "outcome", "none"]

PRESETS = {
    "official": Preset(
        {"balance": True, "balance_by": "gain"},
        "TurningPoint-GRPO 994d26a scripts/single_node/common_op3.sh and multi_node, my_train_sd3_fast_with_op3.py",
    ),
    "unconstrained": Preset(
        {"first": "agree", "consistent": False}, "the paper's first definition of turning points, without constraint"
    ),
    "config": Preset(
        {"main": "gain", "bonus": "increment", "replace": False, "first": "agree", "consistent": False},
        "TurningPoint-GRPO 994d26a config/my_grpo.py as it stands (the launch scripts override it)",
    ),
}


def grouping(layout: Layout) -> dict[str, Ints]:
    """Where steps are compared: the prompt's steps of one index."""
    return {"step index": turn_cells(layout)}


def tp_grpo_flow(
    layout: Layout,
    value: Floats,
    next_value: Floats,
    outcome: Floats,
    *,
    main: Part = "increment",
    bonus: Bonus = "rest",
    replace: bool = True,
    eta: float = 1.0,
    first: Literal["none", "agree", "consistent"] = "consistent",
    consistent: bool = True,
    positive_only: bool = False,
    any_flip: bool = False,
    balance: bool = False,
    balance_by: Literal["bonus", "gain"] = "bonus",
    propagate: bool = False,
    spread_over: Literal["group", "batch"] = "group",
    eps: float = 1e-4,
) -> Floats:
    """Credit of a step: what it is paid, compared with the prompt's steps of the same index.

        A_t = (r_t - mean r) / (std r + eps)          population spread, over the prompt's t-th steps
        r_t = main_t, plus (or, with replace, instead) eta * bonus_t where t is a turning point
        d_t = V_t - V_{t-1},  gain = R - V_0,  rest_t = R - V_{t-1},  s_t = sign(d_t) sign(gain)

    t is a turning point if s_{t-1} < 0 < s_t: the step before went against the rollout's trend, this one with it.

    Args:
        value: [S] V_{t-1}, reward of the completion from before the step. next_value: [S] V_t, from after it.
        outcome: [R] R, reward of the rollout itself; NaN = unknown, left out and not judged.
        main: what an ordinary step is paid. bonus: what a turning point is paid ("none": no turning points).
        replace: whether the bonus stands instead of the main part.
        eta: weight of the bonus.
        first: whether a first step is a turning point: never ("none"), if s_1 > 0 ("agree"), if d_1 also has the sign
            of R - V_1 ("consistent").
        consistent: whether later turning points need d_t to have the sign of R - V_t.
        positive_only: only in rollouts that gained (first steps aside).
        any_flip: turning points are where d_t d_{t-1} < 0, whatever the trend (first steps aside).
        balance: keep as many turning points of positive as of negative bonus in the batch, the largest first (equal
            ones in equal parts); all, if one sign is missing. balance_by: what is signed and ranked, the "bonus" or
            the rollout's "gain".
        propagate: turning points of positive rest pay later steps too, those of negative rest earlier ones: a step
            gets k times its own rest, k = how many such turning points (the own one included) reach it.
        spread_over: the "group", or the whole "batch" at the step index.
        eps: added to the spread.

    Returns:
        [S] credit. An index that one rollout reached gets 0.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> v = np.array([0.5, 0.4, 0.5, 0.7])
    >>> tp_grpo_flow(two, v, np.array([0.4, 0.6, 0.7, 0.6]), np.array([0.8, 0.5]), eps=0.0)
    array([-1.,  1.,  1., -1.])
    """
    paths = layout.paths
    before, after, end = layout.along(value), layout.along(next_value), np.asarray(outcome, float)[paths.rollout]
    d, rest, gain = after - before, end - before, end - before[paths.start[:-1][paths.rollout]]
    paid = {"increment": d, "rest": rest, "gain": gain, "outcome": end, "none": 0.0 * d}
    s = np.sign(d) * np.sign(gain)
    turns = _last(paths, d) * d < 0 if any_flip else (_last(paths, s) < 0) & (s > 0)
    if positive_only:
        turns &= gain > 0
    agrees = np.sign(d) * np.sign(end - after) > 0
    if consistent:
        turns &= agrees
    opens = (s > 0) & (agrees | (first == "agree")) & (first != "none")
    times = (np.where(paths.turn == 0, opens, turns) & (bonus != "none")).astype(float)
    if balance:
        times = _balanced(times, paid[bonus if balance_by == "bonus" else "gain"], layout.batches[paths.rollout])
    if propagate:
        times = _reach(paths, times * (rest < 0), times * (rest > 0))
    r = paid[main] * (1.0 - replace * np.minimum(times, 1.0)) + eta * times * (rest if propagate else paid[bonus])
    reward = layout.merge(np.where(np.isnan(gain), np.nan, r))
    over = None if spread_over == "group" else cells(layout.batches[layout.rollout], layout.turn)
    return center(reward, turn_cells(layout), spread="population", spread_by=over, eps=eps)


def _last(paths: Paths, x: Floats) -> Floats:
    """[P] the value one step before; 0 at a first step."""
    out = np.zeros_like(x)
    out[1:] = x[:-1]
    out[paths.turn == 0] = 0.0
    return out


def _balanced(times: Floats, amount: Floats, batch: Ints) -> Floats:
    """As many turning points of either sign in each batch, the largest first; all, where one sign is missing. Where
    equal ones compete for the last places, each is kept in part."""
    up, down = (times > 0) & (amount > 0), (times > 0) & (amount < 0)
    size = int(batch.max(initial=-1)) + 1
    places = np.minimum(np.bincount(batch[up], minlength=size), np.bincount(batch[down], minlength=size))[batch]
    at = np.flatnonzero(up | down)
    side = 2 * batch[at] + up[at]
    before = place(side, -np.abs(amount[at]))
    tied = cells(side, before)
    out = np.where(places == 0, times, 0.0)
    some = places[at] > 0
    out[at[some]] = np.clip((places[at] - before) / np.bincount(tied)[tied], 0.0, 1.0)[some]
    return out


def _reach(paths: Paths, down: Floats, up: Floats) -> Floats:
    """[P] turning points that reach each step: downward ones from here on, upward ones up to here."""
    so_far = np.cumsum(up)
    earlier = np.asarray(so_far - up)[paths.start[:-1][paths.rollout]]
    reach: Floats = scan(down, 1.0, paths.left) + so_far - earlier
    return reach
