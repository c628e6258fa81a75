"""Rubrics and checklists: a judge's score of whole solutions, or of steps, item by item."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.errors import StepCreditError
from stepcredit.evidence._ask import Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts import Part
from stepcredit.evidence._prompts.rubric import (
    Item,
    items_prompt,
    read_items,
    read_rubric,
    read_total,
    rubric_prompt,
    total_prompt,
)
from stepcredit.evidence._texts import references
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge

Rubrics: TypeAlias = str | Sequence[Any] | Mapping[Any, Any] | Callable[[Rollout], Any] | None
Form = Literal["total", "items", "checklist"]
Per = Literal["rollout", "step"]
Combine = Literal["alone", "product", "addon", "mixed"]

CARD = EvidenceCard(
    title="Rubric scores by a judge",
    paper="several: RRM arXiv:2510.07774, SWE-TRACE arXiv:2604.14820, TICK arXiv:2410.03608",
    bibtex="@misc{rubric, title={Rubric scores by a judge, as in RRM, SWE-TRACE and TICK}}",
    evidence="official code read",
    adds=("outcome", "reward.rubric", "score"),
    needs="texts of rollouts; a rubric per task, or a reference solution to write it from",
    cost="one judge call per rollout (or step), and one per task whose rubric is to be written",
    departures=(
        "The prompts are ours. A reply that cannot be read is not judged unless `unread` says what it counts: RRM's "
        "code asks three times more and then gives 0, SWE-TRACE's neutral .5 is derived. RRM's code divides by 10 "
        "whatever maximum the judge names, and lets points below 0 pass; here the judge's own maximum counts, and "
        "there are no points below 0."
    ),
    code="https://github.com/YouliangYuan/rrm-cure-miracle-steps",
)

_RRM = {
    "title": "Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards",
    "paper": "arXiv:2510.07774",
    "bibtex": (
        "@misc{yuan2025rrm, title={Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards}, "
        "author={Yuan, Youliang and Mang, Qiuyang and Chen, Jingbang and Wan, Hong and Liu, Xiaoyuan and Xu, "
        "Junjielong and Huang, Jen-tse and Wang, Wenxuan and Jiao, Wenxiang and He, Pinjia}, year={2025}, "
        "eprint={2510.07774}, archivePrefix={arXiv}}"
    ),
}

PRESETS = {
    "rrm": Preset(
        {"form": "total", "per": "rollout", "into": "outcome", "retries": 3},
        "RRM (abstract; official code read): the score alone replaces the outcome; three tries more",
        "rrm_rubric",
        _RRM["title"],
        _RRM["paper"],
        _RRM["bibtex"],
        evidence="official code read",
        code="https://github.com/YouliangYuan/rrm-cure-miracle-steps",
    ),
    "rrm-code": Preset(
        {"form": "total", "per": "rollout", "into": "outcome", "retries": 3, "unread": 0.0},
        "YouliangYuan/rrm-cure-miracle-steps tinyv_rrm.py, tinyv_only: what cannot be read is 0",
        None,
        _RRM["title"],
        _RRM["paper"],
        _RRM["bibtex"],
    ),
    "rrm-addon": Preset(
        {"form": "total", "per": "rollout", "into": "outcome", "retries": 3, "unread": 0.0, "combine": "addon"},
        "the same file's addon: 1 where the verifier finds the answer right, else the weighted rubric score",
        None,
        _RRM["title"],
        _RRM["paper"],
        _RRM["bibtex"],
    ),
    "swe-trace": Preset(
        {"form": "items", "per": "step", "unread": 0.5},
        "SWE-TRACE (derived from its abstract): weighted mean of the items per step, .5 where it cannot be read",
        None,
        "SWE-TRACE: Optimizing Long-Horizon SWE Agents through Rubric Process Reward Models and Heuristic Test-Time "
        "Scaling",
        "arXiv:2604.14820",
        "@misc{han2026swetrace, title={SWE-TRACE: Optimizing Long-Horizon SWE Agents through Rubric Process Reward "
        "Models and Heuristic Test-Time Scaling}, author={Han, Hao and Xie, Jin and Ma, Xuehao and Zhu, Weiquan and "
        "Zhang, Ziyao and Long, ZhiLiang and Chen, Hongkai and Ye, Qingwen}, year={2026}, eprint={2604.14820}, "
        "archivePrefix={arXiv}}",
    ),
    "checklist": Preset(
        {"form": "checklist", "per": "rollout", "partial_items": True},
        "a pass rate over yes/no items, as in TICK (recalled): what cannot be read of them leaves the denominator",
    ),
}


def weighted_mean(scores: Mapping[int, float], items: Sequence[Item]) -> float:
    """sum of w s over sum of w, over the items that have a score; NaN where their weights sum to 0.

    >>> weighted_mean({0: 1.0, 1: 0.5, 2: 0.0}, [Item("a", 0.4), Item("b", 0.3), Item("c", 0.3)])
    0.55
    """
    total = sum(items[i].weight for i in scores)
    return sum(items[i].weight * s for i, s in scores.items()) / total if total > 0 else float("nan")


def rubric(
    batch: Batch,
    judge: Judge,
    *,
    items: Rubrics = "rubric",
    form: Form = "items",
    per: Per = "rollout",
    into: Literal["reward.rubric", "outcome"] = "reward.rubric",
    combine: Combine = "alone",
    weight: float = 1.0,
    reference: Any = None,
    maximum: float = 10.0,
    partial_items: bool = False,
    unread: float | None = None,
    retries: int = 0,
) -> Batch:
    """The batch with a judge's score, 0 to 1, of every rollout or of every step, under the rubric of its task.

        total       u = min(1, points / maximum)
        items       u = sum_k w_k s_k / sum_k w_k,  s_k from 0 to 1
        checklist   the same with s_k = 1 for yes and 0 for no

    Args:
        judge: sees the task, the rubric, and the whole rollout or the steps up to the one that is judged.
        items: the rubric: a field of the record, a list, a mapping from group, a function of the record; in each case
            a list of texts, of (text, weight) pairs or of {"text": ..., "weight": ...}, or one text of lines "ITEM
            (POINTS)". None: the judge writes it first, once per task, from the reference solution.
        form: what the judge is asked for.
        per: what is scored: "rollout" into `into`, "step" into `score`.
        into: "outcome" replaces the verdict on the rollout; the one that was there stays as `reward.outcome`.
        combine: with the outcome o that is there: "alone" u; "product" u * o; "addon" 1 where o is 1, else weight * u;
            "mixed" weight * u + (1 - weight) * o.
        reference: the solution that a rubric is written from (`items=None`): as in the other kinds.
        maximum: points to be had (total), and to be given to the items of a rubric that the judge writes.
        partial_items: items that a reply leaves out do not count; else the reply cannot be read.
        unread: score of what failed or cannot be read; None: not judged.
        retries: how often it is asked again.

    Raises:
        StepCreditError: no texts, or a rubric that is none. DataError: no rubric, or no reference to write one from.
        MissingColumn: combined with an outcome that is not there.
    """
    if combine != "alone" and "outcome" not in batch:
        raise missing("outcome", batch, f"rubric with combine={combine!r}")
    told = Told(batch, "rubric")
    rubrics, note = _rubrics(told, judge, items, reference, maximum, retries)
    asked = _questions(told, rubrics, form, per, maximum, partial_items)
    found = ask(judge, [q for _, q in asked], retries=retries)
    values = np.full(batch.layout.S if per == "step" else batch.layout.R, np.nan)
    for (at, _), answer in zip(asked, found.answers, strict=True):
        values[at] = answer if answer is not None else np.nan if unread is None else unread
    note += found.note(f"rubric, {form} per {per}", "not judged" if unread is None else f"taken as {unread:g}")
    if per == "step":
        return batch.with_columns(score=values, note=note)
    made: dict[str, Any] = {into: _combined(values, batch, combine, weight)}
    if into == "outcome" and "outcome" in batch:
        made["reward.outcome"] = batch["outcome"]
    return batch.with_columns(note=note, **made)


def cost(batch: Batch, **options: Any) -> Cost:
    """What `rubric` with these options will ask."""
    o = options_of(rubric, options)
    told = Told(batch, "rubric")
    n = batch.layout.S if o["per"] == "step" else sum(map(bool, told.paths))
    if o["items"] is not None:
        return cost_of(n, o["retries"])
    return replace(cost_of(n + len(_groups(told)), o["retries"]), at_most=True)


def _combined(u: Floats, batch: Batch, combine: Combine, weight: float) -> Floats:
    if combine == "alone":
        return u
    o: Floats = batch["outcome"]
    if combine == "product":
        return u * o
    if combine == "addon":
        return np.where(o == 1, 1.0, np.where(np.isnan(o), np.nan, weight * u))
    return weight * u + (1 - weight) * o


def _groups(told: Told) -> dict[int, int]:
    """Task -> its first rollout."""
    first: dict[int, int] = {}
    for r, g in enumerate(told.batch.layout.group.tolist()):
        first.setdefault(g, r)
    return first


def _rubrics(
    told: Told, judge: Judge, items: Rubrics, reference: Any, maximum: float, retries: int
) -> tuple[list[list[Item] | None], str]:
    """[R] the rubric of each rollout (None: the judge wrote none), and what was asked for it."""
    if items is not None:
        if isinstance(items, str | Mapping) or callable(items):
            given = references(told.batch, items, told.who)
        else:
            given = [items] * told.batch.layout.R
        return [_parsed(one) for one in given], ""
    groups = _groups(told)
    solutions = references(told.batch, reference, told.who)
    asked = [
        Question(rubric_prompt(told.tasks[r], str(solutions[r]), points=maximum), read_rubric) for r in groups.values()
    ]
    found = ask(judge, asked, retries=retries)
    written = dict(zip(groups, found.answers, strict=True))
    return [written[g] for g in told.batch.layout.group.tolist()], found.note("rubrics written") + "; "


def _parsed(given: Any) -> list[Item]:
    if isinstance(given, str):
        return read_rubric(f"<rubric>\n{given}\n</rubric>")
    made = []
    for one in given:
        if isinstance(one, str):
            made.append(Item(one))
        elif isinstance(one, Mapping) and "text" in one:
            made.append(Item(str(one["text"]), float(one.get("weight", 1.0))))
        elif isinstance(one, Sequence) and len(one) == 2:
            made.append(Item(str(one[0]), float(one[1])))
        else:
            raise StepCreditError(f"{one!r} is no item of a rubric", hint='a text, (text, weight), {"text", "weight"}')
    if not made or min(item.weight for item in made) < 0 or sum(item.weight for item in made) <= 0:
        raise StepCreditError(f"{given!r} is no rubric", hint="at least one item; weights of 0 or more, not all 0")
    return made


def _questions(
    told: Told, rubrics: list[list[Item] | None], form: Form, per: Per, maximum: float, partial_items: bool
) -> list[tuple[int, Question[float]]]:
    """(rollout or row, question) of all that is to be scored."""
    lay = told.batch.layout
    if per == "step":
        shown = [(row, int(lay.rollout[row]), [*told.before(row), row]) for row in range(lay.S)]
    else:
        shown = [(r, r, told.paths[r]) for r in range(lay.R) if told.paths[r]]
    made: list[tuple[int, Question[float]]] = []
    for at, r, rows in shown:
        items = rubrics[r]
        if items is None:
            continue
        story: list[Part] = [("task", told.tasks[r]), *told.story(rows)]
        if per == "step":
            story.append(("what to judge", f"step {len(rows)} alone"))
        if form == "total":
            made.append((at, Question(total_prompt(story, items, maximum=maximum), read_total)))
        else:
            prompt = items_prompt(story, items, yes_no=form == "checklist")
            made.append((at, Question(prompt, partial(_score, items=items, form=form, partial_items=partial_items))))
    return made


def _score(reply: str, *, items: list[Item], form: Form, partial_items: bool) -> float:
    return weighted_mean(read_items(reply, len(items), yes_no=form == "checklist", partial=partial_items), items)
