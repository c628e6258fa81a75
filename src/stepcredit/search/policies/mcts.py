"""Monte Carlo tree search over steps: UCT or PUCT, values or rollouts at the leaves, mean backup."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark
from stepcredit.search.picking import once
from stepcredit.search.tree import NAN, Node
from stepcredit.search.uct import back_up, finished, uct
from stepcredit.shelf import PlanCard

Bound = Literal["puct", "uct", "alphazero"]
Leaf = Literal["score", "parent", "rollout", "descent"]
Prior = Literal["even", "geometric"]

Make = Callable[[Node], Plan[list[Node]]]

CARD = PlanCard(
    title="Monte Carlo tree search over reasoning steps",
    paper="arXiv:2410.09671",
    bibtex="""@misc{wang2024openr,
  title={OpenR: An Open Source Framework for Advanced Reasoning with Large Language Models},
  author={Wang, Jun and Fang, Meng and Wan, Ziyu and Wen, Muning and Zhu, Jiachen and Liu, Anjie and others},
  eprint={2410.09671}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task written in steps; a scorer near the chance of success after the step",
    cost="expand samples and opinions per iteration; whole solutions where it rolls out",
    departures="The value of a complete solution is the scorer's opinion of it, or the environment's outcome; no "
    "answer key is looked at. An unknown value is no visit. Equal steps under one parent count once. A complete "
    "solution is not visited again; where nothing is open the search ends. Where no solution is complete the most "
    "valuable partial one is completed.",
    code="https://github.com/openreasoner/openr (reason/guided_search/tree.py)",
)

_BASE, _INIT = 19652, 1.25

PRESETS = {
    "alphamath": Preset(
        {"iterations": 40, "expand": 5, "c": 1.5, "prior": "geometric", "leaf": "parent"},
        "AlphaMath, update_leaf_value False: an expansion backs up the value of the expanded step and those of "
        "complete children; priors are not normalized over siblings",
        system="alphamath_mcts",
        title="AlphaMath Almost Zero: Process Supervision without Process",
        paper="arXiv:2405.03553",
        evidence="official code read",
        bibtex="""@misc{chen2024alphamath,
  title={AlphaMath Almost Zero: Process Supervision without Process},
  author={Chen, Guoxin and Liao, Minpeng and Li, Chengxi and Fan, Kai},
  eprint={2405.03553}, archivePrefix={arXiv}, year={2024}}""",
        code="https://github.com/MARIO-Math-Reasoning/Super_MARIO (mcts_math/agents/mcts.py)",
        departures="The value of a complete solution is the scorer's opinion, as the code does without a reference. An "
        "unknown value is no visit. The task itself has no value. An empty step has the prior 0 (the code fails).",
    ),
    "openr": Preset(
        {"bound": "alphazero", "prior": "geometric", "leaf": "descent"},
        "OpenR vanila_mcts: each iteration goes on to a complete solution and backs its value up; c grows with visits, "
        "c_base 19652, c_init 1.25; priors sum to 1",
    ),
    "uct": Preset(
        {"bound": "uct", "leaf": "rollout", "c": math.sqrt(2)},
        "Kocsis and Szepesvari: UCT, each new step valued by a solution completed from it",
    ),
    "vote": Preset({"choose": "vote"}, "complete solutions vote with their values"),
}


def bounds(value: Floats, prior: Floats, visits: Floats, above: float, kind: str, c: float) -> Floats:
    """[children] the bound by which one is selected.

        puct       Q + c * prior * sqrt(N_parent) / (1 + N)
        uct        Q + c * sqrt(ln N_parent / N)
        alphazero  Q + (ln((N_parent + 19653) / 19652) + 1.25) * prior * sqrt(N_parent) / (1 + N)

    >>> q, p, n = np.array([0.2, -0.1]), np.array([0.6, 0.9]), np.array([4.0, 1.0])
    >>> bounds(q, p, n, 10, "puct", 1.5).round(4).tolist()
    [0.7692, 2.0345]
    >>> round(float(bounds(np.array([0.6]), np.array([0.5]), np.array([4.0]), 10, "alphazero", 1.0)[0]), 5)
    0.99546
    """
    if kind == "uct":
        return uct(value, visits, above, c)
    grown = math.log((above + _BASE + 1) / _BASE) + _INIT if kind == "alphazero" else c
    return np.asarray(value + grown * prior * math.sqrt(above) / (1 + visits))


