"""A judge's verdicts on several sides of a step, one reply each, summed."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.records import Step
from stepcredit.errors import UnknownName
from stepcredit.evidence._ask import Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts import Part
from stepcredit.evidence._prompts.dimensions import DIMENSIONS, dimension_prompt, read_ternary
from stepcredit.evidence._texts import Reference, references, steps
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge

Sort = Literal["search", "answer", "other"]
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)
_SEARCH = re.compile(r"<(search|query|tool_call)>(.*?)(?:</\1>|\Z)", re.DOTALL)

CARD = EvidenceCard(
    title="Step verdicts by dimension (SLATE)",
    paper="arXiv:2602.23440",
    bibtex=(
        "@misc{samarinas2026slate, title={Truncated Step-Level Sampling with Process Rewards for Retrieval-Augmented "
        "Reasoning}, author={Samarinas, Chris and Chang, Haw-Shiuan and Zamani, Hamed}, year={2026}, "
        "eprint={2602.23440}, archivePrefix={arXiv}}"
    ),
    evidence="official code executed",
    adds=("score",),
    needs="texts of rollouts; the right answer, for steps that answer",
    cost="one judge call per step and dimension: two for a step that searches or answers, one for another",
    departures=(
        "The prompts are ours, with the criteria of the official ones. A reply without a verdict makes the step not "
        "judged; the official parser takes any number it finds, and 0 if there is none. Of several verdicts the last "
        "counts, not the first. The early-answer bonus is paid whether or not the answer is right, as in the code."
    ),
    code="https://github.com/algoprog/SLATE",
)

PRESETS = {
    "slate": Preset(
        {"dimensions": ("reasoning", "query", "answer"), "bonus": 0.1, "budget": 4, "first": 1},
        "SLATE, equations (3) and (4) as its README gives them: steps count from 1",
    ),
    "slate-code": Preset(
        {"dimensions": ("reasoning", "query", "answer"), "bonus": 0.1, "budget": 4, "first": 0},
        "algoprog/SLATE cbab153 slate_agent_loop.py: the loop hands over steps that count from 0",
    ),
    "hi-agent": Preset(
        {"dimensions": ("progress",), "bonus": 0.0},
        "Hi-Agent's judge part (derived): is the state that results on the way? Format and execution are other rewards",
        title="Hi-Agent: Hierarchical Vision-Language Agents for Mobile Device Control",
        paper="arXiv:2510.14388",
        bibtex=(
            "@misc{wu2025hiagent, title={Hi-Agent: Hierarchical Vision-Language Agents for Mobile Device Control}, "
            "author={Wu, Zhe and Lu, Hongjin and Xing, Junliang and Zhang, Changhao and Zhu, Yin and Yang, Yuhao and "
            "Jing, Yuheng and Li, Kai and Shao, Kun and Hao, Jianye and Wang, Jun and Shi, Yuanchun}, year={2025}, "
            "eprint={2510.14388}, archivePrefix={arXiv}}"
        ),
    ),
}


def sort_of(step: Step) -> tuple[Sort, str]:
    """What a step does, and the text of its query or answer: by the tags <answer> and <search> (or <query>,
    <tool_call>), or by its tool calls.

    >>> sort_of(Step(text="<think>so</think><answer>4</answer>"))
    ('answer', '4')
    """
    text = step.text or ""
    if found := _ANSWER.search(text):
        return "answer", found[1].strip()
    if found := _SEARCH.search(text):
        return "search", found[2].strip()
    if step.tool_calls:
        return "search", "\n".join(f"{call.name}: {call.arguments}" for call in step.tool_calls)
    return "other", ""


def judge_dimensions(
    batch: Batch,
    judge: Judge,
    *,
    dimensions: Sequence[str] = ("reasoning", "query", "answer"),
    reference: Reference = None,
    sort: Callable[[Step], tuple[Sort, str]] = sort_of,
    bonus: float = 0.1,
    budget: int = 4,
    first: int = 1,
    parts: bool = False,
    retries: int = 0,
) -> Batch:
    """The batch with the sum of a judge's verdicts on each step, each -1, 0 or +1, as `score`.

        search step   reasoning + query
        answer step   reasoning + answer + bonus * (budget - t) / budget
        other step    reasoning

    Args:
        judge: is asked about one side of one step at a time. It sees the task and the steps before; of the step its
            text (reasoning), its query, its answer and the right one, or its result too (progress).
        dimensions: which sides: "reasoning" and "progress" of every step, "query" of those that search, "answer" of
            those that answer.
        reference: what the right answer is: a field of the record, a mapping from group, a function of the record.
        sort: what a step does, and its query or answer.
        bonus, budget: for answering early. An answer after the budget loses by it.
        first: number t of the first step.
        parts: keep each dimension as a column `score_<dimension>` too (NaN: not asked, or not judged).
        retries: how often what failed or could not be read is asked again.

    A step one of whose sides is not judged is not judged. A step that rollouts share is judged once.

    Raises:
        StepCreditError: no texts, no such dimension. DataError: a step answers and there is no right answer.
    """
    told = Told(batch, "judge_dimensions")
    asked = _questions(told, dimensions, reference, sort)
    found = ask(judge, [q for _, _, q in asked], retries=retries)
    sides = {d: np.full(batch.layout.S, np.nan) for d in dimensions}
    wanted = {d: np.zeros(batch.layout.S, bool) for d in dimensions}
    for (row, dimension, _), answer in zip(asked, found.answers, strict=True):
        wanted[dimension][row] = True
        sides[dimension][row] = np.nan if answer is None else answer
    score = np.where(np.any(list(wanted.values()), axis=0), 0.0, np.nan)
    for d in dimensions:
        score = np.where(wanted[d], score + sides[d], score)
    if "answer" in dimensions and bonus:
        t = batch.layout.turn + first
        score = np.where(wanted["answer"], score + bonus * (budget - t) / budget, score)
    columns: dict[str, Any] = {f"score_{d}": sides[d] for d in dimensions} if parts else {}
    note = found.note(f"judge_dimensions, {' + '.join(dimensions)}")
    return batch.with_columns(score=score, note=note, **columns)


def cost(batch: Batch, **options: Any) -> Cost:
    """What `judge_dimensions` with these options will ask."""
    o = options_of(judge_dimensions, options)
    told = Told(batch, "judge_dimensions")
    return cost_of(len(_questions(told, o["dimensions"], o["reference"], o["sort"])), o["retries"])


def _questions(
    told: Told, dimensions: Sequence[str], reference: Reference, sort: Callable[[Step], tuple[Sort, str]]
) -> list[tuple[int, str, Question[float]]]:
    """(row, dimension, question) of all that is to be asked."""
    for d in dimensions:
        if d not in DIMENSIONS:
            raise UnknownName("dimension", d, DIMENSIONS)
    sorts = [sort(s) for s in steps(told.batch, told.who)]
    right: list[Any] = []
    if "answer" in dimensions and any(name == "answer" for name, _ in sorts):
        right = references(told.batch, reference, told.who)
    made = []
    for row, (name, content) in enumerate(sorts):
        before: list[Part] = [("task", told.task(row)), *told.story(told.before(row))]
        shown: dict[str, list[Part]] = {"reasoning": [("step", told.steps[row])]}
        shown["progress"] = [*shown["reasoning"], ("result of the step", told.results[row] or "(none)")]
        if name == "search":
            shown["query"] = [*shown["reasoning"], ("query", content)]
        if name == "answer" and right:
            shown["answer"] = [("right answer", str(right[told.batch.layout.rollout[row]])), ("answer", content)]
        made += [
            (row, d, Question(dimension_prompt(d, before, shown[d]), read_ternary)) for d in dimensions if d in shown
        ]
    return made
