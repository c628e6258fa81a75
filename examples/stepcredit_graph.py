"""A method of our own in the making: rollouts of a prompt as one graph of states, values by Bayesian backups.

    stepcredit compare runs.jsonl -M grpo -M salt -M examples/stepcredit_graph.py

Not in the list of methods yet: it takes 3 to 12 times as long as SALT, loops over the levels of the graph (so over the
turns of the longest rollout), and one of its priors needs other data than that which it was looked at on. What was
measured: docs/design/graph-method.md.
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.data.encode import dense
from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.ops import cells

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
    waives={"other_prompts": "priors (how much values differ, how far states alias) are learned from the batch"},
)

PRESETS = {
    "quality": Preset(
        {"output": "quality"},
        "the chance that success is still possible after the step: a score to rank and filter steps, no advantage",
        waives={"equal_rollouts": "a quality has no baseline"},
    )
}

_STRENGTHS: Floats = np.exp2(np.arange(-3.0, 7.0))
_SLABS: Floats = np.exp2(np.arange(6.0))
_MEANS = np.array([0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7])
_ALIAS = 2.0 ** np.arange(-2, 10)
_LEVELS = 9


class _Paths(NamedTuple):
    """Rows in the order of walking: prompt, turn, steps left, outcome, and the ids of state, next state, action."""

    group: Ints
    turn: Ints
    left: Ints
    outcome: Floats
    state: Ints
    next_state: Ints
    action: Ints | None


class _Graph(NamedTuple):
    """Nodes are states of a prompt, links are (state, action, next state), each counted with its outcomes.

    u, t, link: [P] node before, node after and link of each row. n, won: [N] visits and their outcomes.
    """

    u: Ints
    t: Ints
    link: Ints
    edge: Ints
    level: Ints
    root: Bools
    n: Floats
    won: Floats
    ends: Floats
    ends_won: Floats
    group: Ints
    link_u: Ints
    link_t: Ints
    link_edge: Ints
    link_n: Floats
    link_won: Floats

    @property
    def size(self) -> int:
        return self.n.size


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
    dead: float = 0.01,
) -> Result:
    """Credit of a step: how much more its action is worth than the state it was taken in, given all rollouts.

        Q(s, a) = mean over the visits of [w_l (S_l + k m) / (n_l + k) + (1 - w_l) V(t)],  w_l = n_l / (n_l + alias)
        V(s)    = (sum_a n_a Q(s, a) + k m_s) / (n_s + k)
        credit  = Q(s, a) - V(s)

    l = (s, a, t) is what was done and where it led, n_l its visits, S_l their outcomes. The mean m and strength k of
    values before anything is seen are fitted to the batch per depth (beta-binomial; ends apart); m is shifted by how
    the prompt does and, where success is rare, by how often the step is chosen. `alias` says how many visits the value
    of t is worth to one of the ways that lead there: large where states say all that matters, near 0 where equal
    states hide different histories. It is fitted to the batch too.

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of everything and not judged.
        state: [S] id of the state each step was taken in.
        next_state: [S] id of the state after the step.
        action: [S] id of what was done; names what followed where the next state is met once only.
        output: "advantage" (Q - V; 0 in a prompt of equal outcomes), or "quality": the chance that success is still
            possible after the step (geometric mean with the chance that it was so all the way there).
        strength: how many visits the expected value of a node is worth; None: fitted, per depth.
        alias: how many visits the value of a node is worth to one of the ways there; None: fitted. 0: every way is
            judged by its own rollouts alone.
        dead: chance that a rollout counts as a success although success was not possible.

    Returns:
        [S] credit in units of the outcome (a chance for "quality") and its standard error. In simulated worlds 1.645 of
        them hold about 90% of all true advantages, and fewer (about 80%) of those that are not 0.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 1]))
    >>> zeros, after = np.zeros(2, np.int64), np.array([1, 2])
    >>> stepcredit_graph(two, np.array([1.0, 0.0]), zeros, after, strength=1.0, alias=0.0).credit
    array([ 0.25, -0.25])
    """
    paths = layout.paths
    out, sd = np.full((2, paths.rows.size), np.nan)
    known = ~np.isnan(np.asarray(outcome, float))
    for number in range(int(layout.batches.max(initial=-1)) + 1):
        rollouts = known & (layout.batches == number)
        at = np.flatnonzero(rollouts[paths.rollout])
        if at.size == 0:
            continue
        low, high = outcome[rollouts].min(), outcome[rollouts].max()
        scaled = (outcome - low) / (high - low if high > low else 1.0)
        rows = paths.rows[at]
        walk = _Paths(
            layout.group[paths.rollout[at]],
            paths.turn[at],
            paths.left[at],
            scaled[paths.rollout[at]],
            state[rows],
            next_state[rows],
            None if action is None else action[rows],
        )
        if output == "quality":
            out[at], sd[at] = _quality(walk, dead)
            continue
        credit, error = _advantage(walk, strength, alias)
        out[at], sd[at] = credit * (high - low), error * (high - low)
    return Result(layout.merge(out), sd=layout.merge(sd))


def _advantage(walk: _Paths, strength: float | None, alias: float | None) -> tuple[Floats, Floats]:
    graph = _build(walk)
    kind = np.where(
        graph.ends >= graph.n, _LEVELS + 1, np.minimum(graph.level, _LEVELS)
    )  # ends are a kind of their own
    mean, k = _fit_values(graph, kind, _STRENGTHS if strength is None else np.array([strength]))
    prior = _prior(graph, kind, mean, k)
    if alias is None:
        alias = _fit_alias(graph, mean[kind], k[kind])
    credit, variance = _backup(graph, prior, k[kind], alias)
    first = np.zeros(int(walk.group.max()) + 1)
    first[walk.group] = walk.outcome
    differ = np.zeros(first.size, bool)
    np.logical_or.at(differ, walk.group, walk.outcome != first[walk.group])
    return np.where(differ[walk.group], credit, 0.0), np.sqrt(variance)


def _quality(walk: _Paths, dead: float) -> tuple[Floats, Floats]:
    graph = _build(walk)
    alive = _alive(graph, dead)[graph.t]
    return alive, np.sqrt(alive * (1 - alive))


def _build(walk: _Paths) -> _Graph:
    u, t = _nodes(walk)
    size = int(max(u.max(), t.max())) + 1
    first, last, won = walk.turn == 0, walk.left == 0, walk.outcome
    level = np.full(size, walk.turn.max() + 1)
    np.minimum.at(level, u, walk.turn)
    np.minimum.at(level, t, walk.turn + 1)
    edge = cells(u, t if walk.action is None else _what(u, t, walk.action))
    link = cells(edge, t)
    one = _first(link)
    group = np.zeros(size, np.int64)
    group[u], group[t] = walk.group, walk.group

    def sums(at: Ints, weight: Floats | None = None) -> Floats:
        return np.bincount(at, weights=weight, minlength=size).astype(float)

    return _Graph(
        u=u,
        t=t,
        link=link,
        edge=edge,
        level=level,
        root=sums(u[first]) > 0,
        n=sums(t) + sums(u[first]),
        won=sums(t, won) + sums(u[first], won[first]),
        ends=sums(t[last]),
        ends_won=sums(t[last], won[last]),
        group=group,
        link_u=u[one],
        link_t=t[one],
        link_edge=edge[one],
        link_n=np.bincount(link).astype(float),
        link_won=_sums(link, one.size, won),
    )


def _nodes(walk: _Paths) -> tuple[Ints, Ints]:
    """[P] node before and after each row. A state met once is known by the state and action that led to it, so that
    rollouts which did the same stay together where states never repeat."""
    group, rows = walk.group, walk.group.size
    node = cells(np.concatenate((group, group)), np.concatenate((walk.state, walk.next_state)))
    u, t = node[:rows], node[rows:]
    if walk.action is None:
        return u, t
    count = np.bincount(t, minlength=int(node.max()) + 1)
    count += np.bincount(u[walk.turn == 0], minlength=count.size)
    once, free = count[t] == 1, count.size
    u, t = u.copy(), t.copy()
    for _, rows_at in sorted(_levels(walk.turn).items()):
        inner = rows_at[walk.turn[rows_at] > 0]
        u[inner] = t[inner - 1]
        lone = rows_at[once[rows_at]]
        if lone.size:
            name = cells(u[lone], walk.action[lone])
            t[lone] = free + name
            free += int(name.max()) + 1
    node = dense(np.concatenate((u, t)))
    return node[: u.size], node[u.size :]


def _what(u: Ints, t: Ints, action: Ints) -> Ints:
    """[P] what was done: the node it led to where that is always the same one, so that actions of equal result are one;
    else the action."""
    done = cells(u, action)
    low, high = np.full(int(done.max()) + 1, np.iinfo(np.int64).max), np.full(int(done.max()) + 1, -1)
    np.minimum.at(low, done, t)
    np.maximum.at(high, done, t)
    return np.where((low == high)[done], t, int(t.max()) + 1 + done)


def _tally(graph: _Graph, kind: Ints) -> tuple[Ints, Ints, Floats, Floats]:
    """[N] cell of each node, by kind, visits and outcomes, and what each cell stands for: so that likelihoods are
    summed over few."""
    cell = cells(kind, graph.n.astype(np.int64), np.unique(graph.won, return_inverse=True)[1])
    one = _first(cell)
    return cell, kind[one], graph.n[one], graph.won[one]


def _share(graph: _Graph) -> Floats:
    """[N] how often the step to a node is chosen where it is chosen most; 1 for a root."""
    chosen = np.bincount(graph.edge) / np.bincount(graph.u)[graph.link_u[_first(graph.link_edge)]]
    forward = graph.level[graph.link_t] > graph.level[graph.link_u]
    share = np.zeros(graph.size)
    np.maximum.at(share, graph.link_t[forward], chosen[graph.link_edge[forward]])
    share[graph.root] = 1.0
    return share


def _first(cell: Ints) -> Ints:
    """[cells] a row of each cell."""
    one = np.zeros(int(cell.max()) + 1, np.int64)
    one[cell] = np.arange(cell.size)
    return one


def _fit_values(graph: _Graph, kind: Ints, strengths: Floats) -> tuple[Floats, Floats]:
    """Mean and strength of values of each kind of node: the likeliest beta-binomial, small strengths preferred."""
    size = int(kind.max()) + 1
    cell, at, n, won = _tally(graph, kind)
    count = np.bincount(cell)
    visits = np.bincount(kind, graph.n, minlength=size)
    own = np.divide(np.bincount(kind, graph.won, minlength=size), visits, out=np.zeros(size), where=visits > 0)
    mean, strength, best = np.full(size, 0.5), np.full(size, 1.0), np.full(size, -np.inf)
    for m in (*_MEANS, np.clip(own, 0.003, 0.97)):
        for k in strengths:
            a = np.broadcast_to(m, size)[at] * k
            fit = np.bincount(at, count * (_log_beta(a + won, k - a + n - won) - _log_beta(a, k - a)), minlength=size)
            fit -= 0.25 * np.log2(k)
            better = fit > best
            best[better] = fit[better]
            mean[better], strength[better] = np.broadcast_to(m, size)[better], k
    return mean, strength


def _fit_alias(graph: _Graph, mean: Floats, strength: Floats) -> float:
    """How many visits the value of a node is worth to one link into it: the likeliest, by how the outcomes of the link
    fit those of the other ways to the node."""
    t, n, won = graph.link_t, graph.link_n, graph.link_won
    others = graph.n[t] - n
    some = (others > 0) & (graph.level[t] > graph.level[graph.link_u])
    if not some.any():
        return float(_ALIAS[-1])
    m, k = mean[t], strength[t]
    p = ((graph.won[t] - won + k * m) / (others + k))[some]
    total, n, won = (others + k)[some], n[some], won[some]
    fits = []
    for alias in _ALIAS:
        s = 1 / (1 / alias + 1 / total)
        a, b = np.maximum(s * p, 1e-6), np.maximum(s * (1 - p), 1e-6)
        fits.append((_log_beta(a + won, b + n - won) - _log_beta(a, b)).sum())
    return float(_ALIAS[int(np.argmax(fits))])


def _prior(graph: _Graph, kind: Ints, mean: Floats, strength: Floats) -> Floats:
    """[N] what the value of a node is expected to be: that of its kind, better in a prompt that does well; among values
    that are rarely above 0, in proportion to how often the step there is chosen."""
    rollouts = np.bincount(graph.group[graph.root], weights=graph.n[graph.root])
    won = np.bincount(graph.group[graph.root], weights=graph.won[graph.root], minlength=rollouts.size)
    overall, k = won.sum() / rollouts.sum(), strength[0]
    prompt = _logit((won + k * overall) / np.maximum(rollouts + k, 1e-9)) - _logit(overall)
    base = _expit(_logit(mean[kind]) + prompt[graph.group])
    pull = ((strength <= 2) & (mean <= 0.2))[kind] & ~graph.root
    sums = partial(_sums, kind[pull], mean.size)
    shared = base * _share(graph)
    weight, had = sums((graph.n * shared)[pull]), sums((graph.n * base)[pull])
    keep = np.divide(had, weight, out=np.ones(mean.size), where=weight > 0)
    return np.where(pull, np.clip(shared * keep[kind], 1e-4, 1 - 1e-4), base)


def _backup(graph: _Graph, prior: Floats, k: Floats, alias: float) -> tuple[Floats, Floats]:
    """[P] Q - V of each row and its variance, values from the last nodes up to the roots."""
    size, u, t, n = graph.size, graph.link_u, graph.link_t, graph.link_n
    value, spread = prior.copy(), prior * (1 - prior) / (k + 1)
    q, qvar = np.zeros(n.size), np.zeros(n.size)
    direct = np.where(graph.level[t] > graph.level[u], n / (n + alias), 1.0)  # a way back is not yet known: its own
    mc = (graph.link_won + k[t] * prior[t]) / (n + k[t])
    mcvar = mc * (1 - mc) / (n + k[t] + 1)
    place = np.zeros(size, np.int64)
    by_level, node_level = _levels(graph.level[u]), _levels(graph.level)
    for level in range(int(graph.level.max()), -1, -1):
        at, nodes = by_level.get(level, np.zeros(0, np.int64)), node_level.get(level, np.zeros(0, np.int64))
        q[at] = direct[at] * mc[at] + (1 - direct[at]) * value[t[at]]
        qvar[at] = direct[at] ** 2 * mcvar[at] + (1 - direct[at]) ** 2 * spread[t[at]]

        place[nodes] = np.arange(nodes.size)
        to = place[u[at]]
        sums = partial(_sums, to, nodes.size)
        kk, p = k[nodes], prior[nodes]
        weight = sums(n[at]) + graph.ends[nodes] + kk
        v = (sums(n[at] * q[at]) + graph.ends_won[nodes] + kk * p) / weight
        value[nodes] = v
        away = sums(n[at] * (q[at] - v[to]) ** 2) + graph.ends_won[nodes] * (1 - v) ** 2
        away += (graph.ends[nodes] - graph.ends_won[nodes]) * v**2 + kk * ((p - v) ** 2 + p * (1 - p) / 2)
        spread[nodes] = away / weight / (weight + 1) + sums(n[at] ** 2 * qvar[at]) / weight**2
    total = np.bincount(graph.link_edge, weights=n)
    quality = np.bincount(graph.link_edge, weights=n * q) / total
    variance = np.bincount(graph.link_edge, weights=n**2 * qvar) / total**2
    part = total[graph.edge] / np.maximum(np.bincount(graph.u, minlength=size) + k, 1)[graph.u]
    rest = np.maximum(spread[graph.u] - part**2 * variance[graph.edge], 0.0)
    return quality[graph.edge] - value[graph.u], (1 - part) ** 2 * variance[graph.edge] + rest


def _sums(at: Ints, size: int, x: Floats) -> Floats:
    return np.asarray(np.bincount(at, weights=x, minlength=size), float)


def _levels(level: Ints) -> dict[int, Ints]:
    order = np.argsort(level.astype(np.int16) if level.max(initial=0) < 2**15 else level, kind="stable")
    cuts = np.flatnonzero(np.diff(level[order])) + 1
    return {int(level[part[0]]): part for part in np.split(order, cuts) if part.size}


def _down(graph: _Graph, q: Floats, forward: dict[int, Ints]) -> Floats:
    """[N] chance that a node and all before it are alive: its own times the mean of its parents'."""
    alive = q.copy()
    for level in sorted(forward):
        at = forward[level]
        t = graph.link_t[at]
        seen = np.unique(t)
        place = np.searchsorted(seen, t)
        n = graph.link_n[at]
        above = np.bincount(place, weights=n * alive[graph.link_u[at]]) / np.bincount(place, weights=n)
        free = ~graph.root[seen]
        alive[seen[free]] = q[seen[free]] * above[free]
    return alive