def geometric_mean(logp: float, tokens: int | None) -> float:
    """exp(log-probability / tokens) of a text; NaN where either is not known or there is no token.

    >>> round(geometric_mean(math.log(0.25), 2), 6), geometric_mean(-1.0, 0)
    (0.5, nan)
    """
    return math.exp(min(logp / tokens, 0.0)) if tokens and logp == logp else NAN


def mcts(
    search: Search,
    *,
    iterations: int = 16,
    expand: int = 4,
    bound: Bound = "puct",
    c: float = 1.0,
    prior: Prior = "even",
    leaf: Leaf = "score",
    ends: Literal["scorer", "outcome"] = "scorer",
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """Descend by Q + c * P * sqrt(N_parent) / (1 + N), expand, value, back up: W += v, N += 1 all the way to the task.

    Complete solutions, and steps below which all are complete, are not descended into again; ties are drawn.

    Args:
        iterations: at most. expand: next steps drawn of a leaf; equal ones are one.
        bound: one of `bounds`; with "alphazero" unvisited steps count with the scorer's opinion and priors sum to 1.
        c: weight of exploration, not of "alphazero".
        prior: "even", 1 / siblings; "geometric", exp(mean log-probability of the step's tokens), which the sampler must
            tell.
        leaf: what an expansion backs up: the "score" of each new child; that of the expanded step, the "parent", and
            of complete children; a "rollout", the value of a solution completed from each of them; "descent", the way
            leads on to a complete solution, and its value is backed up.
        ends: value of a complete solution: the "scorer"'s, or the "outcome" in a live environment.
        choose: the "best" complete solution, or a "vote" weighted by values.

    Raises:
        StepCreditError: iterations or expand below 1; outcomes without a live environment; prior="geometric" and no
            log-probabilities.
    """
    if iterations < 1 or expand < 1:
        raise StepCreditError(f"iterations and expand must be at least 1; got {iterations}, {expand}")
    if ends == "outcome" and search.task.world is None:
        raise StepCreditError("only a live environment tells outcomes", hint="ends='scorer'")
    search.choose = partial(search.best if choose == "best" else search.vote, "last")
    make = partial(_expand, search, n=expand, prior=prior, whole=bound == "alphazero")
    for _ in range(iterations):
        node = _descend(search, search.root, c, bound)
        if node is None:
            break
        if leaf == "descent":
            yield from _to_the_end(search, node, make, c, bound, ends)
            continue
        fresh = yield from make(node)
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
    """The child of the largest bound; ties are drawn. Where OpenR's is asked, what was not visited counts as scored."""
    visits = np.array([n.visits for n in children], float)
    first = np.array([n.score if bound == "alphazero" else 0.0 for n in children])
    value = np.where(visits > 0, [n.value for n in children], np.where(np.isnan(first), -np.inf, first))
    score = bounds(value, np.array([n.prior for n in children]), visits, node.visits, bound, c)
    return children[int(search.rng.choice(np.flatnonzero(score == score.max())))]


def _expand(search: Search, node: Node, n: int, prior: Prior, whole: bool) -> Plan[list[Node]]:
    """New steps, one of each text, with their priors; `whole`: these sum to 1."""
    fresh = once((yield from search.propose([node], n))[0])
    for child in fresh:
        child.prior = 1.0 / len(fresh) if prior == "even" else geometric_mean(child.logp, child.tokens)
        if child.prior != child.prior and child.text:
            raise StepCreditError(
                "prior='geometric' needs log-probabilities of the sampler",
                hint="a Client with logprobs=0, or prior='even'",
            )
        child.prior = 0.0 if child.prior != child.prior else child.prior
    total = sum(child.prior for child in fresh)
    for child in fresh if whole and total else ():
        child.prior /= total
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
    elif leaf == "score":
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


def _to_the_end(search: Search, node: Node, make: Make, c: float, bound: Bound, ends: str) -> Plan[None]:
    """From an open step on to a complete one, expanding on the way."""
    while not node.ended:
        fresh = yield from make(node)
        if not fresh:
            node.facts["closed"] = True
            return
        yield from _opinions(search, fresh, ends)
        node = _pick(search, node, fresh, c, bound)
    back_up(node, node.score)
