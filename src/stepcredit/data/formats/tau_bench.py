"""Result files of tau-bench: a JSON array (or lines) of {"task_id", "trial", "reward", "info", "traj"}.

- group: `task_id`. rollout: `trial`. outcome: `reward`. task: the instruction of the simulated user.
- step: one assistant message. observation: the tool's or the user's reply. action: the tool call, as text with
  sorted arguments; none for a message to the user.
- state: the writes to the database so far that succeeded, in order, as JSON text; so two steps are comparable where
  the same writes led to them. A tool writes unless its name starts with a prefix in `reads`; a write succeeded
  unless its reply starts with `error`, upper or lower case.
- not known: rewards of steps, tokens. Runs whose calls stand in the text (the "act" and "react" agents) show none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, need, number, rest, text
from stepcredit.data.formats._messages import Turn, as_text, context, opening, plain_call, texts, turns
from stepcredit.data.records import Rollout, ToolCall
from stepcredit.data.rows import Rows

FIELDS = ("task_id", "trial", "reward", "info", "traj")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `task_id` and a list `traj`."""
    return isinstance(first.get("traj"), list) and "task_id" in first


def rollouts(
    rows: Rows, *, reads: str = "get_,search_,list_,find_,calculate,think,transfer", error: str = "error"
) -> Iterator[Rollout]:
    """One rollout a row.

    Args:
        reads: prefixes of the names of tools that change nothing, with commas between.
        error: how the reply to a failed write starts.
    """
    prefixes = tuple(p.strip() for p in reads.split(",") if p.strip())
    for row in rows:
        with rows.guard(row):
            yield _rollout(row.value, prefixes, error.casefold())


def _rollout(row: dict[str, Any], reads: tuple[str, ...], error: str) -> Rollout:
    found = turns(need(row, "traj", list), "traj")
    done: list[Any] = []
    for turn in found:
        turn.step.state = as_text(done)
        done += [plain_call(c) for c in _writes(turn, reads, error)]
    return Rollout(
        group=key(row.get("group", row.get("task_id")), "task_id"),
        rollout=key(row.get("rollout", row.get("trial")), "trial"),
        outcome=number(row.get("outcome", row.get("reward")), "reward"),
        task=_instruction(row) or opening(row["traj"]),
        context=context(row["traj"]),
        steps=[turn.step for turn in found],
        final_state=as_text(done),
        extra=rest(row, (*FIELDS[:3], "traj", "group", "rollout", "outcome"), Rollout.__struct_fields__),
    )


def _writes(turn: Turn, reads: tuple[str, ...], error: str) -> list[ToolCall]:
    """Calls of the turn that changed the database. Replies are found by id, else by order."""
    replies = texts(turn.replies, "tool")
    by_id = {r.get("tool_call_id"): words for r, words in replies if isinstance(r.get("tool_call_id"), str)}
    out = []
    for i, call in enumerate(turn.step.tool_calls):
        reply = by_id.get(call.id) if call.id in by_id else replies[i][1] if i < len(replies) else None
        failed = reply is None or reply.lstrip().casefold().startswith(error)
        if not failed and not call.name.startswith(reads):
            out.append(call)
    return out


def _instruction(row: Mapping[str, Any]) -> str | None:
    info = row.get("info")
    task = info.get("task") if isinstance(info, Mapping) else None
    return text(task.get("instruction"), "instruction") if isinstance(task, Mapping) else None
