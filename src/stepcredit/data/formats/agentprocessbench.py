"""AgentProcessBench: runs of tool-using models whose every assistant message a person has judged.

- group: `query_index`. rollout: `sample_index`; where there is none, the number of the attempt in the order of the
  file. outcome: `final_label`, +1 -> 1 and -1 -> 0. task: `question`.
- step: one assistant message. observation: the names of the documents that came back, sorted, as JSON text; replies
  without documents, as text. replies: what came back, whole. action: the names of
  the tools called; what was asked of them is in the tool calls. (Two queries in other words that bring the same
  documents count as one action: free text hardly ever repeats.) A message without calls has none. evidence `label`:
  +1 right, 0 neutral, -1 wrong, from `step_labels`, whose keys are positions in `messages`; a message without a label
  has none.
- state: the documents seen so far, sorted, as JSON text. A document is an object of a tool's JSON reply that holds
  text under `contents`, `content` or `text`; its name is the first line of that text, and its `id` if it has one. A
  reply without documents (an error, another tool) counts as one document, named by its own text.
- not known: rewards of steps, tokens, which model wrote the run.
`messages`, `step_labels` and others may be the text of a Python literal; it is read, never run.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, literal, number, rest, text
from stepcredit.data.formats._messages import Turn, as_text, context, opening, texts, turns
from stepcredit.data.records import Rollout, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("query_index", "sample_index", "question", "messages", "step_labels", "final_label")
_LITERALS = ("messages", "step_labels", "tool_metrics", "ground_truth", "tools")
_TEXT = ("contents", "content", "text")
_INDEX = re.compile("[0-9]{1,9}")
_DEEPEST = 32


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `query_index`, `messages` and `step_labels`."""
    return {"messages", "step_labels", "query_index"} <= first.keys()


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    attempts: Counter[str | int] = Counter()
    for row in rows:
        with rows.guard(row):
            group = key(row.value.get("group", row.value.get("query_index")), "query_index")
            read = {k: literal(v, k) if k in _LITERALS else v for k, v in row.value.items()}
            rollout = _rollout(read, group, attempts[group])
            attempts[group] += 1
            yield rollout


def _rollout(row: dict[str, Any], group: str | int, attempt: int) -> Rollout:
    found = turns(row.get("messages"))
    labels = _labels(row.get("step_labels"), {turn.at for turn in found})
    seen: set[str] = set()
    for turn in found:
        turn.step.state = as_text(sorted(seen))
        if turn.step.tool_calls:
            turn.step.action = as_text(sorted({call.name for call in turn.step.tool_calls}))
        found_now = _documents(turn)
        if found_now:
            turn.step.replies = replies_of(turn.step)
            turn.step.observation = as_text(sorted(found_now))
        seen.update(found_now)
        turn.step.extra = {**turn.step.extra, "message": turn.at}
        label = labels.get(turn.at)
        if label is not None:
            turn.step.evidence = {"label": label}
    return Rollout(
        group=group,
        rollout=key(row.get("rollout", row.get("sample_index", attempt)), "sample_index"),
        outcome=number(row["outcome"], "outcome") if "outcome" in row else _verdict(row.get("final_label")),
        task=text(row.get("question"), "question") or opening(row["messages"]),
        context=context(row["messages"]),
        steps=[turn.step for turn in found],
        final_state=as_text(sorted(seen)),
        extra=rest(row, (*FIELDS, "group", "rollout", "outcome"), Rollout.__struct_fields__),
    )


def _verdict(label: object) -> float | None:
    if label is None:
        return None
    if label in (1, -1) and not isinstance(label, bool):
        return float(label == 1)
    raise DataError("field 'final_label' must be a verdict", got=label, expected="1 or -1, or null for unknown")


def _labels(given: object, messages: set[int]) -> dict[int, float | None]:
    """Label of each judged message."""
    if not isinstance(given, Mapping):
        raise DataError("field 'step_labels' must be an object", got=given, expected='{"2": 1, "4": -1}')
    out: dict[int, float | None] = {}
    for name, label in given.items():
        at = int(name) if isinstance(name, str) and _INDEX.fullmatch(name) else name
        if isinstance(at, bool) or at not in messages:
            raise DataError(
                "a step label must point to an assistant message", got=repr(name), expected=sorted(messages)
            )
        out[at] = number(label, "step_labels")
    return out


def _documents(turn: Turn) -> set[str]:
    """Names of the documents in the tool replies to a step."""
    names = set()
    for _, reply in texts(turn.replies, "tool"):
        try:
            found = list(_walk(json.loads(reply), _DEEPEST))
        except (ValueError, RecursionError):
            found = []
        names.update(found or [reply])
    return names


def _walk(value: object, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(value, list):
        for inner in value:
            yield from _walk(inner, depth - 1)
    elif isinstance(value, Mapping):
        body = next((value[f] for f in _TEXT if isinstance(value.get(f), str)), None)
        if body is not None:
            name = value.get("id")
            title = body.partition("\n")[0]
            yield f"{title[:80]} [{name}]" if isinstance(name, str | int) else title
        else:
            for inner in value.values():
                yield from _walk(inner, depth - 1)
