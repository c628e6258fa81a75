"""BAVT: a value tree of agent steps that turns from trying around to pushing on as the budget runs out."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Failed, Plan
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark, question, read_number
from stepcredit.search.picking import most_valuable
from stepcredit.search.tree import Node
from stepcredit.search.weighing import softmax
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Spend Less, Reason Better: Budget-Aware Value Tree Search for LLM Agents",
    paper="arXiv:2603.12634",
    bibtex="""@misc{li2026bavt,
  title={Spend Less, Reason Better: Budget-Aware Value Tree Search for {LLM} Agents},
  author={Li, Yushu and Deng, Wenlong and Li, Jiajin and Li, Xiaoxiao},
  eprint={2603.12634}, archivePrefix={arXiv}, year={2026}}""",
    evidence="secondary text",
    asks=("sampler", "judge"),
    needs="limits, such as {'tool': 10, 'tokens': 4000}: without any the search never turns to pushing on",
    cost="one step and one question to the judge per iteration, one question for the plan; within the limits",
    departures="Scale, start and floor of values are not established: 1 to 10, from 5. The ratio is that of the "
    "tightest limit. A step of no gain is not deepened, and what it follows stays open; one whose critic failed is not "
    "deepened either. Of equal steps the deepest is answered from. The forced answer is paid from the limits: the "
    "search stops one step early for it.",
)

PRESETS = {
    "checked": Preset({"accept": 0.0}, "derived: an answer that the critic calls a loss does not end the search"),
}

PLAN = "How many steps or searches will this take, and which? Two lines at most, no solution."
RESIDUAL = (
    "How much new, useful information did the last step add to what was known before it? Judge the step alone, not how "
    'good it all is. 0 or less: nothing, or a repetition. End with a line "Gain: <number from -5 to 5>".'
)


def budget_weights(values: Floats, left: float) -> Floats:
    """[nodes] P(n) = V(n)^(1/r) / sum_m V(m)^(1/r), as softmax(ln V / r); at r = 0 all on the first largest.

    values: positive. left: r, the share of the budget that is left, 0 to 1.

    >>> budget_weights(np.array([4.0, 7.0, 8.0]), 0.5).round(4).tolist()
    [0.124, 0.3798, 0.4961]
    """
    v = np.asarray(values, float)
    if left <= 0:
        return np.asarray(np.arange(v.size) == np.argmax(v), float)
    return softmax(np.log(np.maximum(v, 1e-12)) / left)


def enough_steps(advances: int, chance: float, error: float) -> int:
    """Steps after which an answer is found with probability 1 - error, if it takes `advances` on some path and each
    step is one with probability >= `chance`: M >= (K + sqrt(2 K ln(1/e)) + 2 ln(1/e)) / p.

    >>> enough_steps(3, 0.5, 0.1), enough_steps(5, 0.4, 0.05)
    (23, 42)
    """
    x = np.log(1 / error)
    return int(np.ceil((advances + np.sqrt(2 * advances * x) + 2 * x) / chance))


def bavt(
    search: Search,
    *,
    most: int = 50,
    start: float = 5.0,
    low: float = 1.0,
    high: float = 10.0,
    answer_at: float | None = None,
    accept: float | None = None,
    plan: bool = True,
    forced: str | None = None,
    reserve: int | None = None,
) -> Plan[Node | None]:
    """Open steps are drawn by V^(1/r), r the share of the budget that is left; V(child) = clip(V(parent) + gain).

    Args:
        most: steps tried. start: value of the task itself. low, high: V is held within; low must be positive.
        answer_at: a step of this value is followed by the answer at once.
        accept: least gain of an answer that ends the search; None: any answer does.
        plan: the judge is asked for a plan first.
        forced: how a forced answer begins; None: "Answer:", in a live environment nothing.
        reserve: tokens kept for it; None: as many as a step may have.

    Raises:
        StepCreditError: values that are not 0 < low <= start <= high.
    """
    if not 0 < low <= start <= high:
        raise StepCreditError(f"values must be 0 < low <= start <= high; got {low}, {start}, {high}")
    search.choose = partial(most_valuable, search)
    kept_back = reserve or search.writing.max_tokens
    opening = ("Answer:" if search.task.world is None else "") if forced is None else forced
    search.root.value, search.root.visits = start, 1
    lead = (yield from _plan(search)) if plan else ""
    open_ = [search.root]
    for _ in range(most):
        if not _affords(search, kept_back):
            break
        weights = budget_weights(np.array([n.value for n in open_]), search.ledger.left())
        node = open_[int(search.rng.choice(len(open_), p=weights))]
        made = (yield from search.propose([node], 1, before=lead))[0]
        if not made:
            continue
        child = made[0]
        yield from _judge(search, child, low, high)
        if child.ended and (accept is None or child.score >= accept):
            return child
        useful = child.score > 0 and not child.ended
        if useful:
            open_.append(child)
            if answer_at is not None and child.value >= answer_at:
                break
        child.kept = useful or child.ended
    return (yield from _answer(search, open_, opening, kept_back, lead))


def _plan(search: Search) -> Plan[str]:
    if search.ledger.room("judge") < 1:
        return ""
    (reply,) = yield from search.ask([question(search, search.root, PLAN)])
    if isinstance(reply, Failed):
        search.notes.append(f"no plan: {reply.reason}")
        return ""
    search.root.facts["plan"] = reply
    return f"Plan:\n{reply.strip()}\n\n"


def _affords(search: Search, reserve: int) -> bool:
    """Whether another step, the opinion of it, and the forced answer fit."""
    room = search.ledger.room
    wide = search.writing.max_tokens + reserve
    acts = room("tool") >= 2 or search.task.world is None
    return acts and room("calls") >= 2 and room("judge") >= 1 and min(room("tokens"), room("decode")) >= wide


def _judge(search: Search, child: Node, low: float, high: float) -> Plan[None]:
    (reply,) = yield from search.ask([question(search, child, RESIDUAL)])
    gain, why = read_number(reply, "Gain", -5, 5)
    mark(child, gain, why)
    if why is None:
        assert child.parent is not None
        child.value, child.visits = float(np.clip(child.parent.value + gain, low, high)), 1


def _answer(search: Search, open_: Sequence[Node], opening: str, reserve: int, lead: str) -> Plan[Node | None]:
    """The forced answer of the most valuable step; where it fails, what the search has."""
    best = max(open_, key=lambda n: (n.value, n.depth))
    made = (yield from search.propose([best], 1, more=opening, max_tokens=reserve, before=lead))[0]
    if not made:
        return None
    child = made[0]
    child.facts["forced"] = True
    child.ended = child.ended or search.task.world is None
    return child if child.ended else None
