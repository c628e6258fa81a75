"""stepcredit's own method: rollouts of a prompt as one graph of states, its values by Bayesian backups."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import Graph, Walk, cells, chance_above, log_beta, state_graph

CARD = Card(
    title="Graph: Bayesian credit on the graph of states",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    needs="one outcome per rollout, several rollouts per prompt, the state each step was taken in (and, where what "
    "follows is random or states rarely repeat, what was done: `action`)",
    bias="The baseline is the mean over the actions seen in the state, pulled to what the batch says of states met as "
    "early, so it depends on the actions weakly: less the more often the state was met. Where states never repeat, "
    "late steps get most of the outcome's surprise. Length is not rewarded.",
    departures="None: this is the definition.",
    holds=frozenset({"shift"}),
    waives={
        "other_prompts": "priors (how much values differ, how far states alias) and the scale of two outcomes are "
        "learned from the batch"
    },
)

PRESETS = {
    "quality": Preset(
        {"output": "quality"},
        "the chance that success is still possible after the step: a score to rank and filter steps, no advantage",
        waives={"equal_rollouts": "a quality has no baseline"},
    )
}

_STRENGTHS: Floats = np.exp2(np.arange(-3.0, 7.0))
_STRONGEST = 2.0  # of an advantage: under a good policy few states are bad, and must show after a few visits
_ALIAS: Floats = np.exp2(np.arange(-2.0, 10.0))
_UNSEEN: Floats = np.exp2(np.arange(-4.0, 6.0))
_LEVELS = 9  # of their own; later ones are alike
_ENDS = _LEVELS + 1
_RARE = 0.2  # a mean from which down models are taken to choose good steps more often
_DEAD = 1 / 3  # chance to be above the floor, below which a state is taken for dead
_SHARED = 4.0  # visits: against `alias`, how much of what is unexplained is history and not luck
_WIDER = 1.2  # of the standard error: priors are fitted to the same batch, and values of neighbors hang together


def stepcredit_graph(
    layout: Layout,
    outcome: Floats,
    state: Ints,
    next_state: Ints,
    action: Ints | None = None,
    *,
    output: Literal["advantage", "quality"] = "advantage",
    strength: float | None = None,
    alias: float | None = None,
    floor: float = 0.001,
) -> Result:
    """Credit of a step: how much more its action is worth than the state it was taken in, given all rollouts.

        Q(s, a) = mean over the visits of [w_l (S_l + k_t m_t) / (n_l + k_t) + (1 - w_l) V(t)]
        w_l     = n_l / (n_l + 1 / (1 / alias + 1 / x_t))
        V(s)    = (sum_a n_a Q(s, a) + (outcomes of visits that ended in s) + h_s m_s) / (n_s + h_s)
        credit  = Q(s, a) - V(s) + (R - S_z / n_z) / T * 4 / (4 + alias),  z: the link of the last step
        quality = P(v > floor),  v ~ Beta(k_t m_t + S_t, k_t (1 - m_t) + n_t - S_t)

    l = (s, a, t) is what was done and where it led, n its visits, S the sum of their outcomes, scaled to [0, 1]
    (over the batch if they have two values, else over the prompt). All else is fitted to the batch:

    - m, k: mean and strength (in visits; of an advantage 2 at most) of a value before anything is seen, per depth, ends
      apart (beta-binomial). m
      is moved by how the prompt does and, where success is rare (m <= 0.2), by the share of the prompt's rollouts that
      come by; values of prompts that do better differ more, k ~ m^-1/2.
    - alias: how many visits the value of t is worth to one of the ways that lead there: large where states say all that
      matters, near 0 where equal states hide different histories. x_t: what V(t) knows beyond k_t and the link's own
      outcomes, in visits, V (1 - V) / var - 1 - n_l - k_t.
    - h: how many visits the actions not seen are worth: concentration of a Chinese restaurant process, from how many
      distinct actions the visits of states met as early chose; k at most.

    The last term shares among the T steps of a rollout what the way it ended does not explain: if states hide histories
    it may be any step's; if they do not, it is luck. In a state whose value is below the floor with a chance above two
    thirds credit is 0.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of everything and not judged.
        state: [S] id of the state each step was taken in.
        next_state: [S] id of the state after the step; counts after a last step.
        action: [S] id of what was done; names what followed where the next state is met once only.
        output: "advantage" (Q - V; 0 in a prompt of equal outcomes), or "quality": the chance that success is still
            possible after the step.
        strength: how many visits the expected value of a node is worth; None: fitted, per depth.
        alias: how many visits the value of a node is worth to one of the ways there; None: fitted. 0: every way is
            judged by its own rollouts alone.
        floor: a value below it counts as no chance.

    Returns:
        [S] credit in units of the outcome (a chance for "quality") and its standard error, widened so that 1.645 of
        them hold about 90% of true advantages over many kinds of worlds; in single kinds between 70% and 99%.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 1]))
    >>> zeros, after = np.zeros(2, np.int64), np.array([1, 2])
    >>> stepcredit_graph(two, np.array([1.0, 0.0]), zeros, after, strength=1.0, alias=0.0).credit
    array([ 0.25, -0.25])
    """
    finite = all(x is None or np.isfinite(x) for x in (strength, alias))
    if not finite or not (strength is None or strength > 0) or not (alias is None or alias >= 0) or not 0 < floor < 1:
        raise StepCreditError(
            f"stepcredit_graph: got {strength=}, {alias=}, {floor=}",
            hint="strength is above 0, alias 0 or more, floor between 0 and 1",
        )
    paths = layout.paths
    out, sd = np.full((2, paths.rows.size), np.nan)
    outcome = np.asarray(outcome, float)
    known = ~np.isnan(outcome)
    for number in range(int(layout.batches.max(initial=-1)) + 1):
        rollouts = known & (layout.batches == number)
        at = np.flatnonzero(rollouts[paths.rollout])
        if at.size == 0:
            continue
        rollout, rows = paths.rollout[at], paths.rows[at]
        scaled, span, differ = _scaled(layout.group[rollout], outcome[rollout])
        walk = Walk(
            layout.group[rollout],
            paths.turn[at],
            paths.left[at],
            scaled,
            state[rows],
            next_state[rows],
            None if action is None else action[rows],
        )
        nodes = state_graph(walk)
        mean, k = _prior(nodes, strength, _STRENGTHS[-1] if output == "quality" else _STRONGEST)
        if output == "quality":
            q = _alive(nodes, mean, k, floor, np.arange(nodes.size))[nodes.t]
            out[at], sd[at] = q, np.sqrt(q * (1 - q))
            continue
        hides = _alias(nodes, mean, k) if alias is None else alias
        credit, variance = _advantage(nodes, mean, k, hides)
        unexplained, steps = _unexplained(walk, nodes)
        shared = unexplained * _SHARED / (_SHARED + hides) / steps
        credit, variance = credit + shared, variance + steps * shared**2
        told = differ & ~_dead(nodes, mean, k, floor)[nodes.u]
        out[at], sd[at] = np.where(told, credit, 0.0) * span, _WIDER * np.sqrt(variance) * span
    return Result(layout.merge(out), sd=layout.merge(sd))


def _alive(nodes: Graph, mean: Floats, k: Floats, floor: float, at: Ints) -> Floats:
    """The chance that the values of the nodes `at` are above the floor."""
    a, b = nodes.won[at] + k[at] * mean[at], (nodes.n - nodes.won)[at] + k[at] * (1 - mean[at])
    return chance_above(floor, a, b)


def _dead(nodes: Graph, mean: Floats, k: Floats, floor: float) -> Bools:
    """[N] whether a node with steps is below the floor with a chance above two thirds."""
    dead = np.zeros(nodes.size, bool)
    acted = nodes.ends < nodes.n
    at = np.flatnonzero(acted & ((nodes.won < 1) | ((nodes.n + k) * floor > 0.5)))  # else one success is proof
    dead[at] = _alive(nodes, mean, k, floor, at) < _DEAD
    return dead


def _unexplained(walk: Walk, nodes: Graph) -> tuple[Floats, Floats]:
    """[P] outcome of the step's rollout less the mean of those that its last link was part of, and its steps."""
    rollout = np.cumsum(walk.turn == 0) - 1
    link = nodes.link[walk.left == 0]
    rest = walk.outcome[walk.left == 0] - nodes.link_won[link] / nodes.link_n[link]
    return rest[rollout], np.bincount(rollout).astype(float)[rollout]


