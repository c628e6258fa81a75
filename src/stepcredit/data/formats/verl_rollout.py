"""verl's rollout dumps: `<rollout_data_dir>/<step>.jsonl`, rows of {"input", "output", "gts", "score", "step", ...}.

- group: verl's V1 trainer writes `uid` ("<prompt>_<session>_<context>"), which names it: "<step>/<prompt>". The
  older trainer writes nothing but the text of the prompt: rows of a training step with one `input` form a group,
  "<step>/<number of the prompt>"; a prompt drawn twice in a step cannot be told apart, and a note says so.
- rollout: the session of `uid`, whose contexts, if several, follow one another as one rollout with the outcome of
  the last; else the number of the attempt in the order of the file. batch: `step`. task: `input`.
- outcome: `score`; NaN is unknown.
- step: turns show only where the text shows them: at ChatML markers (<|im_end|>, <|im_start|>assistant), or, where
  verl stripped these, at a whole tool exchange (a line "user", <tool_response> blocks, a line "assistant"). Else the
  output is one step. `cut` in the rollout's extra fields says which: "markers", "text" or "none".
- not known: states, rewards of steps, tokens. Other fields (`gts`, `acc`, ...) are kept.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from stepcredit.data.formats._fields import need, number, rest
from stepcredit.data.records import Rollout, Step
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

FIELDS = ("input", "output", "score", "step", "uid")
NAN_IS_NULL = True

_UID = re.compile(r"(.+)_([0-9]{1,9})_([0-9]{1,9})", re.DOTALL)
_END = "<|im_end|>"
_MARKED = re.compile(r"<\|im_end\|>\n?(.*?)<\|im_start\|>assistant\n", re.DOTALL)
_ROLE = re.compile(r"<\|im_start\|>\w+\n")
_REPLY = r"<tool_response>\n.*?\n</tool_response>"
_STRIPPED = re.compile(rf"\nuser\n({_REPLY}(?:\n{_REPLY})*)\nassistant\n", re.DOTALL)


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `input`, `output` and `score`."""
    return {"input", "output", "score"} <= first.keys()


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a row, or one per session of `uid`."""
    for step, block in groupby(rows, key=lambda row: row.value.get("step")):
        prompts: dict[str, int] = {}
        attempts: dict[str, int] = {}
        for _, run in groupby(block, key=_session):
            contexts = list(run)
            with rows.guard(contexts[0]):
                yield _rollout([r.value for r in contexts], step, prompts, attempts, rows)


def _session(row: Row) -> object:
    """Equal for rows that are contexts of one rollout."""
    uid = _uid(row.value)
    return uid[:2] if uid else row.number


def _uid(row: Mapping[str, Any]) -> tuple[str, int, int] | None:
    uid = row.get("uid")
    parts = _UID.fullmatch(uid) if isinstance(uid, str) else None
    return (parts[1], int(parts[2]), int(parts[3])) if parts else None


def _rollout(
    contexts: list[dict[str, Any]], step: object, prompts: dict[str, int], attempts: dict[str, int], rows: Rows
) -> Rollout:
    if not isinstance(step, int) or isinstance(step, bool):
        raise DataError("field 'step' must be the training step", got=repr(step), expected="an integer")
    last = contexts[-1]
    prompt = need(contexts[0], "input", str)
    uid = _uid(last)
    if uid:
        group, name = f"{step}/{uid[0]}", uid[1]
    else:
        rows.note("groups are rows of one training step with one prompt: the file names none")
        group = f"{step}/{prompts.setdefault(prompt, len(prompts))}"
        name = attempts.get(group, 0)
    steps, how = _steps([need(row, "output", str) for row in contexts])
    outcome = _number(last.get("outcome", last.get("score")))
    attempts[group] = name + 1
    return Rollout(
        group=group,
        rollout=name,
        outcome=outcome,
        task=prompt,
        batch=step,
        steps=steps,
        extra={**rest(last, (*FIELDS, "outcome"), Rollout.__struct_fields__), "cut": how},
    )


def _number(value: object) -> float | None:
    """verl's older trainer writes NumPy numbers as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise DataError("field 'score' must hold a number", got=value, expected="a number") from None
        if value != value:
            return None
    return number(value, "score")


def _steps(outputs: list[str]) -> tuple[list[Step], str]:
    steps: list[Step] = []
    how = "none"
    for output in outputs:
        marked = _END in output
        parts = (_MARKED if marked else _STRIPPED).split(output)
        how = "markers" if marked else "text" if len(parts) > 1 else how
        for text, reply in zip(parts[::2], [*parts[1::2], None], strict=True):
            observation = None if reply is None else _ROLE.sub("", reply).replace(_END, "").strip("\n")
            steps.append(Step(text=text.removesuffix(_END), observation=observation))
    return steps, how
