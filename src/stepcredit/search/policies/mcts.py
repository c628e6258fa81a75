"""Monte Carlo tree search over steps: UCT or PUCT, values or rollouts at the leaves, mean backup."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark
from stepcredit.search.picking import distinct
from stepcredit.search.tree import NAN, Node
from stepcredit.search.uct import back_up, finished, uct
from stepcredit.shelf import PlanCard

Bound = Literal["puct", "uct", "alphazero"]
Leaf = Literal["children", "parent", "rollout", "descent"]

CARD = PlanCard(
    title="Monte Carlo tree search by a value model (AlphaMath Almost Zero)",
    paper="arXiv:2405.03553",
    bibtex="""@misc{chen2024alphamath,
  title={AlphaMath Almost Zero: Process Supervision without Process},
  author={Chen, Guoxin and Liao, Minpeng and Li, Chengpeng and Fan, Kai},
  eprint={2405.03553}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a scorer that tells the value of a partial solution, and for PUCT samples with log-probabilities",
    cost="`samples` steps and as many opinions per iteration; whole solutions where it rolls out",
    departures="The value of a complete solution is the scorer's opinion or an environment's outcome: the right answer "
    "is not known here. An unknown value is no visit. The task itself has no value. Priors are equal where "
    "log-probabilities are not known.",
    code="https://github.com/MARIO-Math-Reasoning/Super_MARIO",
)

PRESETS = {
    "alphamath": Preset(
        {"leaf": "parent"},
        "update_leaf_value False: an expansion backs up the value of the expanded step and those of complete children",
        system="alphamath_mcts",
    ),
    "openr": Preset(
        {"bound": "alphazero", "leaf": "descent", "c": 1.25, "samples": 4},
        "OpenR vanila_mcts: each iteration goes on to a complete solution and backs its value up",
        system="openr_mcts",
        title="OpenR: An Open Source Framework for Advanced Reasoning with Large Language Models",
        paper="arXiv:2410.09671",
        bibtex="""@misc{wang2024openr,
  title={OpenR: An Open Source Framework for Advanced Reasoning with Large Language Models},
  author={Wang, Jun and Fang, Meng and Wan, Ziyu and Wen, Muning and Zhu, Jiachen and Liu, Anjie and others},
  eprint={2410.09671}, archivePrefix={arXiv}, year={2024}}""",
        evidence="official code read",
        code="https://github.com/openreasoner/openr",
        departures="A complete solution is not visited again; where nothing is open the search ends.",
    ),
    "uct": Preset(
        {"bound": "uct", "leaf": "rollout", "c": math.sqrt(2)},
        "Kocsis and Szepesvari: UCT, each new step valued by a solution completed from it",
    ),
    "vote": Preset({"choose": "vote"}, "complete solutions vote with their values"),
}


def puct(value: Floats, visits: Floats, prior: Floats, above: float, c: float = 1.5) -> Floats:
    """[children] Q + c * P * sqrt(N_parent) / (1 + N).

    >>> puct(np.array([0.2, -0.1]), np.array([4, 1]), np.array([0.6, 0.9]), 10).round(4).tolist()
    [0.7692, 2.0345]
    """
    q, n, p = (np.asarray(x, float) for x in (value, visits, prior))
    return np.asarray(q + c * p * math.sqrt(above) / (1 + n))


def alphazero(
    value: Floats, visits: Floats, prior: Floats, above: float, c_init: float = 1.25, c_base: float = 19652
) -> Floats:
    """[children] V + pb * P, pb = (ln((N_parent + c_base + 1) / c_base) + c_init) * sqrt(N_parent) / (N + 1).

    >>> alphazero(np.array([0.6]), np.array([4]), np.array([0.5]), 10).round(5).tolist()
    [0.99546]
    """
    v, n, p = (np.asarray(x, float) for x in (value, visits, prior))
    pb = (math.log((above + c_base + 1) / c_base) + c_init) * math.sqrt(above) / (n + 1)
    return np.asarray(v + pb * p)


def geometric_mean(logp: float, tokens: int | None) -> float:
    """exp(log-probability / tokens) of a text; NaN where either is not known or there is no token.

    >>> round(geometric_mean(math.log(0.25), 2), 6), geometric_mean(-1.0, 0)
    (0.5, nan)
    """
    return math.exp(min(logp / tokens, 0.0)) if tokens and logp == logp else NAN


