"""AgentProcessBench on disk: people's labels of steps, and those of recorded LLM judges on the same steps.

    DIR/agentprocessbench/SUBSET.jsonl.gz                rollouts with their labels
    DIR/agentprocessbench/SUBSET_labels.jsonl.gz         the labels alone
    DIR/agentprocessbench/judges/SUBSET/JUDGE.jsonl.gz   a judge's labels

A rollout is named by `query_index` and `sample_index`; a step by the position of its message.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from stepcredit.data.formats._fields import literal, need
from stepcredit.data.storage import rows
from stepcredit.errors import DataError, StepCreditError

POOLED = "pooled"
DRAWS = 1000
_FOLDER = "agentprocessbench"
_HINT = f"--data, or STEPCREDIT_DATA, names the folder that holds {_FOLDER}/"

Key = tuple[int, int]


class Said(NamedTuple):
    """What one judge (or the people) said of a rollout.

    labels: position of the message -> -1, 0 or 1; NaN where not judged. verdict: on the rollout, 1 or -1; NaN if none.
    """

    labels: dict[int, float]
    verdict: float


def home(data: str | None) -> Path:
    """The folder of the benchmark.

    Raises:
        StepCreditError: no data folder was given. DataError: it does not hold the benchmark.
    """
    if data is None:
        raise StepCreditError("people's labels of steps are needed, and no data folder was given", hint=_HINT)
    folder = Path(data) / _FOLDER
    if not folder.is_dir():
        raise DataError(f"no folder {_FOLDER!r} here", file=data, expected=f"{_FOLDER}/SUBSET.jsonl.gz", hint=_HINT)
    return folder


def files(folder: Path) -> dict[str, Path]:
    """Data files of a folder by name, without the ending; none where there is no folder."""
    return {path.name.partition(".jsonl")[0]: path for path in sorted(folder.glob("[!.]*.jsonl*"))}


def said(path: Path) -> dict[Key, Said]:
    """What a file of labels says, by rollout; of several rows of a rollout the newest (`updated_at`) counts.

    Raises:
        DataError: names file and row: a label that is none, a rollout without a name, two rows and no telling which
            is newer.
    """
    found: dict[Key, Said] = {}
    dates: dict[Key, float | None] = {}
    for row in rows(path):
        try:
            key = need(row.value, "query_index", int), need(row.value, "sample_index", int)
            date = _date(row.value.get("updated_at"))
            if key in found:
                before = dates[key]
                if date is None and before is None:
                    raise DataError(f"two rows for query {key[0]}, sample {key[1]}, and none has an 'updated_at'")
                if date is None or (before is not None and date < before):
                    continue
            found[key] = Said(_labels(row.value.get("step_labels")), _verdict(row.value.get("final_label")))
            dates[key] = date
        except DataError as error:
            raise error.at(file=row.file, row=row.number) from None
    return found


def between(interval: Sequence[float]) -> str:
    """An interval as a cell of a table."""
    low, high = interval
    return "–" if low != low else f"{low:.3f} to {high:.3f}"


def _labels(given: Any) -> dict[int, float]:
    read = {} if given is None else literal(given, "step_labels")
    if not isinstance(read, dict):
        raise DataError("field 'step_labels' must be an object", got=given, expected='{"2": 1, "4": -1}')
    out = {}
    for name, label in read.items():
        if not str(name).isdecimal():
            raise DataError("a step label must point to a message", got=repr(name), expected="its position")
        if label is not None and (isinstance(label, bool) or label not in (-1, 0, 1)):
            raise DataError(f"message {name}: no label", got=repr(label), expected="-1, 0, 1, or null for not judged")
        out[int(name)] = float("nan") if label is None else float(label)
    return out


def _verdict(label: Any) -> float:
    """0 and null stand for a verdict that could not be read."""
    if label is not None and (isinstance(label, bool) or label not in (-1, 0, 1)):
        raise DataError("field 'final_label' must be a verdict", got=repr(label), expected="1 or -1; 0 or null: none")
    return float(label) if label else float("nan")


def _date(given: Any) -> float | None:
    if given is None:
        return None
    try:
        return datetime.fromisoformat(given).timestamp()
    except (TypeError, ValueError):
        raise DataError("field 'updated_at' must be a date", got=given, expected="2026-02-05T04:38:12+00:00") from None
