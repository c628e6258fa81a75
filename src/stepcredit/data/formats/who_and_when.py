"""Who&When: failed runs of several agents, each with the agent and the step that people blame.

- group: `question_ID`; where there is none, a short hash of the question. rollout: `id`, else the name in `file`, else
  that of the row's own file, else the number of the attempt. task: `question`. outcome: `is_correct` (or
  `is_corrected`), as true or false or their text: all published logs failed. The right answer stays at `ground_truth`
  (also where the file spells it `groundtruth`).
- step: every message of `history`, also those of users and of terminals: the people's numbers count them all. agent:
  `name` if the message has one (algorithm-generated), else `role` (hand-crafted), without what stands in brackets
  behind it: "Orchestrator (thought)" and "Orchestrator (-> WebSurfer)" are "Orchestrator"; the whole is kept as
  the step's field `speaker`. Spellings that differ in case alone are one agent. No step has an observation: what
  follows a message is a step of its own.
- blame: `mistake_step` (from 0), `mistake_agent`, `mistake_reason`, by "people". The agent that people blame is not
  always the speaker of the step that they blame (26 of the 184 published logs); both are kept as they are.
- not known: states, actions, rewards, tokens.
`history` may be the text of a Python literal; it is read, never run. Other fields are kept. Written against
Agents_Failure_Attribution, commit 3d9d568 (both parts, 126 and 58 logs).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import key, literal, need, number, rest, text
from stepcredit.data.formats._messages import words
from stepcredit.data.formats._traces import UNNAMED, Made, digest, named, need_map, stem
from stepcredit.data.records import Blame, Rollout, Step
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("history", "question", "question_ID", "mistake_agent", "mistake_step", "mistake_reason", "is_correct")
_USED = ("history", "question", "mistake_agent", "mistake_step", "mistake_reason", "is_correct", "is_corrected", "id")
_TRUTH = {"true": 1.0, "false": 0.0}


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `history` and what people say is wrong with it."""
    return "history" in first and ("mistake_step" in first or "mistake_agent" in first)


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row."""
    return named(rows, _made(rows))


def _made(rows: Rows) -> Iterator[Made]:
    for row in rows:
        with rows.guard(row):
            yield Made(row, _rollout(row.value), _wish(row.value))


def _rollout(row: dict[str, Any]) -> Rollout:
    history = literal(need(row, "history", object), "history")
    if not isinstance(history, list):
        raise DataError("field 'history' must hold a list of messages", got=history, expected='[{"content": ...}, ...]')
    spellings: dict[str, str] = {}
    steps = [_step(message, i, spellings) for i, message in enumerate(history)]
    question = text(row.get("question"), "question")
    group = row.get("group", row.get("question_ID"))
    extra = rest(row, (*_USED, "group", "rollout", "outcome", "question_ID"), Rollout.__struct_fields__)
    if "groundtruth" in extra and "ground_truth" not in extra:
        extra["ground_truth"] = extra.pop("groundtruth")
    return Rollout(
        group=key(group, "question_ID") if group is not None else digest(question or "") if question else UNNAMED,
        rollout=key(row["rollout"], "rollout") if "rollout" in row else UNNAMED,
        outcome=number(row["outcome"], "outcome") if "outcome" in row else _verdict(row),
        task=question,
        steps=steps,
        blame=_blame(row, steps, spellings),
        extra=extra,
    )


def _step(message: object, index: int, spellings: dict[str, str]) -> Step:
    given = need_map(message, f"message {index} of the history")
    name = "name" if given.get("name") is not None else "role"
    speaker = text(given.get(name), name)
    agent = _agent(speaker, spellings)
    extra = rest(given, ("content", name), Step.__struct_fields__)
    if speaker != agent:
        extra["speaker"] = speaker
    return Step(agent=agent, text=words(given.get("content")), extra=extra)


def _agent(speaker: str | None, spellings: dict[str, str]) -> str | None:
    """The agent that a speaker is, as it was first spelled."""
    bare = (speaker or "").partition("(")[0].strip() or speaker
    return None if bare is None else spellings.setdefault(bare.casefold(), bare)


def _blame(row: Mapping[str, Any], steps: list[Step], spellings: dict[str, str]) -> list[Blame]:
    given, agent = row.get("mistake_step"), text(row.get("mistake_agent"), "mistake_agent")
    reason = text(row.get("mistake_reason"), "mistake_reason")
    if given is None:
        return []
    shown = str(given).strip() if isinstance(given, str | int | float) and not isinstance(given, bool) else ""
    shown = shown.removesuffix(".0")
    at = int(shown) if shown.isascii() and shown.isdigit() and len(shown) < 10 else -1
    if not 0 <= at < len(steps):
        raise DataError(
            "field 'mistake_step' must be the number of a message", got=repr(given), expected=f"0 to {len(steps) - 1}"
        )
    return [Blame(by="people", step=at, agent=_agent(agent, spellings), reason=reason)]


def _verdict(row: Mapping[str, Any]) -> float | None:
    given = row.get("is_correct", row.get("is_corrected"))
    if isinstance(given, str) and given.strip().lower() in _TRUTH:
        return _TRUTH[given.strip().lower()]
    return number(given, "is_correct")


def _wish(row: Mapping[str, Any]) -> str | int | None:
    own, file = row.get("id"), row.get("file")
    if isinstance(own, str | int) and not isinstance(own, bool):
        return own
    return stem(file) if isinstance(file, str) and file else None
