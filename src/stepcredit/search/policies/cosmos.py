"""COS(M+O)S: tree search over plot steps that are surprising enough, and not too surprising."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import BudgetSpent, Continue, Failed, Plan
from stepcredit.search.engine import Search
from stepcredit.search.judging import opinions
from stepcredit.search.picking import most_valuable, once
from stepcredit.search.tree import NAN, Node, Tree
from stepcredit.search.uct import finished, grow
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="COS(M+O)S: Curiosity and RL-Enhanced MCTS for Exploring Story Space via Language Models",
    paper="arXiv:2501.17104",
    bibtex="""@misc{materzok2025cosmos,
  title={{COS(M+O)S}: Curiosity and {RL}-Enhanced {MCTS} for Exploring Story Space via Language Models},
  author={Materzok, Tobias},
  eprint={2501.17104}, archivePrefix={arXiv}, year={2025}}""",
    evidence="derived",
    asks=("sampler", "simulator", "scorer"),
    may_ask=("incoherence",),
    needs="a sampler of plot steps, a simulator that tells them out and gives log-probabilities, a scorer",
    cost="`expand` steps, as many expansions and opinions, per iteration",
    departures="From the abstract alone: all constants are ours. Equal steps under one parent count once. What the "
    "simulator tells is kept as the answer to the step. In a live environment the world answers, and the "
    "surprise is that of the action. Where the search ends without a complete solution the most valuable "
    "partial one is completed.",
)

PRESETS = {
    "no-curiosity": Preset({"curious": 0.0}, "the ablation: the scorer's opinion alone"),
    "incoherence": Preset({"incoherent": 1.0}, "derived: a second scorer's opinion of how incoherent a step is counts"),
}


def curiosity(surprise: Floats, mu: float = 2.5, sigma: float = 1.0) -> Floats:
    """An inverted U in the mean surprisal of a step's tokens (nats): exp(-(s - mu)^2 / (2 sigma^2)).

    >>> curiosity(np.array([0.5, 2.5, 5.0])).round(4).tolist()
    [0.1353, 1.0, 0.0439]
    """
    return np.asarray(np.exp(-((np.asarray(surprise, float) - mu) ** 2) / (2 * sigma**2)))


def sibling_pairs(tree: Tree, margin: float = 0.0) -> Iterator[tuple[Node, Node]]:
    """(chosen, rejected): the children of a node with the highest and the lowest Q, where they differ by more than the
    margin. Children that were never visited have no Q."""
    for node in tree.nodes:
        known = [c for c in node.children if c.visits]
        if len(known) > 1:
            best, worst = max(known, key=lambda n: n.value), min(known, key=lambda n: n.value)
            if best.value - worst.value > margin:
                yield best, worst


def cosmos(
    search: Search,
    *,
    iterations: int = 16,
    expand: int = 3,
    c: float = 1.0,
    curious: float = 1.0,
    incoherent: float = 0.0,
    mu: float = 2.5,
    sigma: float = 1.0,
) -> Plan[Node | None]:
    """Monte Carlo tree search, the value of a step v = score + w_c * curiosity - w_i * incoherence.

    Args:
        expand: new steps per iteration. c: exploration of UCT = Q + c * sqrt(ln N_p / N).
        curious: w_c. incoherent: w_i; 0: nobody is asked.
        mu, sigma: the surprise (nats per token) that is liked best, and how far from it still pleases.

    Raises:
        StepCreditError: iterations or expand below 1; the simulator gives no log-probabilities while curiosity counts.
    """
    if iterations < 1 or expand < 1:
        raise StepCreditError(f"iterations and expand must be at least 1; got {iterations}, {expand}")
    search.choose = partial(most_valuable, search)

    def widen(node: Node) -> Plan[Sequence[Node]]:
        made = once((yield from search.propose([node], expand))[0])
        if search.task.world is None:
            yield from _simulate(search, made, curious)
        return [n for n in made if n.kept]

    def evaluate(nodes: Sequence[Node]) -> Plan[Floats]:
        return (yield from _values(search, nodes, curious, incoherent, (mu, sigma)))

    yield from grow(search, iterations=iterations, c=c, expand=widen, evaluate=evaluate)
    yield from finished(search)
    return None


def _known(surprise: float) -> float:
    if surprise != surprise:
        raise StepCreditError(
            "cosmos rewards curiosity and nobody gives log-probabilities of what was written",
            hint="a simulator whose samples have logp (in a live environment the sampler), or curious=0",
        )
    return surprise


def _simulate(search: Search, nodes: Sequence[Node], curious: float) -> Plan[None]:
    """What each step comes to, as its answer."""
    wide = search.writing.max_tokens
    room = search.ledger.room
    if room("calls") < len(nodes) or min(room("tokens"), room("draft")) < wide * len(nodes):
        raise BudgetSpent("the search has spent its budget")
    heat, stop = search.writing.temperature, (search.writing.separator,)
    task = search.task
    replies: list[Any] = yield [
        Continue(task.prompt, search.prefix(n), 1, wide, heat, stop, search.draw(), "simulator", task.history)
        for n in nodes
    ]
    for node, reply in zip(nodes, replies, strict=True):
        if isinstance(reply, Failed) or not reply:
            node.kept, node.reason = False, reply.reason if isinstance(reply, Failed) else "no expansion"
            continue
        sample = reply[0]
        search.ledger.charge(sample, "simulator")
        node.observation = sample.text.removesuffix(search.writing.separator)
        if curious and sample.text:
            told = sample.logp is not None and sample.logp.size
            node.facts["surprise"] = _known(float(-np.mean(sample.logp)) if told else NAN)


def _values(
    search: Search, nodes: Sequence[Node], curious: float, incoherent: float, shape: tuple[float, float]
) -> Plan[Floats]:
    value = yield from search.score(nodes)
    if curious:
        if search.task.world is not None:
            for n in nodes:
                if n.tokens:
                    n.facts["surprise"] = _known(-n.logp / n.tokens)
        value = value + curious * curiosity(np.array([n.facts.get("surprise", NAN) for n in nodes]), *shape)
    if incoherent:
        value = value - incoherent * (yield from _incoherence(search, nodes))
    return value


def _incoherence(search: Search, nodes: Sequence[Node]) -> Plan[Floats]:
    replies = yield from opinions(search, [search.question(n, "incoherence") for n in nodes])
    return np.array([NAN if isinstance(r, Failed) else float(r) for r in replies])
