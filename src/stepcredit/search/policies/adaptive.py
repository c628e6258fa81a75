"""Adaptive self-consistency: draw solutions until the vote is settled, alone or for many tasks from one budget."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.credit.select.blend_asc import Confidence, blend_asc
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import BudgetSpent, Plan, side_by_side
from stepcredit.search.engine import Search
from stepcredit.search.run import Found, plan
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

Answers = Sequence[Hashable | None]

CARD = PlanCard(
    title="Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning and Coding with LLMs",
    paper="arXiv:2305.11860",
    bibtex="""@inproceedings{aggarwal2023lets,
  title={Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning and Coding with LLMs},
  author={Aggarwal, Pranjal and Madaan, Aman and Yang, Yiming and {Mausam}},
  booktitle={EMNLP}, eprint={2305.11860}, archivePrefix={arXiv}, year={2023}}""",
    evidence="derived",
    asks=("sampler",),
    needs="a task that the model can attempt in one go, and answers that can be equal",
    cost="up to `most` whole solutions, fewer where they agree; one after the other, `batch` at a time",
    departures="A solution without an answer, and one that failed, counts as an answer of its own that nobody shares: "
    "it unsettles the vote and does not take part in it. A task whose most frequent answer is wrong settles on it.",
)

PRESETS = {
    "ppr": Preset(
        {"confidence": "ppr", "settled": 0.9, "least": 4},
        "PPR-1v1: prior-posterior ratio of the two leading answers, at 0.1 and from four samples on",
        system="ppr_1v1",
        title="PPR-1v1: PAC Mode Estimation using PPR Martingale Confidence Sequences",
        paper="arXiv:2109.05047",
        evidence="secondary text",
        bibtex="""@inproceedings{jain2022pac,
  title={PAC Mode Estimation using PPR Martingale Confidence Sequences},
  author={Jain, Shubham Anand and Shah, Rohan and Gupta, Sanit and Mehta, Denil and Nair, Inderjeet J. and others},
  booktitle={AISTATS}, year={2022}}""",
    ),
    "esc": Preset(
        {"confidence": "streak", "settled": 1.0, "batch": 5},
        "early-stopping self-consistency: windows of five, until the five of one are equal",
        system="esc",
        title="ESC: Escape Sky-high Cost, Early-stopping Self-Consistency for Multi-step Reasoning",
        paper="arXiv:2401.10480",
        evidence="derived",
        bibtex="""@inproceedings{li2024escape,
  title={Escape Sky-high Cost: Early-stopping Self-Consistency for Multi-step Reasoning},
  author={Li, Yiwei and Yuan, Peiwen and Feng, Shaoxiong and Pan, Boyuan and Wang, Xinglin and Sun, Bin and others},
  booktitle={ICLR}, year={2024}}""",
    ),
    "blend": Preset(
        {"confidence": "blend"},
        "Blend-ASC for one task: early the beta criterion counts, late the prior-posterior ratio",
        system="blend_asc",
        title="Blend-ASC: Optimal Self-Consistency for Efficient Reasoning with Large Language Models",
        paper="arXiv:2511.12309",
        evidence="secondary text",
        bibtex="""@article{feng2025optimal,
  title={Optimal Self-Consistency for Efficient Reasoning with Large Language Models},
  author={Feng, Austin and Alonso, Marius and Odonnat, Ambroise},
  journal={arXiv:2511.12309}, year={2025}}""",
        departures="A budget shared by many tasks is that of the plan `blend` in this file; a search sees one task "
        "and stops at a threshold, which the paper does without. The linear weight is ours.",
    ),
}


def confidences(
    answers: Sequence[Answers],
    kind: Confidence = "asc",
    *,
    budget: float = 40,
    categories: int = 2,
    window: int = 5,
) -> Floats:
    """[tasks] how settled each vote is, 0 to 1, by the selector `blend_asc`; 0.5 or less where nothing was drawn.

        asc    = P(Beta(a + 1, b + 1) > 1/2)          a, b: samples of the two most frequent answers
        ppr    = 1 - min(1, (categories - 1) * density of Beta(a + 1, b + 1) at 1/2)
        blend  = (1 - t) asc + t ppr,  t = samples drawn / (budget * tasks), at most 1
        streak = equal answers at the end, over `window`, at most 1

    >>> confidences(["AAAA", "AAAB", "AABB", "AAAAAABB"]).round(3).tolist()
    [0.969, 0.812, 0.5, 0.91]
    >>> (1 - confidences(["AAAA", "AAAAAABB"], "ppr")).round(4).tolist()
    [0.3125, 0.9844]
    """
    ids: dict[Any, int] = {}
    group, answer = [], []
    for task, given in enumerate(answers):
        for i, one in enumerate(given):
            group.append(task)
            answer.append(ids.setdefault((None, task, i) if one is None else (task, one), len(ids)))
    asked = np.arange(len(answer))
    layout = Layout(np.array([*group, *range(len(answers))], np.int64), asked)
    held = np.array([*answer, *np.arange(len(answers)) + len(ids)], np.int64)
    options: dict[str, Any] = {"confidence": kind, "budget": budget, "categories": categories, "window": window}
    made = blend_asc(layout, held, **options)
    assert made.priority is not None
    return 1.0 - made.priority


def allocate(
    answers: Sequence[Answers],
    *,
    budget: float = 8,
    draws: int = 1,
    rule: Literal["lowest", "threshold"] = "lowest",
    confidence: Confidence = "blend",
    settled: float = 0.95,
    least: int = 1,
    most: int | None = None,
    categories: int = 2,
    window: int = 5,
    closed: Collection[int] = (),
) -> Ints:
    """[tasks] solutions to draw of each next; all 0 where the budget is spent or nothing is open.

    First each task gets `least`. Then, by the rule,

        lowest:     one each for the `draws` tasks of the least confidence; of equals for those of fewer solutions
        threshold:  one each for every task whose confidence is below `settled`, those of fewer solutions first

    Args:
        answers: of each task, in the order drawn; None: a solution without one. budget: solutions per task, on average.
        most: solutions per task. Without it a task whose two best answers are equally likely takes, by "lowest", all
            that is left.
        closed: tasks that get nothing more.

    >>> drawn = ["AAAA", "AABB", "AAAB"]
    >>> allocate(drawn).tolist(), allocate(drawn, confidence="asc", rule="threshold").tolist()
    ([0, 1, 0], [0, 1, 1])
    """
    n = np.array([len(a) for a in answers], np.int64)
    left = int(np.floor(budget * n.size - n.sum() + 1e-9))
    more = np.zeros(n.size, np.int64)
    open_ = n < (np.inf if most is None else most)
    open_[list(closed)] = False
    if left < 1 or not open_.any():
        return more
    lacking = np.where(open_, np.maximum(least - n, 0), 0)
    if lacking.any():
        before = np.cumsum(lacking) - lacking
        return np.asarray(np.clip(left - before, 0, lacking), np.int64)
    sure = confidences(answers, confidence, budget=budget, categories=categories, window=window)
    if rule == "threshold":
        wanted = np.flatnonzero(open_ & (sure < settled))
        order, count = wanted[np.argsort(n[wanted], kind="stable")], left
    else:
        wanted = np.flatnonzero(open_)
        # Equal chances differ by the dust of the beta function.
        order, count = wanted[np.lexsort((n[wanted], sure[wanted].round(9)))], min(draws, left)
    more[order[:count]] = 1
    return more


def adaptive(
    search: Search,
    *,
    most: int = 40,
    settled: float = 0.95,
    confidence: Confidence = "asc",
    least: int = 1,
    batch: int = 1,
    categories: int = 2,
    window: int = 5,
) -> Plan[Node | None]:
    """Solutions until the confidence in the leading answer reaches `settled`, then the answer that most have.

        stop:  P(Beta(a + 1, b + 1) > 1/2) >= settled,  a, b: solutions with the two most frequent answers

    Args:
        most: solutions. least: before which the search does not stop. batch: drawn at a time.
        confidence: "asc" as above; "ppr", "blend" (its budget is `most`) or "streak", see `confidences`.
        categories: answers that there can be, in "ppr". window: of a "streak".

    Raises:
        StepCreditError: not one solution may be drawn.
    """
    if most < 1 or batch < 1:
        raise StepCreditError(f"most and batch must be at least 1; got {most}, {batch}")
    search.choose = search.majority
    keys: list[str | None] = []
    while len(keys) < most:
        yield from _draw(search, keys, min(batch, most - len(keys)))
        sure = confidences([keys], confidence, budget=most, categories=categories, window=window)[0]
        search.root.facts["confidence"] = float(sure)
        # Chances that are equal on paper differ by the dust of the beta function.
        if len(keys) >= least and sure >= settled - 1e-9:
            break
    return None


def blend(
    searches: Sequence[Search],
    *,
    budget: float = 8,
    draws: int = 1,
    rule: Literal["lowest", "threshold"] = "lowest",
    confidence: Confidence = "blend",
    settled: float = 0.95,
    least: int = 1,
    most: int | None = None,
    categories: int = 2,
    window: int = 5,
) -> Plan[list[Found]]:
    """Blend-ASC: many tasks share `budget` solutions each; the next ones go where the vote is settled least.

        found = dict(drive([blend([Search(t, writing) for t in tasks])], models))[0]

    A search that has spent its own limits gets nothing more, and the others go on. Options as of `allocate`.

    Returns:
        What each search found, in their order.
    """
    if draws < 1:
        raise StepCreditError(f"draws must be at least 1; got {draws}")
    keys: list[list[str | None]] = [[] for _ in searches]
    closed: dict[int, BudgetSpent] = {}
    for search in searches:
        search.choose = search.majority
    shape: dict[str, Any] = {"confidence": confidence, "budget": budget, "categories": categories, "window": window}
    limits: dict[str, Any] = {"draws": draws, "rule": rule, "settled": settled, "least": least, "most": most}
    while True:
        more = allocate(keys, closed=closed, **shape, **limits)
        if not more.any():
            break
        places = np.flatnonzero(more).tolist()
        spent = yield from side_by_side([_within(_draw(searches[i], keys[i], int(more[i]))) for i in places])
        closed.update({place: error for place, error in zip(places, spent, strict=True) if error is not None})
    sure = confidences(keys, confidence, budget=budget, categories=categories, window=window)
    found = []
    for i, search in enumerate(searches):
        if keys[i]:
            search.root.facts["confidence"] = float(sure[i])
        found.append((yield from plan(_ended, search, {"spent": closed.get(i)})))
    return found


def _draw(search: Search, keys: list[str | None], n: int) -> Plan[None]:
    """n solutions, their answers behind those that are known; one that failed has none."""
    leaves = (yield from search.complete([search.root], n))[0]
    keys.extend(search.key(leaf) for leaf in leaves)
    keys.extend([None] * (n - len(leaves)))


def _ended(search: Search, *, spent: BudgetSpent | None) -> Plan[Node | None]:
    """Nothing is left to ask: the answer is that of `search.choose`."""
    yield from ()
    if spent is not None:
        raise spent
    return None


def _within(plan: Plan[None]) -> Plan[BudgetSpent | None]:
    """What ended a plan that had spent its own limits."""
    try:
        yield from plan
    except BudgetSpent as error:
        return error
    return None
