"""A3: how the rollout did, how its actions did beside like ones, and what its branches of the action tree are worth."""

from typing import Literal, NamedTuple

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout

CARD = Card(
    title="A3: Action Advantage Assignment (Learning CLI Agents with Structured Action Credit)",
    paper="arXiv:2605.08013",
    bibtex="""@article{su2026learning,
  title={Learning CLI Agents with Structured Action Credit under Selective Observation},
  author={Su, Haoyang and Wen, Ying},
  journal={arXiv:2605.08013}, year={2026}}""",
    code="https://github.com/Hoyant-Su/Agentic-RL-A3",
    evidence="official code executed",
    needs="one outcome per rollout in 0..1, several rollouts per prompt, and for each step which actions of other "
    "rollouts at its turn are like it (`cluster`, one clustering per length of history). Memory "
    "grows with the square of the rollouts of a prompt",
    bias="The baseline of the residual is the mean over rollouts with a like action, so it depends on the action; that "
    "of a branch holds its own rollouts. With half of the outcomes 1 the lower median is 0: winners get credit and "
    "losers none. Rollouts of different length are compared turn by turn, so late turns have few to be compared with.",
    departures="The code forces each turn's actions into a number of clusters that depends on the number of rollouts "
    "only; clusters are given here. In the code the residual of a rollout's first turn stands for all its turns "
    "(residual='rollout'); the paper speaks of turns, and residual='turn' is our reading of it. The code's 1e-9 in the "
    "weights of scopes and turns is left out: it makes a difference of exactly tau a match, which it is here too.",
    waives={"other_prompts": "each part is measured in its mean size over the batch"},
)

PRESETS = {
    "official": Preset({}, "Agentic-RL-A3 algo/A3_algo.py with train/A3_algo/config.yaml: the defaults"),
    "paper-run": Preset({"residual_weight": 0.5, "tree_weight": 1.5}, "the weights that the same config calls v0"),
}


def a3(
    layout: Layout,
    outcome: Floats,
    cluster: Ints,
    *,
    residual_weight: float = 0.65,
    tree_weight: float = 1.0,
    bound: float = 1.1,
    prior: float = 0.1,
    gamma: float = 0.9,
    tau: float = 0.05,
    decay: float = 0.84,
    floor: float = 0.5,
    eps: float = 1e-6,
    residual: Literal["rollout", "turn"] = "rollout",
) -> Floats:
    """Credit of a step: three parts, each over its mean size in the batch, squashed.

        A_t = bound tanh((B_i / |B| + residual_weight U_t / |U| + tree_weight T_t / |T|) / bound)
        B_i = tanh(z(R_i))                       z(x) = (x - lower median) / (max(1.4826 MAD, floor) + eps), per prompt
        U_t = tanh(z(u_i))                       u_i = mean over scopes of R_i - mean R of the others in its cluster,
                                                 at the rollout's first turn
        T_t = S_t / (S_t + prior + eps) * G_t    G_t = g_t + gamma G_{t+1},  S_t = s_t + gamma S_{t+1}
        g_t = s_t (mean R of the action - mean R of the state),  s_t = n / (n + prior + eps)
                                                 n rollouts took the action; both 0 where the state has one action

    Two rollouts are in one state at turn t where the clusters of their turns before it differ by at most tau: the share
    of scopes that differ, averaged with weights decay^j over turns j < t. They take one action there if the share of
    scopes that differ at t is at most tau. Both are closed over chains of such pairs.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out everywhere and not judged.
        cluster: [S, m] or [S] cluster of the action within the prompt's actions at this turn, one column per scope; -1
            = not known: like no other.
        residual_weight, tree_weight: weights of the second and the third part.
        bound: largest size of credit.
        prior: rollouts that a branch has to outweigh.
        gamma: discount per turn of what branches are worth.
        tau, decay: see above.
        floor: smallest spread of outcomes that is divided by.
        eps: added to the spread, and to the two denominators with the prior.
        residual: u is that of the "rollout"'s first turn, at every turn; or each "turn" has its own, compared by z at
            its turn.

    Returns:
        [S] credit, between -bound and bound.

    >>> four = Layout(group=np.zeros(4, int), rollout=np.arange(4))
    >>> a3(four, np.array([1.0, 0.0, 1.0, 1.0]), np.array([[0], [0], [1], [1]])).round(4)
    array([ 0.2928, -1.1   ,  0.7928,  0.7928])
    """
    turns = _turns(layout, outcome, cluster)
    walker = layout.paths.rollout

    def squashed(x: Floats, by: Ints) -> Floats:
        return np.tanh(ops.center(x, by, location="median", spread="mad", floor=floor, eps=eps))

    backbone = squashed(np.where(layout.steps > 0, outcome, np.nan), layout.group)[walker]
    beside = np.mean(
        [
            ops.center(turns.outcome, ops.cells(turns.place, c), location="others", spread="none")
            for c in turns.cluster.T
        ],
        axis=0,
    )
    if residual == "turn":
        beside = squashed(beside, turns.place)
    else:
        first = np.full(layout.R, np.nan)
        first[walker[layout.paths.turn == 0]] = beside[layout.paths.turn == 0]
        beside = squashed(first, layout.group)[walker]
    gain, support = _branches(layout, turns, tau, decay, prior + eps)
    ahead, held = (ops.scan(x, gamma, layout.paths.left) for x in (gain, support))
    tree = held / (held + prior + eps) * ahead
    batch = layout.batches[walker]

    def balanced(x: Floats) -> Floats:
        return x / (ops.cell_mean(np.abs(x), batch)[batch] + 1e-9)

    whole = balanced(backbone) + residual_weight * balanced(beside) + tree_weight * balanced(tree)
    return layout.merge(bound * np.tanh(whole / bound))


