"""What policies ask judges and scorers by themselves, and how they read it: a number, a choice, an opinion."""

import re
from collections.abc import Sequence
from typing import Any

from stepcredit.evidence._prompts import Part, quoted
from stepcredit.llm.requests import BudgetSpent, Failed, Force, Plan, Score
from stepcredit.search.engine import Search
from stepcredit.search.tree import NAN, Node


def parts_of(search: Search, node: Node) -> list[Part]:
    """The task, then each step and what was answered to it, as named texts."""
    parts: list[Part] = [("task", search.task.prompt)]
    for i, step in enumerate(node.path, start=1):
        parts.append((f"step {i}", step.text))
        if step.observation is not None:
            parts.append((f"answer to step {i}", step.observation))
    return parts


def question(search: Search, node: Node, asked: str, more: Sequence[Part] = ()) -> str:
    """A question about a partial solution."""
    return f"{quoted(*parts_of(search, node), *more)}\n\n{asked}"


def read_number(reply: str | Failed, name: str, low: float, high: float) -> tuple[float, str | None]:
    """(the last number behind "name:", None), or (NaN, why there is none).

    >>> read_number("Fine so far. Reward: 60", "Reward", -100, 100)
    (60.0, None)
    >>> read_number("Reward: 600", "Reward", -100, 100)[1]
    'Reward 600 is not within -100 to 100'
    """
    if isinstance(reply, Failed):
        return NAN, reply.reason
    found = re.findall(rf"(?i)\b{re.escape(name)}\b\W{{0,6}}?([-+]?\d+(?:\.\d+)?)(?![\w.]*\d)", reply)
    if not found:
        return NAN, f"the reply names no {name}"
    value = float(found[-1])
    return (value, None) if low <= value <= high else (NAN, f"{name} {found[-1]} is not within {low:g} to {high:g}")


def read_word(reply: str | Failed, name: str, words: Sequence[str]) -> str | None:
    """The last of these words behind "name:"; None where there is none.

    >>> read_word("A errs in step 2.\\nChoice: B", "Choice", ["A", "B", "NEITHER"])
    'B'
    """
    if isinstance(reply, Failed):
        return None
    known = {w.upper(): w for w in words}
    ways = "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
    found = re.findall(rf"(?i)\b{re.escape(name)}\b\W{{0,6}}({ways})(?!\w)", reply)
    return known[found[-1].upper()] if found else None


def mark(node: Node, value: float, why: str | None) -> None:
    """Keep a judge's number, or why there is none, as the score of a node."""
    node.score, node.status, node.reason = value, "ok" if why is None else "failed", why


def heard(node: Node, reply: float | Failed) -> None:
    """Keep a scorer's reply, or why there is none, as the score of a node."""
    if isinstance(reply, Failed):
        mark(node, NAN, reply.reason)
    else:
        mark(node, float(reply), None)


def opinions(search: Search, requests: Sequence[Score | Force], who: str = "scorer") -> Plan[list[Any]]:
    """The replies to questions of a policy's own, each paid as an opinion.

    Raises:
        BudgetSpent: they do not all fit.
    """
    if search.ledger.room("score") < len(requests):
        raise BudgetSpent(f"the search has no opinions of the {who} left")
    replies = yield list(requests)
    search.ledger.score += len(requests)
    return list(replies)