def _scaled(group: Ints, reached: Floats) -> tuple[Floats, Floats, Bools]:
    """[P] outcomes from 0 to 1, the size of that scale, and whether the prompt's outcomes differ.

    Two values in the batch are failure and success. Where there are more each prompt has a scale of its own, so that no
    prompt's rewards, however large, drown those of others; one of equal outcomes is then 1 above the median, else 0.
    """
    low, high = np.full(int(group.max()) + 1, np.inf), np.full(int(group.max()) + 1, -np.inf)
    np.minimum.at(low, group, reached)
    np.maximum.at(high, group, reached)
    differ = (low < high)[group]
    least, most = reached.min(), reached.max()
    if np.all((reached == least) | (reached == most)):
        span = most - least
        scaled = (reached - least) / span if span > 0 else (reached > 0).astype(float)
        return scaled, np.full(group.size, span), differ
    spans = (high - low)[group]
    above = (reached > np.median(reached)).astype(float)
    return np.divide(reached - low[group], spans, out=above, where=differ), spans, differ


def _prior(nodes: Graph, strength: float | None, most: float) -> tuple[Floats, Floats]:
    """[N] mean and strength, `most` at most, of a node's value before its own visits are seen."""
    kind = np.where(nodes.ends >= nodes.n, _ENDS, np.minimum(nodes.level, _LEVELS))
    of_kind, k = _fit(nodes, kind, _STRENGTHS[most >= _STRENGTHS] if strength is None else np.array([strength]))
    rollouts, won = (np.bincount(nodes.group, weights=x) for x in (nodes.starts, nodes.starts_won))
    overall = won.sum() / rollouts.sum()
    prompt = _logit((won + k[0] * overall) / np.maximum(rollouts + k[0], 1e-9)) - _logit(overall)
    mean = _expit(_logit(of_kind[kind]) + prompt[nodes.group])
    k_node = np.clip(k[kind] * np.sqrt(of_kind[kind] / mean), _STRENGTHS[0] / 2, most)
    if strength is not None:
        k_node = np.full(nodes.size, float(strength))
    pull = (of_kind <= _RARE)[kind] & (nodes.level > 0)
    shared = mean * np.minimum(nodes.n / rollouts[nodes.group], 1.0)
    size = of_kind.size
    weight = np.bincount(kind[pull], weights=(nodes.n * shared)[pull], minlength=size)
    had = np.bincount(kind[pull], weights=(nodes.n * mean)[pull], minlength=size)
    keep = np.divide(had, weight, out=np.ones(size), where=weight > 0)
    return np.where(pull, np.clip(shared * keep[kind], 1e-4, 1 - 1e-4), mean), k_node


