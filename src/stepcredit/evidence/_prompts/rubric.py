"""Rubrics: written from a reference solution, and scored item by item or as one total."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from stepcredit.evidence._prompts import BREAK, Part, Unreadable, last, numbered, quoted

_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
_LINE = re.compile(rf"^\s*(?:[-*•]\s*|\d{{1,3}}[.)]\s*)?(.*?)\s*(?:\(\s*({_NUMBER})\s*(?:points?|pts?)?\s*\))?\s*$")


class Item(NamedTuple):
    """One item of a rubric and its weight."""

    text: str
    weight: float = 1.0


def rubric_prompt(task: str, solution: str | None, *, points: float = 10) -> str:
    """Asks for the rubric of a task, from a solution of it where there is one."""
    basis = [("solution", solution)] if solution is not None else []
    return f"""Write a rubric by which solutions of a task are graded.

List the steps of derivation that a complete solution must have and the checks that its logic must pass; where the \
right answer is easily reached without them, say so as a warning in the item. Each item must be decidable from a \
solution alone, must also accept another sound approach, and gets points; all points together are {points:g}.

{quoted(("task", task), *basis)}

Think it through. Then end with the items, one a line, each with its points in brackets, in this form:
<rubric>
ITEM (POINTS)
ITEM (POINTS)
</rubric>"""


def total_prompt(story: Sequence[Part], rubric: Sequence[Item], *, maximum: float) -> str:
    """Asks for the points of a whole solution under a rubric."""
    return f"""Grade a solution by a rubric, out of {maximum:g} points.

Go through the rubric item by item and say for each what the solution does for it. Take points off for a result that \
nothing before it yields, for a claim that is not shown, and for a gap in the logic, even if the final answer is right.

{quoted(*story, ("rubric", _told(rubric)))}

Then end with one line of this form, where POINTS is what the solution gets:
<total>POINTS/{maximum:g}</total>"""


def items_prompt(story: Sequence[Part], rubric: Sequence[Item], *, yes_no: bool) -> str:
    """Asks for a verdict on every item of a rubric: 0 to 1, or yes or no."""
    verdict = "yes or no" if yes_no else "from 0 (not at all) to 1 (fully)"
    return f"""Judge by a list of criteria, each for itself.

{quoted(*story, ("criteria", _told(rubric)))}

Say briefly why for each criterion. Then end with one line of this form, where V is your verdict, {verdict}:
<items>1:V; 2:V; 3:V</items>"""


def _told(rubric: Sequence[Item]) -> str:
    flat = len({item.weight for item in rubric}) < 2
    return numbered([item.text if flat else f"{item.text} ({item.weight:g})" for item in rubric])


def read_rubric(reply: str) -> list[Item]:
    """Items and their points; an item without points weighs 1.

    Raises:
        Unreadable: there are none.

    >>> read_rubric("<rubric>\\n1. Sets up x (4)\\n- Solves it (6 points)\\n</rubric>")
    [Item(text='Sets up x', weight=4.0), Item(text='Solves it', weight=6.0)]
    """
    body = last(reply, "rubric", r"((?:(?!</?rubric>).)*+)".replace(".", r"[\s\S]"))[1]
    items = []
    for line in body.splitlines():
        found = _LINE.match(line)
        if found and found[1]:
            items.append(Item(found[1], float(found[2]) if found[2] else 1.0))
    if not items or sum(item.weight for item in items) <= 0:
        raise Unreadable("a rubric without items")
    return items


def read_total(reply: str) -> float:
    """Points over the maximum, at most 1.

    Raises:
        Unreadable: no such pair, or a maximum of 0.

    >>> read_total("<total>7.5/10</total>"), read_total("<total>12/10</total>")
    (0.75, 1.0)
    """
    found = last(reply, "total", rf"({_NUMBER})\s*+/\s*+({_NUMBER})")
    if float(found[2]) <= 0:
        raise Unreadable("a maximum of 0")
    return min(1.0, float(found[1]) / float(found[2]))


def read_items(reply: str, size: int, *, yes_no: bool, partial: bool = False) -> dict[int, float]:
    """0-based item -> 0 to 1. partial: items may be left out.

    Raises:
        Unreadable: no verdict of the form, an item that is not there, left out or named twice, a number above 1.

    >>> read_items("<items>1: yes; 2: no</items>", 2, yes_no=True)
    {0: 1.0, 1: 0.0}
    """
    value = r"(?:yes|no)" if yes_no else _NUMBER
    pair = rf"\d{{1,6}}\s*+:\s*+{value}"
    body = last(reply, "items", rf"({pair}(?:{BREAK}{pair})*+)[;,]?")[1]
    found: dict[int, float] = {}
    for number, verdict in re.findall(rf"(\d+)\s*:\s*({value})", body, re.ASCII | re.IGNORECASE):
        item = int(number) - 1
        score = float(verdict) if not yes_no else float(verdict.lower() == "yes")
        if not 0 <= item < size:
            raise Unreadable("names one that is not there")
        if item in found:
            raise Unreadable("two verdicts on one item")
        if score > 1:
            raise Unreadable("a score out of range")
        found[item] = score
    if len(found) < size and not partial:
        raise Unreadable("leaves items out")
    return found