def _alive(graph: _Graph, dead: float, rounds: int = 5) -> Floats:
    """[N] geometric mean of the chances that success is still possible at a node, and that it was all the way there: a
    node is alive, with a value from a beta of its kind, or dead, with rate `dead`; the odds beforehand grow with how
    often the step there is chosen."""
    kind = 2 * np.minimum(graph.level, 3) + (graph.ends > graph.n / 2)
    size, choice = int(kind.max()) + 1, np.log(np.maximum(_share(graph), 1e-9))
    at, of, n, won = _tally(graph, kind)
    down = np.flatnonzero(graph.level[graph.link_t] > graph.level[graph.link_u])
    forward = {level: down[i] for level, i in _levels(graph.level[graph.link_t[down]]).items()}
    a, b, shift = np.full(size, 1.0), np.full(size, 9.0), np.zeros(size)
    no = won * np.log(dead) + (n - won) * np.log1p(-dead)
    free = ~graph.root
    for turn in range(rounds + 1):
        odds = np.clip(_log_beta(a[of] + won, b[of] + n - won) - _log_beta(a, b)[of] - no, -30, 30)
        before = np.clip(shift[kind] + choice, -9, 9)
        q = _expit(before + odds[at])
        alive = _down(graph, q, forward)
        if turn == rounds:
            break
        reach = np.where(graph.root, 1.0, alive / np.maximum(q, 1e-300))
        weight, best = np.bincount(at, weights=alive), np.full(size, -np.inf)
        for m in _MEANS[1:]:
            for k in _SLABS:
                gain = _log_beta(m * k + won, k - m * k + n - won) - _log_beta(m * k, k - m * k)
                fit = np.bincount(of, weights=weight * gain, minlength=size)
                better = fit > best
                best[better], a[better], b[better] = fit[better], m * k, k - m * k
        for _ in range(4):
            p = _expit(np.clip(shift[kind] + choice, -9, 9))
            slope = np.bincount(kind[free], weights=(reach * (q - p))[free], minlength=size) - shift
            bend = np.bincount(kind[free], weights=(reach * p * (1 - p))[free], minlength=size) + 1
            shift += np.clip(slope / bend, -2, 2)
    return np.sqrt(q * alive)


def _expit(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _logit(p: Any) -> Any:
    q = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(q / (1 - q))


def _log_gamma(x: Any) -> Any:
    """Stirling's series after six steps up; x > 0."""
    z = x + 6.0
    product = x * (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5)
    return (z - 0.5) * np.log(z) - z + 0.9189385332046727 + 1 / (12 * z) - 1 / (360 * z**3) - np.log(product)


def _log_beta(a: Any, b: Any) -> Any:
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)