def _fit(nodes: Graph, kind: Ints, strengths: Floats) -> tuple[Floats, Floats]:
    """Mean of each kind of node, and the strength of the likeliest beta-binomial around it.

    Nodes met once say nothing of the strength, so it is drawn to one visit; that of ends, which mostly decide, to less.
    """
    size = int(kind.max()) + 1
    cell = cells(kind, nodes.n.astype(np.int64), _ids(nodes.won))
    one = np.zeros(int(cell.max()) + 1, np.int64)
    one[cell] = np.arange(cell.size)
    count, at, n, won = np.bincount(cell), kind[one], nodes.n[one], nodes.won[one]
    visits = np.bincount(at, weights=count * n, minlength=size)
    total = np.bincount(at, weights=count * won, minlength=size)
    mean = np.clip(np.divide(total, visits, out=np.full(size, 0.5), where=visits > 0), 0.003, 0.97)
    a = mean[at] * strengths[:, None]
    b = (1 - mean[at]) * strengths[:, None]
    gain = count * (log_beta(a + won, b + n - won) - log_beta(a, b))
    fit = np.array([np.bincount(at, weights=row, minlength=size) for row in gain])
    usual = np.where(np.arange(size) == _ENDS, _STRENGTHS[0], 1.0)
    best = np.argmax(fit - 0.1 * (np.log2(strengths)[:, None] - np.log2(usual)) ** 2, axis=0)
    return mean, strengths[best]


def _unseen(nodes: Graph) -> Floats:
    """[N] how many visits the actions not seen there are worth: the likeliest concentration per level."""
    level = np.minimum(nodes.level, _LEVELS)
    first = np.flatnonzero(np.diff(nodes.link_action, prepend=-1))
    distinct = np.bincount(nodes.link_u[first], minlength=nodes.size)
    visits = np.bincount(nodes.link_u, weights=nodes.link_n, minlength=nodes.size).astype(np.int64)
    acted = np.flatnonzero(visits)
    cell = cells(level[acted], distinct[acted], visits[acted])
    one = np.zeros(int(cell.max()) + 1, np.int64)
    one[cell] = acted
    count, at, d, n = np.bincount(cell), level[one], distinct[one], visits[one]
    h = _UNSEEN[:, None]
    gain = count * (d * np.log(h) + log_beta(h, n))
    fit = np.array([np.bincount(at, weights=row, minlength=int(level.max()) + 1) for row in gain])
    best = np.argmax(fit - 0.1 * np.log2(_UNSEEN)[:, None] ** 2, axis=0)
    return np.asarray(_UNSEEN[best][level])


