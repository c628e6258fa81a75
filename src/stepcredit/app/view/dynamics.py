"""What training did, for the page: of the runs in view that say which policy they are of, and of the folders that
`stepcredit train` leaves."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepcredit.app.view.answers import Answers
from stepcredit.app.view.kinds import METRICS
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.shown import numbers
from stepcredit.bench.dynamics import LEVELS, Band, Course, Runs, course, folded, merged
from stepcredit.bench.ranking import finite

CHECKPOINTS, POINTS, SERIES, METHODS = 60, 400, 120, 24
"""Most checkpoints of runs, points of a line, lines of a folder, methods."""
_LONG = 80

_OF_METHOD = (
    ("zero", "Credit of exactly zero", "share of the judged steps: they teach nothing"),
    ("unjudged", "Steps not judged", "share of the steps that the method says nothing of"),
    (
        "drift",
        "Agreement with the checkpoint before",
        "rank correlation of credit over equal tasks, states and actions",
    ),
)
_KNOWN = {
    "eval_success": ("Success on held-out tasks", "share", "outcomes", "share of outcomes of 1 or more"),
    "rollouts/success": ("Success in training", "share", "outcomes", "share of the rollouts of a step"),
    "rollouts/outcome": ("Mean outcome in training", "", "outcomes", "of the rollouts of a step"),
    "credit/dead_groups": ("Tasks without credit", "share", "outcomes", "share of tasks of which every step has 0"),
    "eval_turns": ("Steps per rollout, held-out tasks", "steps", "lengths", "mean"),
    "rollouts/turns": ("Steps per rollout in training", "steps", "lengths", "mean"),
    "credit/steps": ("Steps per completion", "steps", "lengths", "mean"),
    "rollouts/cut": ("Rollouts cut by a limit", "share", "lengths", "share of the rollouts of a step"),
    "rollouts/valid": ("Actions that the world took", "share", "lengths", "share of the steps"),
    "credit/judged": ("Steps judged", "share", "credit", "share of the steps"),
    "credit/zero": ("Credit of exactly zero", "share", "credit", "share of the judged steps"),
    "credit/mean": ("Mean credit", "credit", "credit", "of the judged steps"),
    "credit/spread": ("Spread of credit", "credit", "credit", "standard deviation over the judged steps"),
    "credit/compared": ("Steps in a state that others met", "share", "credit", "share; 0: nothing can be compared"),
    "loss": ("Loss", "", "training", "of the policy"),
    "entropy": ("Entropy", "nats", "training", "of the policy, per token"),
    "kl": ("KL divergence", "nats", "training", "from the reference model"),
    "grad_norm": ("Gradient norm", "", "training", "before clipping"),
    "step_time": ("Time of a step", "seconds", "training", "sampling, credit and update"),
    "credit/share_of_step_time": ("Time spent on credit", "share", "training", "share of the time of a step"),
}
_QUIET = ("step", "rollouts", "seconds", "epoch", "credit/lowest", "credit/highest", "num_tokens")


def dynamics(answers: Answers | None, files: Sequence[Path]) -> dict[str, Any]:
    """`/api/dynamics`. Lines of a metric have places `at` of their own; `checkpoints` are all places together.

    Args:
        files: folders of `stepcredit train`, and files of runs; the latter are those in `answers`.
    """
    notes: list[str] = []
    folders = [f for f in map(Path, files) if (f / METRICS).is_file()]
    metrics, of_folders = _trained(folders, notes)
    made = _of_runs(answers, notes)
    places = {*of_folders, *made.pop("checkpoints")}
    return {
        "checkpoints": sorted(places),
        **made,
        "metrics": [*made["metrics"], *metrics],
        "notes": notes,
    }


class _Table(NamedTuple):
    """Runs in view. names: what checkpoints are called, by number. cell: of steps, text or None."""

    checkpoint: list[int | None]
    batch: list[int | None]
    task: list[str]
    outcome: list[float | None]
    steps: list[int]
    cell: list[str | None]
    credits: dict[str, NDArray[Any]]


def _of_runs(answers: Answers | None, notes: list[str]) -> dict[str, Any]:
    none: dict[str, Any] = {"checkpoints": [], "axis": "step", "metrics": [], "histograms": [], "methods": []}
    table = None if answers is None else _table(answers)
    if table is None:
        return none
    by_policy = any(v is not None for v in table.checkpoint)
    said = table.checkpoint if by_policy else table.batch
    axis = "policy version" if by_policy else "batch"
    kept = np.array([v is not None for v in said], bool)
    if not kept.any():
        return none
    if not kept.all():
        notes.append(f"{int((~kept).sum()):,} of {kept.size:,} runs do not say which {axis} they are of: left out")
    given = np.array([v for v in said if v is not None], np.int64)
    names, ids = merged(given, CHECKPOINTS)
    if names.size < np.unique(given).size:
        notes.append(f"{np.unique(given).size:,} checkpoints are shown as {names.size}, neighbours together")
    rows = np.repeat(kept, table.steps)
    runs = Runs(
        ids,
        _ids(table.task)[kept],
        np.array([np.nan if v is None else v for v in table.outcome], float)[kept],
        np.array(table.steps, np.int64)[kept],
        _ids(table.cell)[rows],
    )
    if len(table.credits) > METHODS:
        notes.append(f"of {len(table.credits)} methods the first {METHODS} are shown")
    credits = {name: c[rows] for name, c in list(table.credits.items())[:METHODS]}
    if not any(c.size and np.isfinite(c).any() for c in credits.values()):
        notes.append("no method has given these runs credit")
    return _told(course(runs, credits), names.tolist(), axis)


def _told(found: Course, names: list[int], axis: str) -> dict[str, Any]:
    def metric(name: str, title: str, doc: str, part: str, bands: Mapping[str, Band], unit: str) -> dict[str, Any]:
        series = [
            {
                "name": of,
                "at": names,
                "values": numbers(b.value),
                "low": numbers(b.low),
                "high": numbers(b.high),
                "n": b.n.tolist(),
            }
            for of, b in bands.items()
        ]
        return {
            "name": name,
            "title": title,
            "unit": unit,
            "doc": doc,
            "part": part,
            "source": "runs",
            "series": series,
        }

    plain = [
        metric("success", "Success", "share of the known outcomes above 0", "outcomes", {"": found.success}, "share"),
        metric(
            "dead",
            "Tasks whose outcomes are all equal",
            "share of the tasks with two known outcomes or more; group advantage says nothing there",
            "outcomes",
            {"": found.dead},
            "share",
        ),
        metric("steps", "Steps per rollout", "mean", "lengths", {"": found.steps}, "steps"),
    ]
    for name, title, doc in _OF_METHOD:
        bands = {method: getattr(one, name) for method, one in found.credits.items()}
        plain.append(metric(name, title, doc, "methods", bands, "correlation" if name == "drift" else "share"))
    return {
        "checkpoints": names,
        "axis": axis,
        "metrics": plain,
        "methods": list(found.credits),
        "histograms": [
            {
                "method": method,
                "at": names,
                "edges": numbers(one.edges),
                "counts": one.counts.tolist(),
                "levels": list(LEVELS),
                "quantiles": [numbers(row) for row in one.quantiles],
            }
            for method, one in found.credits.items()
        ],
    }


def _table(answers: Answers) -> _Table | None:
    """The runs as columns; None where the first say nothing of a policy, or the index is not whole yet."""
    if isinstance(answers, Memory):
        return _gathered((run.record, run.n, answers.numbers(run.id)) for part in answers.parts for run in part.runs)
    kept = getattr(answers, "kept", None)
    folder = getattr(answers, "folder", None)
    first = answers.get(0)
    tells = first is not None and (first.record.policy_version is not None or first.record.batch is not None)
    if kept is None or folder is None or not kept.done or not tells:
        return None
    return _stored(Path(folder), len(kept.first) - 1)


class _Named(msgspec.Struct):
    """What of a record is asked for here."""

    group: str | int
    task: str | None = None
    batch: int | None = None
    policy_version: int | None = None


def _stored(folder: Path, parts: int) -> _Table:
    """The runs of an index, read column by column from its files."""
    import pyarrow.parquet as pq

    decode: Callable[[bytes], _Named] = msgspec.json.Decoder(_Named).decode
    out = _Table([], [], [], [], [], [], {})
    credits: dict[str, list[NDArray[Any]]] = {}
    total = 0
    for part in range(parts):
        path = folder / f"judged-{part:04}.parquet"
        path = path if path.is_file() else folder / f"runs-{part:04}.parquet"
        runs = pq.read_table(path, columns=["record", "steps", "outcome"], partitioning=None)
        path = folder / f"numbers-{part:04}.parquet"
        held = pq.read_schema(path).names
        wanted = [n for n in held if n in ("state", "action") or n.startswith("credit.")]
        steps = pq.read_table(path, columns=wanted, partitioning=None)
        cells = [steps[n].to_pylist() if n in held else [None] * steps.num_rows for n in ("state", "action")]
        named = [decode(r) for r in runs["record"].to_pylist()]
        _add(out, named, runs["outcome"].to_pylist(), runs["steps"].to_pylist(), *cells)
        for name in wanted:
            kind, _, method = name.partition(".")
            if kind == "credit":
                before = credits.setdefault(method, [np.full(total, np.nan)])
                before.append(steps[name].to_numpy().astype(float))
        total += len(cells[0])
        for pieces in credits.values():
            if sum(p.size for p in pieces) < total:
                pieces.append(np.full(total - sum(p.size for p in pieces), np.nan))
    return out._replace(credits={name: np.concatenate(pieces) for name, pieces in credits.items()})


def _gathered(runs: Iterator[tuple[Any, int, Mapping[str, Any]]]) -> _Table:
    """The same of runs in memory."""
    out = _Table([], [], [], [], [], [], {})
    credits: dict[str, list[float | None]] = {}
    for record, n, told in runs:
        before = len(out.cell)
        _add(out, [record], [record.outcome], [n], *(told.get(k) or [None] * n for k in ("state", "action")))
        for name in told:
            if name.startswith("credit."):
                column = credits.setdefault(name.removeprefix("credit."), [None] * before)
                column.extend(told[name])
        for column in credits.values():
            column.extend([None] * (len(out.cell) - len(column)))
    made = {name: np.array([np.nan if v is None else v for v in c], float) for name, c in credits.items()}
    return out._replace(credits=made)


def _add(
    out: _Table,
    records: Sequence[Any],
    outcomes: Sequence[float | None],
    steps: Sequence[int],
    states: Sequence[str | None],
    actions: Sequence[str | None],
) -> None:
    tasks = [str(r.group) if r.task is None else r.task for r in records]
    out.checkpoint.extend(r.policy_version for r in records)
    out.batch.extend(r.batch for r in records)
    out.task.extend(tasks)
    out.outcome.extend(outcomes)
    out.steps.extend(steps)
    of = [task for task, n in zip(tasks, steps, strict=True) for _ in range(n)]
    out.cell.extend(
        None if s is None or a is None else f"{s}\n{a}\n{t}" for t, s, a in zip(of, states, actions, strict=True)
    )


def _ids(words: Sequence[str | None]) -> NDArray[np.int64]:
    known: dict[str, int] = {}
    return np.array([-1 if w is None else known.setdefault(w, len(known)) for w in words], np.int64)


def _trained(folders: Sequence[Path], notes: list[str]) -> tuple[list[dict[str, Any]], list[int | float]]:
    """Metrics of folders over steps, a line each folder; and all steps that are told of."""
    made: dict[str, dict[str, Any]] = {}
    places: dict[int | float, None] = {}
    for folder, name in zip(folders, _names(folders), strict=True):
        lines = _lines(folder / METRICS, notes)
        keys = [k for k in dict.fromkeys(k for line in lines for k in line) if _shown(k)]
        keys.sort(key=lambda k: list(_KNOWN).index(k) if k in _KNOWN else len(_KNOWN))
        if len(keys) > SERIES:
            notes.append(f"{name}: of {len(keys)} metrics the first {SERIES} are shown")
        for key in keys[:SERIES]:
            one = _series(lines, key)
            if one is None:
                continue
            title, unit, part, doc = _KNOWN.get(key, (key[:_LONG], "", "training", ""))
            metric = made.setdefault(
                key,
                {
                    "name": key[:_LONG],
                    "title": title,
                    "unit": unit,
                    "doc": doc,
                    "part": part,
                    "source": "training",
                    "series": [],
                },
            )
            metric["series"].append({"name": name, **one})
            places.update(dict.fromkeys(one["at"]))
    return list(made.values()), list(places)


def _series(lines: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any] | None:
    told = [line for line in lines if finite(line.get(key))]
    if not told:
        return None
    at = np.array([line["step"] for line in told], float)
    x, mean, low, high = folded(at, np.array([line[key] for line in told], float), POINTS)
    ends = [f"{key}_low", f"{key}_high"]
    if all(finite(line.get(end)) for line in told for end in ends):
        low, high = (folded(at, np.array([line[end] for line in told], float), POINTS)[1] for end in ends)
    elif len(told) <= POINTS:
        return {"at": _places(x), "values": numbers(mean), "low": None, "high": None}
    return {"at": _places(x), "values": numbers(mean), "low": numbers(low), "high": numbers(high)}


def _places(x: NDArray[Any]) -> list[int | float]:
    return [int(v) if v == int(v) else v for v in x.tolist()]


def _lines(file: Path, notes: list[str]) -> list[dict[str, Any]]:
    """Lines of a metrics.jsonl that can be read; a run that is going on may be writing the last."""
    try:
        texts = file.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        notes.append(f"{file}: {error.strerror}")
        return []
    out, bad = [], 0
    for k, text in enumerate(texts):
        try:
            line = json.loads(text) if text.strip() else None
        except (ValueError, RecursionError):
            bad += k < len(texts) - 1
            continue
        if isinstance(line, dict) and finite(line.get("step")):
            out.append(line)
        elif line is not None:
            bad += 1
    if bad:
        notes.append(f"{bad:,} lines of {file} are no metrics")
    return out


def _names(folders: Sequence[Path]) -> list[str]:
    """What to call folders: their own names, with those above where two are alike."""
    count = Counter(f.name for f in folders)
    return [(f.name if count[f.name] == 1 and f.name else str(f))[-_LONG:] for f in folders]


def _shown(key: str) -> bool:
    return key not in _QUIET and not key.endswith(("_low", "_high"))
