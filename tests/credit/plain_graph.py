"""The graph method once more, slowly: one rollout, step and node at a time, with dictionaries, exact names, lgamma.

Nothing here is shared with the package. A rollout is a Rollout, a node its name, a link (node, what was done, node
after); what was done is left out (None) where it always led to the same node and never ended a rollout.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

STRENGTHS = [2.0**i for i in range(-3, 7)]
ALIASES = [2.0**i for i in range(-2, 10)]
UNSEEN = [2.0**i for i in range(-4, 6)]
TENTH = 9  # levels from here on are alike
ENDS = "ends"


class Rollout(NamedTuple):
    """states: one more than there are steps. actions: one per step, or None."""

    prompt: object
    outcome: float
    states: list
    actions: list | None


@dataclass
class Node:
    prompt: object
    level: int
    n: int = 0
    won: float = 0.0
    starts: int = 0
    starts_won: float = 0.0
    ends: int = 0
    ends_won: float = 0.0


@dataclass
class Link:
    n: int = 0
    won: float = 0.0


@dataclass
class Plain:
    """nodes: {name: Node}. links: {(name, action or None, name): Link}. steps: per rollout, the links it walked."""

    nodes: dict = field(default_factory=dict)
    links: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)


def action_of(link):
    """Links of one action: those of one node on which the same was done, or a link alone where nothing is told."""
    u, what, t = link
    return (u, "to", t) if what is None else (u, "do", what)


def names(rollouts):
    """Per rollout the names of its places."""
    met = Counter((r.prompt, s) for r in rollouts for s in r.states)
    out = []
    for r in rollouts:
        own, base, since = [], None, ()
        for i, s in enumerate(r.states):
            if i > 0 and r.actions is not None and met[r.prompt, s] == 1:
                since = (*since, r.actions[i - 1])
                own.append((base, since))
            else:
                base, since = (r.prompt, s), ()
                own.append(base)
        out.append(own)
    return out


def plain_graph(rollouts):
    graph, named = Plain(), names(rollouts)
    led = defaultdict(set)
    for r, own in zip(rollouts, named, strict=True):
        for i, name in enumerate(own):
            node = graph.nodes.setdefault(name, Node(r.prompt, i))
            node.level = min(node.level, i)
            node.n += 1
            node.won += r.outcome
            if i == 0:
                node.starts += 1
                node.starts_won += r.outcome
            if i == len(own) - 1:
                node.ends += 1
                node.ends_won += r.outcome
            elif r.actions is not None:
                led[name, r.actions[i]] |= {own[i + 1], ENDS} if i == len(own) - 2 else {own[i + 1]}
    for r, own in zip(rollouts, named, strict=True):
        walked = []
        for i in range(len(own) - 1):
            what = None
            if r.actions is not None and len(led[own[i], r.actions[i]]) > 1:
                what = r.actions[i]
            link = (own[i], what, own[i + 1])
            graph.links.setdefault(link, Link()).n += 1
            graph.links[link].won += r.outcome
            walked.append(link)
        graph.steps.append(walked)
    return graph


def log_beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def evidence(n, won, a, b):
    """Log of the beta-binomial likelihood of outcomes in a given order."""
    return log_beta(a + won, b + n - won) - log_beta(a, b)


def above(floor, a, b):
    """1 - I_floor(a, b) by the hypergeometric series, whose terms are all positive: (1 - x)^b x^a / (a B) * 2F1."""
    term = math.exp(a * math.log(floor) + b * math.log1p(-floor) - log_beta(a, b)) / a
    total, j = term, 0
    while term > 1e-18 or (a + b + j) * floor > a + 1 + j:
        term *= (a + b + j) / (a + 1 + j) * floor
        total, j = total + term, j + 1
    return min(max(1 - total, 0.0), 1.0)


def expit(x):
    return 1 / (1 + math.exp(-x))


def logit(p):
    p = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(p / (1 - p))


def likeliest(choices, score):
    """The first of the best."""
    return max(choices, key=lambda c: (score(c), -choices.index(c)))


def kind(node):
    return ENDS if node.ends == node.n else min(node.level, TENTH)


def fit_kinds(graph, strength, most):
    """{kind: (mean, strength)}."""
    out = {}
    for one in {kind(x) for x in graph.nodes.values()}:
        nodes = [x for x in graph.nodes.values() if kind(x) == one]
        mean = min(max(sum(x.won for x in nodes) / sum(x.n for x in nodes), 0.003), 0.97)

        even = STRENGTHS[0] if one == ENDS else 1.0

        def score(s, nodes=nodes, mean=mean, even=even):
            told = sum(evidence(x.n, x.won, s * mean, s * (1 - mean)) for x in nodes)
            return told - 0.1 * math.log2(s / even) ** 2

        out[one] = (mean, likeliest([s for s in STRENGTHS if s <= most], score) if strength is None else strength)
    return out


def out_of(graph):
    """{node: visits that went on}, {action: its visits}, {node: its actions}."""
    went, taken, actions = Counter(), Counter(), defaultdict(set)
    for link, x in graph.links.items():
        went[link[0]] += x.n
        taken[action_of(link)] += x.n
        actions[link[0]].add(action_of(link))
    return went, taken, actions


def forward(graph, link):
    return graph.nodes[link[2]].level > graph.nodes[link[0]].level


def priors(graph, strength, most):
    """{node: m}, {node: k}."""
    kinds = fit_kinds(graph, strength, most)
    k0, nodes = kinds[0][1], graph.nodes.values()
    overall = sum(x.starts_won for x in nodes) / sum(x.starts for x in nodes)
    m, k, rare = {}, {}, defaultdict(list)
    share = {}  # of the prompt's rollouts
    for name, x in graph.nodes.items():
        own = [r for r in nodes if r.prompt == x.prompt]
        rollouts = sum(r.starts for r in own)
        does = (sum(r.starts_won for r in own) + k0 * overall) / (rollouts + k0)
        share[name] = min(x.n / rollouts, 1)
        mean, s = kinds[kind(x)]
        m[name] = expit(logit(mean) + logit(does) - logit(overall))
        k[name] = min(max(s * math.sqrt(mean / m[name]), 1 / 16), most) if strength is None else strength
        if mean <= 0.2 and x.level > 0:
            rare[kind(x)].append(name)
    for members in rare.values():
        before = sum(graph.nodes[x].n * m[x] for x in members)
        after = sum(graph.nodes[x].n * m[x] * share[x] for x in members)
        for x in members:  # visits see the same mean as before
            m[x] = min(max(m[x] * share[x] * before / after, 1e-4), 1 - 1e-4)
    return m, k


def fit_alias(graph, m, k):
    cells = defaultdict(list)
    for link, x in graph.links.items():
        node, t = graph.nodes[link[2]], link[2]
        if node.n == x.n or not forward(graph, link) or x.n == 1:
            continue
        total = node.n - x.n + k[t]
        expected = (node.won - x.won + k[t] * m[t]) / total
        cells[x.n, x.won, round(4 * logit(expected)), round(4 * math.log2(total))].append((expected, total))
    if not cells:
        return ALIASES[-1]

    def score(alias):
        out = 0.0
        for (n, won, _, _), members in cells.items():
            p = sum(e for e, _ in members) / len(members)
            size = 1 / (1 / alias + len(members) / sum(s for _, s in members))
            out += len(members) * evidence(n, won, max(size * p, 1e-6), max(size * (1 - p), 1e-6))
        return out

    return likeliest(ALIASES, score)


def fit_unseen(graph):
    """{level: visits that the actions not seen are worth}."""
    went, _, actions = out_of(graph)
    at = defaultdict(list)
    for name, x in graph.nodes.items():
        at[min(x.level, TENTH)] += [(went[name], len(actions[name]))] if went[name] else []

    def score(h, seen):
        restaurant = sum(d * math.log(h) + math.lgamma(h) - math.lgamma(h + n) for n, d in seen)
        return restaurant - 0.1 * math.log2(h) ** 2

    return {level: likeliest(UNSEEN, lambda h, seen=seen: score(h, seen)) for level, seen in at.items()}


def values(graph, m, k, alias):
    """{node: (V, its variance)}, {link: (value, variance)}, {node: h}; from the ends up, by recursion."""
    level_h = fit_unseen(graph)
    h = {name: min(level_h[min(x.level, TENTH)], k[name]) for name, x in graph.nodes.items()}
    ways = defaultdict(list)
    for link in graph.links:
        ways[link[0]].append(link)
    node_value, link_value = {}, {}

    def worth(link):
        x, t = graph.links[link], link[2]
        own = (x.won + k[t] * m[t]) / (x.n + k[t])
        var = own * (1 - own) / (x.n + k[t] + 1)
        if not forward(graph, link):
            return own, var
        v, v_var = value(t)
        knows = max(v * (1 - v) / max(v_var, 1e-12) - 1 - x.n - k[t], 1e-9)
        w = x.n / (x.n + 1 / (1 / max(alias, 1e-12) + 1 / knows))
        return w * own + (1 - w) * v, w**2 * var + (1 - w) ** 2 * v_var

    def value(name):
        if name in node_value:
            return node_value[name]
        x = graph.nodes[name]
        for link in ways[name]:
            link_value[link] = worth(link)
        seen = [(graph.links[link].n, *link_value[link]) for link in ways[name]]
        weight = sum(n for n, _, _ in seen) + x.ends + h[name]
        v = (sum(n * q for n, q, _ in seen) + x.ends_won + h[name] * m[name]) / weight
        away = sum(n * (q - v) ** 2 for n, q, _ in seen)
        away += x.ends_won * (1 - v) ** 2 + (x.ends - x.ends_won) * v**2
        away += h[name] * ((m[name] - v) ** 2 + m[name] * (1 - m[name]) / 2)
        noise = sum(n**2 * var for n, _, var in seen) / weight**2
        node_value[name] = v, away / weight / (weight + 1) + noise
        return node_value[name]

    for name in graph.nodes:
        value(name)
    return node_value, link_value, h


def advantages(graph, m, k, alias):
    """{action: (Q - V, variance)}."""
    node_value, link_value, h = values(graph, m, k, alias)
    went, taken, _ = out_of(graph)
    links = defaultdict(list)
    for link in graph.links:
        links[action_of(link)].append(link)
    out = {}
    for action, members in links.items():
        u, total = action[0], taken[action]
        q = sum(graph.links[x].n * link_value[x][0] for x in members) / total
        var = sum(graph.links[x].n ** 2 * link_value[x][1] for x in members) / total**2
        v, v_var = node_value[u]
        part = total / (went[u] + graph.nodes[u].ends + h[u])
        out[action] = q - v, (1 - part) ** 2 * var + max(v_var - part**2 * var, 0.0)
    return out


def plain_credit(rollouts, *, output="advantage", strength=None, alias=None, floor=0.001):
    """Per rollout of one training batch: a list of (credit, sd), one per step; None for what is not judged."""
    known = [r for r in rollouts if not math.isnan(r.outcome) and len(r.states) > 1]
    if not known:
        return [[None] * (len(r.states) - 1) for r in rollouts]
    outcomes = defaultdict(set)
    for r in known:
        outcomes[r.prompt].add(r.outcome)
    values, spans, walked = {r.outcome for r in known}, [], []
    for r in known:
        scale = values if len(values) < 3 else outcomes[r.prompt]
        low, high = min(scale), max(scale)
        if high > low:
            scaled = (r.outcome - low) / (high - low)
        else:  # all alike
            middle = 0 if len(values) == 1 else median(x.outcome for x in known for _ in x.states[1:])
            scaled = float(r.outcome > middle)
        spans.append(high - low)
        walked.append(r._replace(outcome=scaled))
    graph = plain_graph(walked)
    m, k = priors(graph, strength, STRENGTHS[-1] if output == "quality" else 2.0)
    alive = {name: above(floor, x.won + k[name] * m[name], x.n - x.won + k[name] * (1 - m[name]))
             for name, x in graph.nodes.items()}  # fmt: skip
    credit, hides = {}, alias
    if output == "advantage":
        hides = fit_alias(graph, m, k) if alias is None else alias
        credit = advantages(graph, m, k, hides)
    judged = []
    for r, walk, span in zip(walked, graph.steps, spans, strict=True):
        row = []
        for link in walk:
            if output == "quality":
                q = alive[link[2]]
                row.append((q, math.sqrt(q * (1 - q))))
                continue
            gain, var = credit[action_of(link)]
            end = graph.links[walk[-1]]
            shared = (r.outcome - end.won / end.n) / len(walk) * 4 / (4 + hides)
            gain, var = gain + shared, var + len(walk) * shared**2
            told = len(outcomes[r.prompt]) > 1 and alive[link[0]] >= 1 / 3
            row.append((gain * span if told else 0.0, 1.2 * math.sqrt(var) * span))
        judged.append(row)
    rows = iter(judged)
    return [
        next(rows) if not math.isnan(r.outcome) and len(r.states) > 1 else [None] * (len(r.states) - 1)
        for r in rollouts
    ]