def _alias(nodes: Graph, mean: Floats, k: Floats) -> float:
    """How many visits the value of a node is worth to one link into it: the likeliest, by how the outcomes of the link
    fit those of the other ways to the node. Links that are about alike are counted together."""
    t, n, won = nodes.link_t, nodes.link_n, nodes.link_won
    others = nodes.n[t] - n
    some = (others > 0) & (n > 1) & (nodes.level[t] > nodes.level[nodes.link_u])  # one visit fits any alias alike
    if not some.any():
        return float(_ALIAS[-1])
    t, n, won, others = t[some], n[some], won[some], others[some]
    total = others + k[t]
    expected = (nodes.won[t] - won + k[t] * mean[t]) / total
    bins = (np.round(4 * x).astype(np.int64) for x in (_logit(expected), np.log2(total)))
    cell = cells(n.astype(np.int64), _ids(won), *bins)
    count = np.bincount(cell)
    p, s, n, won = (np.bincount(cell, weights=x) / count for x in (expected, total, n, won))
    size = 1 / (1 / _ALIAS[:, None] + 1 / s)
    a, b = np.maximum(size * p, 1e-6), np.maximum(size * (1 - p), 1e-6)
    return float(_ALIAS[np.argmax((log_beta(a + won, b + n - won) - log_beta(a, b)) @ count)])


def _advantage(nodes: Graph, mean: Floats, k: Floats, alias: float) -> tuple[Floats, Floats]:
    """[P] Q - V of each step and its variance; values from the last nodes up to the roots."""
    u, t, n = nodes.link_u, nodes.link_t, nodes.link_n
    forward = nodes.level[t] > nodes.level[u]
    unseen = np.minimum(_unseen(nodes), k)
    own = (nodes.link_won + k[t] * mean[t]) / (n + k[t])
    own_var = own * (1 - own) / (n + k[t] + 1)
    value, spread = mean.copy(), mean * (1 - mean) / (k + 1)
    q, q_var = np.empty(n.size), np.empty(n.size)
    last = int(nodes.level[-1])
    node_at = np.searchsorted(nodes.level, np.arange(last + 2))
    link_at = np.searchsorted(u, node_at)
    for level in range(last, -1, -1):
        x, at = slice(*node_at[level : level + 2]), slice(*link_at[level : level + 2])
        to, visits, after = u[at] - x.start, n[at], t[at]
        knows = value[after] * (1 - value[after]) / np.maximum(spread[after], 1e-12) - 1 - visits - k[after]
        s = 1 / (1 / max(alias, 1e-12) + 1 / np.maximum(knows, 1e-9))
        w = np.where(forward[at], visits / (visits + s), 1.0)  # a way back is not yet known: its own outcomes
        q[at] = w * own[at] + (1 - w) * value[after]
        q_var[at] = w**2 * own_var[at] + (1 - w) ** 2 * spread[after]
        size, p, ends, ends_won = x.stop - x.start, mean[x], nodes.ends[x], nodes.ends_won[x]
        weight = np.bincount(to, weights=visits, minlength=size) + ends + unseen[x]
        v = (np.bincount(to, weights=visits * q[at], minlength=size) + ends_won + unseen[x] * p) / weight
        away = np.bincount(to, weights=visits * (q[at] - v[to]) ** 2, minlength=size) + ends_won * (1 - v) ** 2
        away += (ends - ends_won) * v**2 + unseen[x] * ((p - v) ** 2 + p * (1 - p) / 2)
        noise = np.bincount(to, weights=visits**2 * q_var[at], minlength=size)
        value[x] = v
        spread[x] = away / weight / (weight + 1) + noise / weight**2
    action, one = nodes.link_action, np.flatnonzero(np.diff(nodes.link_action, prepend=-1))
    total = np.bincount(action, weights=n)
    worth, worth_var = np.bincount(action, weights=n * q) / total, np.bincount(action, weights=n**2 * q_var) / total**2
    here = u[one]
    visited = np.bincount(u, weights=n, minlength=nodes.size) + nodes.ends + unseen
    part = total / visited[here]
    rest = np.maximum(spread[here] - part**2 * worth_var, 0.0)
    credit, variance = worth - value[here], (1 - part) ** 2 * worth_var + rest
    step = action[nodes.link]
    return credit[step], variance[step]


def _ids(x: Floats) -> Ints:
    """[n] an id per value; most outcomes are 0 and 1, and sums of those are ids already."""
    whole = x.astype(np.int64)
    return whole if np.all(whole == x) else np.unique(x, return_inverse=True)[1].astype(np.int64, copy=False)


def _expit(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def _logit(p: Floats) -> Floats:
    q = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(q / (1 - q)))