class _Turns(NamedTuple):
    """Per step of each path: place [P] prompt and turn, outcome [P], cluster [P, m] with an id of its own for -1."""

    place: Ints
    outcome: Floats
    cluster: Ints


def _turns(layout: Layout, outcome: Floats, cluster: Ints) -> _Turns:
    paths = layout.paths
    labels = (cluster if cluster.ndim == 2 else cluster[:, None])[paths.rows]
    fresh = labels.max(initial=-1) + 1 + np.arange(labels.shape[0])
    labels = np.where(labels < 0, fresh[:, None], labels)
    return _Turns(ops.cells(layout.group[paths.rollout], paths.turn), outcome[paths.rollout], labels)


def _branches(layout: Layout, turns: _Turns, tau: float, decay: float, prior: float) -> tuple[Floats, Floats]:
    """[P] gain and [P] support of each turn's branch."""
    one, two, turn = _pairs(layout, turns.outcome)
    apart = np.mean(turns.cluster[one] != turns.cluster[two], axis=1)
    weight = decay ** turn.astype(float)
    # Sums over the pair's turns before this one: along the reversed arrays these are the turns that follow.
    so_far, total = (ops.scan(x[::-1], 1.0, turn[::-1])[::-1] - x for x in (apart * weight, weight))
    alike = so_far <= tau * total + 1e-9
    size = turns.place.size
    state = ops.components(size, one[alike], two[alike])
    same = (state[one] == state[two]) & (apart <= tau + 1e-9)
    action = ops.cells(state, ops.components(size, one[same], two[same]))
    rows = np.bincount(action, minlength=1)[action]
    forked = rows != np.bincount(state, minlength=1)[state]
    support = np.where(forked, rows / (rows + prior), 0.0)
    worth = ops.cell_mean(turns.outcome, action)[action] - ops.cell_mean(turns.outcome, state)[state]
    return np.where(forked | np.isnan(turns.outcome), support * worth, 0.0), support


def _pairs(layout: Layout, outcome: Floats) -> tuple[Ints, Ints, Ints]:
    """Every two judged rollouts of a prompt at every turn that both have: two rows of paths, and the turn."""
    paths = layout.paths
    start = np.flatnonzero((paths.turn == 0) & ~np.isnan(outcome))
    start = start[np.argsort(layout.group[paths.rollout[start]], kind="stable")]
    walker, group = paths.rollout[start], layout.group[paths.rollout[start]]
    later = np.bincount(group, minlength=layout.G)[group] - 1 - ops.nth(group)
    one = np.repeat(np.arange(start.size), later)
    two = one + 1 + _within(later)
    turns = np.minimum(layout.steps[walker[one]], layout.steps[walker[two]])
    turn = _within(turns)
    return np.repeat(start[one], turns) + turn, np.repeat(start[two], turns) + turn, turn


def _within(count: Ints) -> Ints:
    """0, 1, ... count - 1 of each, one after the other."""
    return np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
