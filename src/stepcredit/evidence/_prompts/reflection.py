"""What went wrong in a rollout, and from which step to try again."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepcredit.evidence._prompts import Part, Unreadable, quoted, spoken

OUTCOMES = ("success", "success_but_inefficient", "failure")


class Reflection(NamedTuple):
    """A reflection on a rollout.

    pivot: 0-based step to try again from; None: nothing to be done better. suggestion: guidance for the next try.
    accept: chance that the rollout is good as it is, where that was asked for. text: the reply.
    """

    pivot: int | None
    suggestion: str | None = None
    accept: float | None = None
    text: str = ""


def reflection_prompt(story: Sequence[Part], steps: int) -> str:
    """Asks for the root cause, a lesson, and the earliest step from which a corrected decision could do better."""
    return f"""Reflect on a rollout of {steps} steps, numbered from 0 to {steps - 1}. Find out how well it went, why \
it went wrong where it did, asking for the cause of each cause until there is no further one, and what to do better.

{quoted(*story)}

End with one JSON object with these keys:
"trajectory_summary": what was tried, what came of it, how well it was done.
"root_cause_analysis": the chain of causes; null if nothing was wrong.
"trajectory_outcome": exactly one of "success" (reached, nothing wasted), "success_but_inefficient" (reached, with \
needless or clumsy steps), "failure" (not reached).
"improvement_suggestion": a lesson that stands on its own, with when it applies and what to do; null on success.
"retry_from_step": the number of the earliest step where the cause shows or another decision could change the outcome; \
null on success."""


def accept_prompt(story: Sequence[Part], steps: int) -> str:
    """Asks how likely a rollout is good as it is, and for its first flawed step."""
    return f"""Decide whether a rollout of {steps} steps, numbered from 0 to {steps - 1}, holds together and answers \
the task, and if not, which is the first flawed step: what stands before it is kept, and the rest is written anew.

{quoted(*story)}

Think it through. Then end with one JSON object with these keys:
"accept": the chance, from 0 to 1, that the rollout is good as it is.
"first_flawed_step": the number of the first flawed step; null if there is none."""


def read_reflection(reply: str, steps: int) -> Reflection:
    """The reflection of a rollout of so many steps.

    Valid if the object has a summary, an analysis and an outcome, and the outcome is "success", or another of the
    three with a suggestion and a step that int() makes one of 0..steps-1 ("2" and 2.9 are 2, as in the official code).

    Raises:
        Unreadable: no JSON object from the first brace to the last, or one that is not valid.
    """
    report = _object(reply)
    if any(key not in report for key in ("trajectory_summary", "root_cause_analysis", "trajectory_outcome")):
        raise Unreadable("a report without summary, analysis or outcome")
    outcome = report["trajectory_outcome"]
    if outcome not in OUTCOMES:
        raise Unreadable("an outcome that there is not")
    suggestion = report.get("improvement_suggestion")
    if outcome == "success":
        return Reflection(None, text=reply)
    if suggestion is None:
        raise Unreadable("no suggestion")
    return Reflection(_step(report.get("retry_from_step"), steps), str(suggestion), text=reply)


def read_accept(reply: str, steps: int) -> Reflection:
    """The chance that the rollout is good, and its first flawed step.

    Raises:
        Unreadable: no JSON object of the form, a chance outside 0..1, a step that is not there.
    """
    report = _object(reply)
    chance, flawed = report.get("accept"), report.get("first_flawed_step")
    if isinstance(chance, bool):
        chance = float(chance)
    if not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise Unreadable("no chance from 0 to 1")
    return Reflection(None if flawed is None else _step(flawed, steps), accept=float(chance), text=reply)


def _object(reply: str) -> Mapping[str, Any]:
    said = spoken(reply)
    first, last = said.find("{"), said.rfind("}")
    try:
        found = json.loads(said[first : last + 1]) if 0 <= first < last else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unreadable("no JSON object")
    return found


def _step(given: Any, steps: int) -> int:
    if given is None:
        raise Unreadable("no step to retry from")
    if isinstance(given, float) and not math.isfinite(given):
        raise Unreadable("a step that is no number")
    try:
        step = int(given)
    except (TypeError, ValueError):
        raise Unreadable("a step that is no number") from None
    if not 0 <= step < steps:
        raise Unreadable("names one that is not there")
    return step
