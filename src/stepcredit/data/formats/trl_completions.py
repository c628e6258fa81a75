"""TRL's logged completions: `completions/completions_<step>.parquet`, written with `log_completions=True`.

- group: TRL names none; rows of one prompt stand together, so a group is a run of rows with one prompt within a
  training step, named "<step>/<number of the run>". Two groups of one prompt side by side make one run: give
  `num_generations` to cut them. rollout: position in the group. batch: the training step, at which the rows were
  logged. task: the prompt (of messages, the first by a user).
- step: the whole completion if it is text; one per assistant message if it is messages, with the tool replies as
  observation. An argument of a tool call that is null in the file was not given.
- outcome: sum of the reward columns, times their weights; null in all of them is unknown. TRL marks no column as
  a reward: the columns of floats between `completion` and `advantage` are taken, or those in `rewards`; each is
  kept as a reward of its own.
- A step whose rows equal those of the step before was logged twice (several updates on one generation): left out,
  with a note.
- not known: states, tokens, weights of the rewards. Other columns, `advantage` among them, are kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from stepcredit.data.formats._fields import number, rest
from stepcredit.data.formats._messages import opening, turns
from stepcredit.data.records import Rollout, Step
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

FIELDS = ("step", "prompt", "completion", "advantage")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `prompt` and `completion`, and no `example_id`, which results of verifiers have."""
    return {"prompt", "completion"} <= first.keys() and "example_id" not in first


def rollouts(rows: Rows, *, rewards: str = "", num_generations: int = 0) -> Iterator[Rollout]:
    """One rollout a row; a training step is read as a whole.

    Args:
        rewards: the reward columns, with commas between and a weight where it is not 1: "correct,short=0.5".
        num_generations: rollouts per group, as given to TRL; 0: a run of equal prompts is a group.
    """
    weights = _weights(rewards)
    before: list[dict[str, Any]] | None = None
    for step, run in groupby(rows, key=lambda row: row.value.get("step")):
        block = list(run)
        values = [{k: v for k, v in row.value.items() if k != "step"} for row in block]
        if values == before:
            rows.note(f"training step {step} repeats the rows of the step before: left out")
            continue
        before = values
        yield from _training_step(rows, step, block, weights or _reward_columns(values), num_generations)


def _training_step(
    rows: Rows, step: object, block: list[Row], weights: Mapping[str, float], size: int
) -> Iterator[Rollout]:
    runs = [list(run) for _, run in groupby(block, key=lambda row: row.value.get("prompt"))]
    shortest = min(map(len, runs))
    if not size and any(len(run) >= 2 * shortest and len(run) % shortest == 0 for run in runs) and shortest > 1:
        rows.note(
            f"training step {step}: runs of equal prompts differ in length; if one holds several groups, "
            f"say --format trl_completions:num_generations={shortest}"
        )
    groups = [run[i : i + (size or len(run))] for run in runs for i in range(0, len(run), size or len(run))]
    for g, group in enumerate(groups):
        for i, row in enumerate(group):
            with rows.guard(row):
                if size and len(group) != size:
                    raise DataError("a prompt's rows do not divide into groups", got=len(group), expected=size)
                yield _rollout(row.value, step, f"{step}/{g}", i, weights)


def _rollout(row: dict[str, Any], step: object, group: str, index: int, weights: Mapping[str, float]) -> Rollout:
    if not isinstance(step, int) or isinstance(step, bool):
        raise DataError("field 'step' must be the training step", got=repr(step), expected="an integer")
    missing = [name for name in weights if name not in row]
    if missing:
        raise DataError(f"there is no reward column {missing[0]!r}", expected=f"one of: {', '.join(row)}")
    rewards = {name: number(row[name], name) for name in weights}
    known = [weights[name] * value for name, value in rewards.items() if value is not None]
    prompt = row.get("prompt")
    return Rollout(
        group=group,
        rollout=index,
        outcome=number(row["outcome"], "outcome") if "outcome" in row else sum(known) if known else None,
        task=prompt if isinstance(prompt, str) else opening(prompt),
        rewards=rewards,
        batch=step,
        steps=_steps(row.get("completion")),
        extra=rest(row, (*FIELDS[:3], "outcome", *weights), Rollout.__struct_fields__),
    )


def _steps(completion: object) -> list[Step]:
    if isinstance(completion, str):
        return [Step(text=completion)]
    if not isinstance(completion, list):
        raise DataError("field 'completion' must be text or messages", got=completion, expected="text")
    steps = [turn.step for turn in turns([_given(m) for m in completion], "completion")]
    for step in steps:
        for call in step.tool_calls:
            call.arguments = _given(call.arguments)
    return steps


def _given(value: Any) -> Any:
    """A struct without its nulls: Parquet gives every row the fields of all."""
    return {k: v for k, v in value.items() if v is not None or k == "content"} if isinstance(value, dict) else value


def _reward_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = list(rows[0])
    start = names.index("completion") + 1 if "completion" in names else len(names)
    end = names.index("advantage") if "advantage" in names else len(names)
    columns = {n: [row.get(n) for row in rows] for n in names[start:end]}
    return {
        n: 1.0
        for n, v in columns.items()
        if any(isinstance(x, float) for x in v) and all(x is None or isinstance(x, float) for x in v)
    }


def _weights(rewards: str) -> dict[str, float]:
    out = {}
    for part in filter(None, (p.strip() for p in rewards.split(","))):
        name, _, weight = part.partition("=")
        try:
            out[name.strip()] = float(weight or 1)
        except ValueError:
            raise DataError("option 'rewards' must list columns", got=rewards, expected="correct,short=0.5") from None
    return out
