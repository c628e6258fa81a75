"""Tasks in, answers out: JSONL rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepcredit.data import storage
from stepcredit.errors import DataError
from stepcredit.search.engine import Task
from stepcredit.search.run import Found

PROMPTS = ("prompt", "task", "question", "problem", "input")
REFERENCES = ("reference", "gold", "answer", "ground_truth", "solution")
NAMES = ("name", "id", "group")


def read_tasks(path: str | Path, *, prompt: str | None = None, reference: str | None = None) -> Iterator[Task]:
    """Tasks from JSONL, JSON or Parquet rows (.gz and .zst too).

    Args:
        prompt: the field that holds it: a text, or a list of messages; None = the first there is of prompt, task,
            question, problem, input. reference: of the right answer; None = the first of reference, gold, answer,
            ground_truth, solution, and none where there is none.

    A prompt without a line end gets one: the model goes on from the next line.

    Raises:
        DataError: no such file, no rows, a row without a prompt; names file and row.
    """
    count = 0
    for source in storage.sources(path):
        for row in storage.rows(source):
            yield _task(row.value, str(source.name), row.number, prompt, reference, count)
            count += 1
    if not count:
        raise DataError("there are no tasks", file=path, expected='{"prompt": ..., "reference": ...}')


def _task(row: Any, file: str, number: int, prompt: str | None, reference: str | None, count: int) -> Task:
    field = prompt or next((f for f in PROMPTS if row.get(f) is not None), None)
    given = None if field is None else row.get(field)
    if not given or not isinstance(given, str | list):
        raise DataError(
            "a task without a prompt",
            file=file,
            row=number,
            got=f"fields: {', '.join(map(str, row)) or 'none'}" if given is None else given,
            expected=f"text in {prompt or ', '.join(PROMPTS)}",
        )
    text, history = (given, ()) if isinstance(given, str) else _messages(given, file, number)
    answer = row.get(reference) if reference else next((row[f] for f in REFERENCES if row.get(f) is not None), None)
    if reference and answer is None:
        raise DataError(f"no field {reference!r} with the reference", file=file, row=number)
    name = next((str(row[f]) for f in NAMES if row.get(f) is not None), str(count))
    return Task(
        text if text.endswith("\n") else text + "\n",
        name,
        None if answer is None else str(answer),
        history=history,
    )


def _messages(given: list[Any], file: str, number: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    pairs = [(m.get("role"), m.get("content")) for m in given if isinstance(m, dict)]
    if len(pairs) < len(given) or not all(isinstance(r, str) and isinstance(c, str) for r, c in pairs):
        raise DataError("messages of a prompt need role and text", file=file, row=number, got=given)
    return str(pairs[-1][1]), tuple((str(r), str(c)) for r, c in pairs[:-1])


def tree_row(found: Found, policy: str, right: float | None = None) -> dict[str, Any]:
    """A line of a file of trees: `Found.trace`, and whose it is. right: as of `answer_row`."""
    return {"tree": 1, "kind": "search", "system": policy, "right": right, **found.trace()}


def answer_row(found: Found, right: float | None) -> dict[str, Any]:
    """A line of the answers file. right: 1, 0, or None where it is not known."""
    return {
        "name": found.task.name,
        "prompt": found.task.prompt,
        "answer": found.answer,
        "text": found.text,
        "right": right,
        "outcome": found.node.outcome if found.node is not None and found.node.outcome == found.node.outcome else None,
        "stopped": found.stopped,
        "spent": found.ledger.spent(),
        "discarded": found.discarded,
        "notes": found.notes,
    }
