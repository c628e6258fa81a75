"""Monte Carlo tree search over steps: upper confidence bounds say where to look, values say what was found."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.search.uct import back_up, uct
from stepcredit.shelf import PlanCard

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
    cost="expand samples and opinions per iteration, and with leaf='rollout' one whole solution",
    departures="The value of a complete solution is the scorer's opinion of it, or the environment's outcome; no "
    "answer key is looked at. A node without a score is passed by. Equal steps under one parent count once.",
    code="https://github.com/openreasoner/openr (reason/guided_search/tree.py)",
)

PRESETS = {
    "uct": Preset({"bound": "uct", "c": 1.414, "leaf": "rollout"}, "the plain form: UCT, one completion per new leaf"),
    "openr": Preset({"bound": "alphazero"}, "OpenR: c grows with visits, c_base 19652, c_init 1.25"),
    "alphamath": Preset(
        {"bound": "puct", "c": 1.5, "prior": "geometric", "iterations": 40, "expand": 5},
        "AlphaMath: prior = geometric mean probability of the step's tokens, not normalized over siblings",
        system="alphamath_mcts",
        title="AlphaMath Almost Zero: Process Supervision without Process",
        paper="arXiv:2405.03553",
        code="https://github.com/MARIO-Math-Reasoning/Super_MARIO (mcts_math/agents/mcts.py)",
        departures="A terminal node's value is the scorer's opinion, as the code does without a reference.",
    ),
}

_BASE, _INIT = 19652, 1.25


def mcts(
    search: Search,
    *,
    iterations: int = 16,
    expand: int = 4,
    bound: Literal["puct", "uct", "alphazero"] = "puct",
    c: float = 1.0,
    prior: Literal["even", "geometric"] = "even",
    leaf: Literal["score", "rollout"] = "score",
    choose: Literal["value", "score", "vote"] = "value",
) -> Plan[Node | None]:
    """Select by a bound, expand, evaluate, back up the mean, `iterations` times.

        puct       Q + c * prior * sqrt(N_parent) / (1 + N)
        uct        Q + c * sqrt(ln N_parent / N)
        alphazero  Q + (ln((N_parent + 19653) / 19652) + 1.25) * prior * sqrt(N_parent) / (1 + N)

    Q of a node that was not visited is its score. A node all of whose children are complete and visited is not visited
    again.

    Args:
        expand: next steps drawn of a leaf. prior: "even", 1 / siblings; "geometric", exp(mean log-probability of the
            step's tokens), which the sampler must tell.
        leaf: what is backed up: the "score" of each new child, or that of a whole solution from the best of them
            ("rollout").
        choose: the complete solution of the largest mean "value", of the largest "score", or the weighted "vote".

    Raises:
        StepCreditError: iterations or expand below 1; prior="geometric" and no log-probabilities.
    """
    if iterations < 1 or expand < 1:
        raise StepCreditError(f"iterations and expand must be at least 1; got {iterations}, {expand}")
    search.choose = {"value": lambda: _best_value(search), "score": search.best, "vote": search.vote}[choose]
    for _ in range(iterations):
        node = _descend(search.root, bound, c)
        if node is None:
            break
        if node.ended:
            back_up(node, _value_of(node))
            continue
        (made,) = yield from search.propose([node], expand)
        node.facts["expanded"] = True
        children = _distinct(made)
        _set_priors(children, prior)
        yield from search.score(children)
        if leaf == "score" or not children:
            for child in children:
                back_up(child, _value_of(child))
            continue
        best = max(children, key=lambda n: (n.score == n.score, n.score))
        ((end,),) = yield from _one(search, best)
        yield from search.score([end])
        back_up(best, _value_of(end))
    return None


def bounds(value: Floats, prior: Floats, visits: Floats, above: float, kind: str, c: float) -> Floats:
    """[children] the bound by which one is selected.

    >>> q, p, n = np.array([0.2, -0.1]), np.array([0.6, 0.9]), np.array([4.0, 1.0])
    >>> bounds(q, p, n, 10, "puct", 1.5).round(4).tolist()
    [0.7692, 2.0345]
    >>> round(float(bounds(np.array([0.6]), np.array([0.5]), np.array([4.0]), 10, "alphazero", 1.0)[0]), 5)
    0.99546
    """
    if kind == "uct":
        return uct(value, visits, above, c)
    grown = np.log((above + _BASE + 1) / _BASE) + _INIT if kind == "alphazero" else c
    return np.asarray(value + grown * prior * np.sqrt(above) / (1 + visits))


def _descend(root: Node, kind: str, c: float) -> Node | None:
    """From the root to a node to expand, or a complete one that was not visited; None where all is known."""
    node = root
    while node.facts.get("expanded"):  # children of a completion are no expansion
        open_ = [n for n in node.children if n.kept and not n.facts.get("done") and (n.score == n.score or n.visits)]
        if not open_:
            node.facts["done"] = True
            if node.parent is None:
                return None
            node = root
            continue
        q = np.array([n.value if n.visits else n.score for n in open_])
        p = np.array([n.prior for n in open_])
        visits = np.array([n.visits for n in open_], float)
        node = open_[int(np.argmax(bounds(q, p, visits, max(node.visits, 1), kind, c)))]
        if node.ended and node.visits:
            node.facts["done"] = True
            node = root
    return None if node.facts.get("done") else node


def _set_priors(children: list[Node], prior: str) -> None:
    for child in children:
        if prior == "even":
            child.prior = 1 / len(children)
        elif child.logp == child.logp and child.tokens:
            child.prior = float(np.exp(child.logp / child.tokens))
        else:
            raise StepCreditError(
                "prior='geometric' needs log-probabilities of the sampler",
                hint="a Client with logprobs=0, or prior='even'",
            )


def _value_of(node: Node) -> float:
    return node.outcome if node.outcome == node.outcome else node.score


def _best_value(search: Search) -> Node | None:
    """The complete solution of the largest value; of those never visited, by their score."""
    leaves = search.tree.leaves()
    known = [(n.value if n.visits else n.score, n) for n in leaves]
    known = [(v, n) for v, n in known if v == v]
    return max(known, key=lambda pair: pair[0])[1] if known else search.majority()


def _one(search: Search, node: Node) -> Plan[list[list[Node]]]:
    made = yield from search.complete([node], 1)
    if not made[0]:
        made[0].append(search.tree.add(node, "", ended=True))
    return made


def _distinct(children: list[Node]) -> list[Node]:
    first: dict[str, Node] = {}
    for child in children:
        child.kept = first.setdefault(child.text.strip(), child) is child
    return list(first.values())
