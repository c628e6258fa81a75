"""Chats in OpenAI's messages format, one rollout a row: {"messages": [...], "group": ..., "outcome": ...}.

- step: one assistant message, with its tool calls. observation: the text of the tool and user messages that follow,
  up to the next assistant message, one below the other. The messages before the first one are context. action: the
  tool calls, as text with sorted arguments; none for a message without calls.
- group: field `group`, `prompt_id` or `task_id`; outcome: `outcome`, `reward`, `score` or `correct`. Others by
  --map. task: field `task`, else the first message of a user.
- rollout: field `rollout`; where there is none, the number of the attempt at the group in the order of the file.
- not known: states (left empty: see `stepcredit state`), rewards of steps, tokens.
Other fields of the row are kept.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, number, one_of, rest, text
from stepcredit.data.formats._messages import opening, turns
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

_GROUP = ("group", "prompt_id", "task_id")
_OUTCOME = ("outcome", "reward", "score", "correct")
FIELDS = ("messages", "rollout", "task", *_GROUP, *_OUTCOME)


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `messages` that is no record and carries no labels."""
    messages = first.get("messages")
    return isinstance(messages, list) and "step_labels" not in first and "steps" not in first


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    attempts: Counter[str | int] = Counter()
    for row in rows:
        with rows.guard(row):
            yield _rollout(row.value, attempts)


def _rollout(row: dict[str, Any], attempts: Counter[str | int]) -> Rollout:
    group_field, group = one_of(row, _GROUP)
    if group_field is None:
        raise DataError(
            "no field says which task the chat attempts",
            got=f"fields {', '.join(row)}",
            expected=f"one of {', '.join(_GROUP)}",
            hint="--map group=<field>",
        )
    group = key(group, "group")
    outcome_field, outcome = one_of(row, _OUTCOME)
    task = text(row.get("task"), "task") or opening(row.get("messages"))
    steps = [turn.step for turn in turns(row.get("messages"))]
    name = key(row["rollout"], "rollout") if "rollout" in row else attempts[group]
    attempts[group] += 1
    used = ("messages", "rollout", "task", group_field, outcome_field)
    return Rollout(
        group=group,
        rollout=name,
        outcome=number(outcome, outcome_field or "outcome"),
        task=task,
        steps=steps,
        extra=rest(row, [u for u in used if u], Rollout.__struct_fields__),
    )
