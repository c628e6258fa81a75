"""TICK: a checklist written from the task alone; each of its questions is answered with yes or no, apart."""

import re
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable, quoted, spoken
from stepcredit.evidence._prompts.rubric import Item, items_prompt, read_items
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import NAN, asked, parts
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan, side_by_side
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="TICKing All the Boxes: Generated Checklists Improve LLM Evaluation and Generation",
    paper="arXiv:2410.03608",
    bibtex="""@misc{cook2024tick,
  title={TICKing All the Boxes: Generated Checklists Improve LLM Evaluation and Generation},
  author={Cook, Jonathan and Rockt{\\"a}schel, Tim and Foerster, Jakob and Aumiller, Dennis and Wang, Alex},
  year={2024}, eprint={2410.03608}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("judge",),
    needs="the text of the task",
    cost="one question to the judge per task, then one per item of the checklist and solution (per='step': and step)",
    departures="The prompts are ours. TICK scores whole solutions, so that its label is the last step's; per='step' is "
    "ours. A question whose answer cannot be read leaves the denominator.",
)

PRESETS = {
    "steps": Preset(
        {"per": "step"}, "ours: the checklist after every step; a label is whether it passes more than before"
    ),
    "one-call": Preset({"apart": False}, "ours: all questions of a checklist in one call"),
}
_LINE = re.compile(r"^\s*(?:[-*•]\s*|\d{1,2}[.)]\s*)?(?P<text>\S.*?)\s*$")


def tick(
    works: list[Work],
    *,
    per: Literal["solution", "step"] = "solution",
    most: int = 8,
    apart: bool = True,
    retries: int = 0,
) -> Plan[list[Labels]]:
    """value_T = (1/N) sum_k c_k, c_k = 1 where the judge answers question k about the solution with yes.

        solution  label_T = value_T, a soft label of the last step
        step      value_t of the first t steps; label_t = [value_t >= value_{t-1}], value_0 = 0: a step that undoes
                  what was reached is wrong

    The checklist is written once per task; `facts` hold it and the verdicts.

    Args:
        most: questions of a checklist. apart: whether each question is a call of its own. retries: how often a reply
            that failed or could not be read is asked for again.

    Raises:
        StepCreditError: most < 1.
    """
    if most < 1:
        raise StepCreditError(f"most must be at least 1; got {most}")
    first = works[0]
    (items,) = yield from asked(
        first, [checklist_prompt(first.record.task or "", most)], read_checklist, retries=retries
    )
    if isinstance(items, Failed):
        why = f"no checklist: {items.reason}"
        return [w.labels(reasons=(why,) * len(w.steps)) for w in works]
    items = items[:most]
    return (yield from side_by_side([_scored(w, items, per, apart, retries) for w in works]))


def _scored(work: Work, items: list[str], per: str, apart: bool, retries: int) -> Plan[Labels]:
    size = len(work.steps)
    places = list(range(size)) if per == "step" else [size - 1]
    stories = [parts(work, t) for t in places]
    found = yield from side_by_side([answered(work, story, items, apart, retries) for story in stories])
    value, why = np.full(size, NAN), [None if per == "step" else "the solution is judged as a whole"] * size
    for t, told in zip(places, found, strict=True):
        value[t] = rate(told)
        why[t] = next((one.reason for one in told if isinstance(one, Failed)), None) if np.isnan(value[t]) else None
    label = value.copy()
    if per == "step":
        before = np.concatenate([[0.0], value[:-1]])
        label = np.where(np.isnan(value) | np.isnan(before), np.nan, (value >= before).astype(float))
        why = [w or ("the step before it is not judged" if np.isnan(label[t]) else None) for t, w in enumerate(why)]
    facts: dict[str, Any] = {"checklist": items}
    facts["verdicts"] = [[None if isinstance(one, Failed) else int(one) for one in told] for told in found]
    first = first_wrong(label) if per == "step" else None
    return work.labels(label=label, value=value, first_error=first, reasons=tuple(why), facts=facts)


def answered(work: Work, story: list[Part], items: list[str], apart: bool, retries: int) -> Plan[list[float | Failed]]:
    """1 (yes) or 0 (no) of each question, `Failed` where it has no answer."""
    if apart:
        prompts = [items_prompt(story, [Item(item)], yes_no=True) for item in items]
        return (yield from asked(work, prompts, lambda reply: read_items(reply, 1, yes_no=True)[0], retries=retries))
    prompt = items_prompt(story, [Item(item) for item in items], yes_no=True)

    def read(reply: str) -> dict[int, float]:
        return read_items(reply, len(items), yes_no=True, partial=True)

    (told,) = yield from asked(work, [prompt], read, retries=retries)
    if isinstance(told, Failed):
        return [told] * len(items)
    return [told.get(i, Failed("the judge left it out")) for i in range(len(items))]


def rate(verdicts: list[float | Failed]) -> float:
    """Share of the answers that are yes; NaN where there are none.

    >>> round(rate([1, 1, 0, 1, 0, 1]), 6), rate([1, Failed("?")])
    (0.666667, 1.0)
    """
    told = [one for one in verdicts if not isinstance(one, Failed)]
    return sum(told) / len(told) if told else NAN


def checklist_prompt(task: str, most: int) -> str:
    """Asks for the checklist of a task."""
    return f"""Write a checklist by which responses to a task are judged: at most {most} questions.

Each question asks for one thing that the task demands, in so many words or by what it is for. Each can be answered \
with yes or no from a response alone, and without the other questions; yes is good.

{quoted(("task", task))}

End with the questions, one a line, in this form:
<checklist>
QUESTION
QUESTION
</checklist>"""


def read_checklist(reply: str) -> list[str]:
    """The questions.

    Raises:
        Unreadable: there are none.

    >>> read_checklist("<checklist>\\n1. Is it short?\\n- Does it rhyme?\\n</checklist>")
    ['Is it short?', 'Does it rhyme?']
    """
    _, opened, rest = spoken(reply).rpartition("<checklist>")
    body, closed, _ = rest.partition("</checklist>")
    if not (opened and closed):
        raise Unreadable("no <checklist>")
    found = [m["text"] for line in body.splitlines() if (m := _LINE.match(line)) and m["text"] != "QUESTION"]
    if not found:
        raise Unreadable("a checklist without questions")
    return found
