"""Process Reward Agents: beam search whose every step is judged with documents found for it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.llm.requests import Ask, BudgetSpent, Failed, Plan, Score
from stepcredit.search.engine import Search
from stepcredit.search.judging import heard, mark, opinions
from stepcredit.search.picking import ranked
from stepcredit.search.tree import NAN, Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Process Reward Agents for Steering Knowledge-Intensive Reasoning",
    paper="arXiv:2604.09482",
    bibtex="""@misc{sohn2026pra,
  title={Process Reward Agents for Steering Knowledge-Intensive Reasoning},
  author={Sohn, Jiwoong and Sternal, Tomasz and Styppa, Kenneth and Hoefler, Torsten and Moor, Michael},
  eprint={2604.09482}, archivePrefix={arXiv}, year={2026}}""",
    evidence="secondary text",
    asks=("sampler", "scorer", "retriever"),
    may_ask=("gate",),
    needs="a retriever (query -> documents as one text), and a scorer that reads them before the task",
    cost="beams * expand steps, opinions and searches per depth",
    departures="How the query is made is not established: the task and the step. A step that could not be judged "
    "stands last. The sum favors long solutions, as rewards are not negative; how='mean' does not.",
)

PRESETS = {
    "mean": Preset({"how": "mean"}, "derived: the mean of the rewards, which does not favor long solutions"),
    "no-search": Preset({"when": "never"}, "the ablation: judged without documents"),
    "adaptive": Preset({"when": "gate"}, "the second output of the agent decides whether to search for a step"),
}


def steered(rewards: Sequence[Floats], how: Literal["sum", "mean"] = "sum") -> Floats:
    """[N] R of each partial solution: the sum of its steps' rewards, or their mean; NaN where one is not known.

    >>> steered([np.array([0.9, 0.6]), np.array([0.8, 0.75])]).tolist()
    [1.5, 1.55]
    """
    return np.array([(r.sum() if how == "sum" else r.mean()) if len(r) else NAN for r in rewards], float)


def pra(
    search: Search,
    *,
    beams: int = 4,
    expand: int = 16,
    when: Literal["always", "never", "gate"] = "always",
    how: Literal["sum", "mean"] = "sum",
) -> Plan[Node | None]:
    """Of the next steps of each beam the `beams` best stay, by the sum of r_1 .. r_t, each judged with documents.

    Args:
        beams: B. expand: b, next steps per beam.
        when: documents are searched for "always", "never", or where the gate's opinion of the step is above 0.5.
        how: "sum" of the rewards of a solution, or "mean".

    Raises:
        StepCreditError: beams or expand below 1.
    """
    if beams < 1 or expand < 1:
        raise StepCreditError(f"beams and expand must be at least 1; got {beams}, {expand}")
    search.choose = lambda: _best(search.tree.leaves(), how)
    kept = [search.root]
    while kept and not all(n.ended for n in kept):
        made = yield from search.propose(kept, expand)
        fresh = [child for children in made for child in children]
        yield from _judge(search, fresh, when)
        pool = [n for n in kept if n.ended] + fresh
        kept = _order(pool, how)[:beams]
        for node in pool:
            node.kept = node.ended or node in kept
        if not fresh:
            break
    return _best([n for n in kept if n.ended], how)


def _judge(search: Search, nodes: Sequence[Node], when: str) -> Plan[None]:
    """Search, then score, each step once."""
    looked = list(nodes) if when == "always" else []
    if when == "gate":
        looked = yield from _gated(search, nodes)
    documents = yield from _documents(search, looked)
    asked = [n for n in nodes if n not in documents or documents[n] is not None]
    requests = [Score(_shown(documents.get(n)) + _before(search, n), n.text) for n in asked]
    for node, reply in zip(asked, (yield from opinions(search, requests)), strict=True):
        heard(node, reply)
    for node in nodes:
        if node not in asked:
            mark(node, NAN, "no documents: the retriever failed")


def _gated(search: Search, nodes: Sequence[Node]) -> Plan[list[Node]]:
    replies = yield from opinions(search, [Score(_before(search, n), n.text, to="gate") for n in nodes], "gate")
    return [n for n, reply in zip(nodes, replies, strict=True) if not isinstance(reply, Failed) and reply > 0.5]


def _documents(search: Search, nodes: Sequence[Node]) -> Plan[dict[Node, str | None]]:
    """What was found for each step; None = the retriever failed."""
    if not nodes:
        return {}
    if search.ledger.room("tool") < len(nodes):
        raise BudgetSpent("the search has no searches left")
    replies = yield [Ask(f"{search.task.prompt.strip()}\n{n.text}", to="retriever") for n in nodes]
    search.ledger.tool += len(nodes)
    for node, reply in zip(nodes, replies, strict=True):
        node.facts["documents"] = None if isinstance(reply, Failed) else reply
    return {node: node.facts["documents"] for node in nodes}


def _shown(documents: str | None) -> str:
    return "" if not documents else quoted(("documents", documents)) + "\n\n"


def _before(search: Search, node: Node) -> str:
    assert node.parent is not None
    return search.task.prompt + search.prefix(node.parent)


def _order(nodes: Sequence[Node], how: Literal["sum", "mean"]) -> list[Node]:
    return [nodes[i] for i in ranked(steered([n.scores() for n in nodes], how)).tolist()]


def _best(nodes: Sequence[Node], how: Literal["sum", "mean"]) -> Node | None:
    return next(iter(_order(nodes, how)), None)