def mcts(
    search: Search,
    *,
    iterations: int = 40,
    samples: int = 5,
    c: float = 1.5,
    bound: Bound = "puct",
    leaf: Leaf = "children",
    ends: Literal["scorer", "outcome"] = "scorer",
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """Descend by Q + c * P * sqrt(N_parent) / (1 + N), expand, value, back up: W += v, N += 1 all the way to the task.

    Complete solutions, and steps below which all are complete, are not descended into again; ties are drawn.

    Args:
        iterations: at most. samples: next steps per expansion; equal ones are one.
        c: weight of exploration. bound: "puct"; "uct", Q + c * sqrt(ln N_parent / N); "alphazero", OpenR's, c_init = c,
            whose priors sum to 1 and whose unvisited steps count with the scorer's opinion.
        leaf: what an expansion backs up: the value of each new "children"; that of the expanded step, the "parent", and
            of complete children; a "rollout", the value of a solution completed from each of them; "descent", the way
            leads on to a complete solution, and its value is backed up.
        ends: value of a complete solution: the "scorer"'s, or the "outcome" in a live environment.
        choose: the "best" complete solution, or a "vote" weighted by values.

    Raises:
        StepCreditError: no iterations or samples; outcomes without a live environment.
    """
    if iterations < 1 or samples < 1:
        raise StepCreditError(f"iterations and samples must be at least 1; got {iterations}, {samples}")
    if ends == "outcome" and search.task.world is None:
        raise StepCreditError("only a live environment tells outcomes", hint="ends='scorer'")
    search.choose = partial(search.best if choose == "best" else search.vote, "last")
    for _ in range(iterations):
        node = _descend(search, search.root, c, bound)
        if node is None:
            break
        if leaf == "descent":
            yield from _to_the_end(search, node, samples, c, bound, ends)
            continue
        fresh = yield from _expand(search, node, samples, bound)
        if not fresh:
            node.facts["closed"] = True
            continue
        yield from _value(search, node, fresh, leaf, ends)
    yield from finished(search)
    yield from _opinions(search, search.tree.leaves(), ends)
    return None


def _descend(search: Search, node: Node, c: float, bound: Bound) -> Node | None:
    """The step to expand; None where all is complete."""
    if _closed(node):
        return None
    while open_ := [n for n in _below(node) if not _closed(n)]:
        node = _pick(search, node, open_, c, bound)
    return node


def _below(node: Node) -> list[Node]:
    """Steps that expansions made; rollouts stand in the tree too, but nobody descends into them."""
    return [n for n in node.children if n.kept and not n.facts.get("rollout")]


def _closed(node: Node) -> bool:
    """Whether nothing is left to do below a step; what is closed stays closed."""
    if node.ended or node.facts.get("closed"):
        return True
    below = _below(node)
    if below and all(_closed(n) for n in below):
        node.facts["closed"] = True
        return True
    return False


def _pick(search: Search, node: Node, children: Sequence[Node], c: float, bound: Bound) -> Node:
    visits = np.array([n.visits for n in children], float)
    value = np.array([n.value if n.visits else 0.0 for n in children])
    prior = np.array([n.prior for n in children])
    if bound == "uct":
        score = uct(value, visits, node.visits, c)
    elif bound == "puct":
        score = puct(value, visits, prior, node.visits, c)
    else:
        first = np.array([n.score for n in children])
        known = np.where(visits > 0, value, np.where(np.isnan(first), -np.inf, first))
        score = alphazero(known, visits, prior, node.visits, c)
    among = np.flatnonzero(score == score.max())
    return children[int(among[search.rng.integers(among.size)])] if among.size > 1 else children[int(among[0])]


def _expand(search: Search, node: Node, samples: int, bound: Bound) -> Plan[list[Node]]:
    made = (yield from search.propose([node], samples))[0]
    fresh, again = distinct(made)
    for child in again:
        child.kept = False
        child.facts["aside"] = "repetition"
    known = np.array([geometric_mean(n.logp, n.tokens) for n in fresh])
    even = float(np.nanmean(known)) if not np.isnan(known).all() else 1.0 / max(len(fresh), 1)
    for child, prior in zip(fresh, known.tolist(), strict=True):
        child.prior = prior if prior == prior else even
    if bound == "alphazero":
        total = sum(n.prior for n in fresh)
        for child in fresh:
            child.prior = child.prior / total if total else 1.0 / len(fresh)
    return fresh


def _opinions(search: Search, nodes: Sequence[Node], ends: str) -> Plan[None]:
    for node in nodes:
        if ends == "outcome" and node.ended:
            mark(node, node.outcome, None if node.outcome == node.outcome else "the environment tells no outcome")
    yield from search.score(nodes)


def _value(search: Search, node: Node, fresh: Sequence[Node], leaf: Leaf, ends: str) -> Plan[None]:
    """Value what an expansion made, and back it up."""
    complete = [n for n in fresh if n.ended]
    if leaf == "parent":
        own = [node] if node.parent is not None else []
        yield from _opinions(search, [*complete, *own], ends)
        for child in [*complete, *own]:
            back_up(child, child.score)
    elif leaf == "children":
        yield from _opinions(search, fresh, ends)
        for child in fresh:
            back_up(child, child.score)
    else:
        leaves = [made[0] if made else None for made in (yield from search.complete(fresh))]
        yield from _opinions(search, [n for n in leaves if n is not None], ends)
        for child, end in zip(fresh, leaves, strict=True):
            if end is not None:
                for step in end.path[child.depth :]:
                    step.facts["rollout"] = True
                back_up(child, end.score)


def _to_the_end(search: Search, node: Node, samples: int, c: float, bound: Bound, ends: str) -> Plan[None]:
    """From an open step on to a complete one, expanding on the way."""
    while not node.ended:
        fresh = yield from _expand(search, node, samples, bound)
        if not fresh:
            node.facts["closed"] = True
            return
        yield from _opinions(search, fresh, ends)
        node = _pick(search, node, fresh, c, bound)
    back_up(node, node.score)
