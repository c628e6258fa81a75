"""What kind of work each tool call of a rollout did."""

import json
from collections.abc import Sequence

from stepcredit.evidence._prompts import Unreadable, last, quoted

CLASSES = ("unique_search", "redundant_search", "exploration", "verification", "redundant_query")


def classes_prompt(task: str, calls: Sequence[tuple[str, str]]) -> str:
    """Asks for the class of every tool call, given as (call, result)."""
    told = [part for i, (c, r) in enumerate(calls, 1) for part in ((f"call {i}", c), (f"result of call {i}", r))]
    return f"""Say of every tool call of a rollout what it did for the task, seen against the calls before it.

Calls that search: unique_search, for something that was not searched for before; redundant_search, for what an \
earlier call already asked.
Calls that query or open a page: exploration, brings facts that are new; verification, checks a fact that is known \
against another source; redundant_query, neither.

{quoted(("task", task), *told)}

Think it through. Then end with one line of this form: a JSON list with one class per call, in order.
<classes>[CLASS, CLASS]</classes>"""


def read_classes(reply: str, size: int) -> list[str]:
    """The class of each call.

    Raises:
        Unreadable: no JSON list of the form, another number of classes than of calls, a class that there is not.

    >>> read_classes('<classes>["unique_search", "exploration"]</classes>', 2)
    ['unique_search', 'exploration']
    """
    listed = last(reply, "classes", r"(\[[^\[\]<>]*+\])")[1]
    try:
        found = json.loads(listed)
    except ValueError:
        raise Unreadable("no JSON list") from None
    if len(found) != size:
        raise Unreadable("another number of classes than of calls")
    if any(one not in CLASSES for one in found):
        raise Unreadable("a class that there is not")
    return list(found)
