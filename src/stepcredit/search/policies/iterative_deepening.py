"""Iterative deepening sampling: at token budgets that grow geometrically the model is told to check itself."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.ops import Aggregate
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="ID-Sampling: Iterative Deepening Sampling as Efficient Test-Time Scaling",
    paper="arXiv:2502.05449",
    bibtex="""@misc{chen2025iterative,
  title={Iterative Deepening Sampling as Efficient Test-Time Scaling},
  author={Chen, Weizhe and Koenig, Sven and Dilkina, Bistra},
  eprint={2502.05449}, archivePrefix={arXiv}, year={2025}}""",
    evidence="secondary text",
    asks=("sampler",),
    may_ask=("scorer",),
    needs="a model that can go on after a phrase that makes it check itself",
    cost="n solutions, each with a trigger at every checkpoint that it reaches",
    departures="The trigger stands at the next step boundary, so that steps stay whole. What was written stays. A "
    "solution that ends before the first checkpoint gets no trigger; the published values of budget, growth and phrase "
    "are not known, these are ours.",
)


def iterative_deepening(
    search: Search,
    *,
    n: int = 8,
    first: int = 256,
    growth: float = 2.0,
    trigger: str = "Wait, let me check this step by step before going on.",
    choose: Literal["majority", "best", "vote"] = "majority",
    how: Aggregate = "last",
) -> Plan[Node | None]:
    """Checkpoints at B_k = first * growth^k tokens; at each, `trigger` is written as a step of its own.

    Args:
        n: solutions. first, growth: of the checkpoints. choose: "majority" of the answers, the "best" solution by the
            scorer, or its weighted "vote". how: of scores of steps.

    Raises:
        StepCreditError: a live environment; n or first < 1; growth <= 1.
    """
    if search.task.world is not None:
        raise StepCreditError("a trigger is a line of text, and a live environment takes actions", hint="use majority")
    if n < 1 or first < 1 or growth <= 1:
        raise StepCreditError(f"n and first must be at least 1, growth above 1; got {n}, {first}, {growth}")
    search.choose = search.majority if choose == "majority" else partial(_CHOICES[choose], search, how)
    made = yield from search.propose([search.root], n)
    open_ = {node: checkpoints(first, growth) for node in made[0] if not node.ended}
    due = {node: next(marks) for node, marks in open_.items()}
    while open_:
        following: dict[Node, Iterator[float]] = {}
        ends: dict[Node, float] = {}
        for node, marks in open_.items():
            mark, at = due[node], node
            written = sum(step.tokens or 0 for step in node.path)
            if written >= mark and node.depth + 1 < search.writing.depth:
                at = search.tree.add(node, trigger, tokens=0)
                at.facts["trigger"] = mark
                mark = next(m for m in marks if m > written)
            following[at], ends[at] = marks, mark
        nodes = [node for node in following if not node.ended]
        children = yield from search.propose(nodes, 1)
        open_, due = {}, {}
        for node, grown in zip(nodes, children, strict=True):
            if grown and not grown[0].ended:
                open_[grown[0]], due[grown[0]] = following[node], ends[node]
    if choose != "majority":
        yield from search.score([step for leaf in search.tree.leaves() for step in leaf.path])
    return None


_CHOICES = {"best": Search.best, "vote": Search.vote}


def checkpoints(first: int, growth: float) -> Iterator[float]:
    """first, first * growth, first * growth^2, ...

    >>> from itertools import islice
    >>> [m for m in islice(checkpoints(256, 2.0), 5)]
    [256.0, 512.0, 1024.0, 2048.0, 4096.0]
    """
    mark = float(first)
    while True:
        yield mark
        mark *= growth
