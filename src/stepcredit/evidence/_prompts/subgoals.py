"""Subgoals of a task, and whether a step reached one."""

import re
from collections.abc import Sequence

from stepcredit.evidence._prompts import Part, Unreadable, last, quoted

_LINE = re.compile(r"^\s*(?:[-*•]\s+|\d{1,3}[.):]\s*)?(.*?)\s*$")


def propose_prompt(task: str) -> str:
    """Asks for the subgoals of a task, in order."""
    return f"""Take a task apart into elementary subgoals: what must be reached, one after the other, on the way to \
its goal. Whether a subgoal is reached must be visible in what the environment shows before and after one action.

{quoted(("task", task))}

Think it through. Then end with the subgoals in order, one a line, in this form:
<subgoals>
SUBGOAL
SUBGOAL
</subgoals>"""


def reached_prompt(task: str, subgoal: str, before: str, action: str, after: str) -> str:
    """Asks whether one transition reached a subgoal."""
    parts: Sequence[Part] = (
        ("task", task),
        ("subgoal", subgoal),
        ("before the action", before),
        ("action", action),
        ("after the action", after),
    )
    return f"""Was the subgoal reached by this one action? It was if it does not hold before the action and holds \
after it.

{quoted(*parts)}

Think it through. Then end with one line of this form, where ANSWER is yes or no:
<achieved>ANSWER</achieved>"""


def read_subgoals(reply: str) -> list[str]:
    """The subgoals, without the numbers or bullets they may have.

    Raises:
        Unreadable: there are none.

    >>> read_subgoals("<subgoals>\\n1. find the key\\n2. open the door\\n</subgoals>")
    ['find the key', 'open the door']
    """
    body = last(reply, "subgoals", r"((?:(?!</?subgoals>)[\s\S])*+)")[1]
    found = [goal for line in body.splitlines() if (match := _LINE.match(line)) and (goal := match[1])]
    if not found:
        raise Unreadable("no subgoal")
    return found


def read_reached(reply: str) -> bool:
    """Yes or no.

    Raises:
        Unreadable: neither in the form asked for.

    >>> read_reached("The door is open now. <achieved>yes</achieved>")
    True
    """
    return last(reply, "achieved", "(yes|no)")[1].lower() == "yes"
