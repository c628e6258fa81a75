"""What the page knows: columns of numbers and a table of texts, each text once."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.credit.run import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.data.records import Step
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.ops import merge_rate, state_cells, step_mean

LIMIT = 20_000
TEXT_LIMIT = 10_000
BRIEF = 160
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")

AddText = Callable[[object], int]


class Shown(NamedTuple):
    """The part of a batch that is embedded: rollouts sorted by task, and the step rows they pass.

    path: [P'] index into `steps`, rollout after rollout.
    """

    rollouts: Ints
    steps: Ints
    path: Ints


def payload(
    batch: Batch,
    credits: Sequence[Credit],
    *,
    findings: Sequence[Mapping[str, Any]] | None = None,
    comparison: Sequence[Mapping[str, Any]] | None = None,
    title: str = "",
    source: str = "",
    limit: int = LIMIT,
) -> tuple[dict[str, Any], list[str]]:
    """Data and texts of the page. Texts are named by their index, -1 = none; numbers have 4 digits, NaN is None."""
    lay = batch.layout
    for credit in credits:
        if credit.steps.shape != (lay.S,):
            raise LayoutError(f"credit {credit.method!r} has {credit.steps.size} steps, the batch {lay.S}")
    shown = choose(lay, limit)
    known: dict[str, int] = {}

    def add(value: object) -> int:
        if value is None:
            return -1
        return known.setdefault(cut(value if isinstance(value, str) else str(value)), len(known))

    data = {
        "title": cut(title, 200),
        "source": cut(source, 1000),
        "figures": figures(batch),
        "binary": binary(_outcome(batch)),
        "left_out": left_out(lay, shown),
        "notes": [cut(n) for n in dict.fromkeys(chain(batch.notes, *(c.notes for c in credits)))],
        "methods": [_method(c, name, shown.steps) for c, name in zip(credits, labels(credits), strict=True)],
        "groups": _groups(batch, shown, add),
        "rollouts": _rollouts(batch, shown),
        "path": shown.path.tolist() if lay.is_tree else None,
        "steps": _steps(batch, shown.steps, add),
        "findings": None if findings is None else [plain(f) for f in findings],
        "comparison": [plain(row) for row in comparison or ()],
    }
    return data, list(known)


def choose(lay: Layout, limit: int) -> Shown:
    """The first tasks that hold at most `limit` steps; of a larger first task, the first rollouts (one at least).

    Raises:
        StepCreditError: limit below 1.
    """
    if limit < 1:
        raise StepCreditError(f"limit must be 1 or more; got {limit}")
    order = np.argsort(lay.group, kind="stable")
    held = np.cumsum(np.bincount(lay.step_group, minlength=lay.G))
    rollouts = order[held[lay.group[order]] <= limit]
    if not rollouts.size and order.size:
        first = order[lay.group[order] == lay.group[order[0]]]
        rollouts = first[: max(1, int(np.searchsorted(np.cumsum(lay.steps[first]), limit, side="right")))]
    start, length = lay.paths.start[rollouts], lay.steps[rollouts]
    rows = lay.paths.rows[np.repeat(start - np.cumsum(length) + length, length) + np.arange(length.sum())]
    if not lay.is_tree:
        return Shown(rollouts, rows, np.arange(rows.size))
    steps, path = np.unique(rows, return_inverse=True)
    return Shown(rollouts, steps, path)


def figures(batch: Batch) -> list[tuple[str, str, str]]:
    """Figures of the whole batch, as the page prints them: name, value, remark."""
    lay, outcome = batch.layout, _outcome(batch)
    known = outcome[~np.isnan(outcome)]
    sizes = (("Tasks", np.unique(lay.group).size), ("Rollouts", lay.R), ("Steps", lay.S))
    out = [(name, f"{size:,}", "") for name, size in sizes]
    if binary(outcome):
        won = int(np.sum(known > 0))
        out.append(("Success", _percent(won / known.size), f"{won:,} of {known.size:,}"))
    elif known.size:
        out.append(("Mean outcome", f"{known.mean():.4g}", f"{known.min():.4g} to {known.max():.4g}"))
    if known.size < lay.R:
        out.append(("Outcome unknown", f"{lay.R - known.size:,}", ""))
    if "state" in batch and lay.S:
        out.append(("Shared states", _percent(merge_rate(state_cells(lay, batch["state"])).merged), "of steps"))
    return out


def binary(outcome: Floats) -> bool:
    """Only 0 and 1, or only -1 and +1, occur: above 0 is success."""
    kinds = set(np.unique(outcome[~np.isnan(outcome)]).tolist())
    return bool(kinds) and (kinds <= {0.0, 1.0} or kinds <= {-1.0, 1.0})


def left_out(lay: Layout, shown: Shown) -> str | None:
    """What the page does not hold, in words; None if it holds all."""
    held = {
        "task": int(np.unique(lay.group[shown.rollouts]).size),
        "rollout": shown.rollouts.size,
        "step": shown.steps.size,
    }
    total = {"task": int(np.unique(lay.group).size), "rollout": lay.R, "step": lay.S}
    if held == total:
        return None
    parts = [f"{held[name]:,} of {total[name]:,} {name}s" for name in total]
    return f"This page holds {', '.join(parts)}; the rest is left out. The figures above count all."


def labels(credits: Sequence[Credit]) -> list[str]:
    """One name per credit; a method that occurs twice is told apart by its options."""
    names = [c.method for c in credits]
    return [
        f"{c.method} ({', '.join(f'{k}={v}' for k, v in c.options.items())})" if names.count(c.method) > 1 else c.method
        for c in credits
    ]


def scale(credit: Floats) -> tuple[float, int]:
    """Where the colors end, and how many values lie beyond.

    The largest size, unless it is an outlier: more than 1.5 times the 98th percentile of the sizes that are not 0,
    which then is the end. 0 where no value differs from 0.
    """
    size = np.abs(credit[np.isfinite(credit) & (credit != 0)])
    if not size.size:
        return 0.0, int(np.sum(np.isinf(credit)))
    most = float(np.quantile(size, 0.98))
    end = float(size.max()) if size.max() <= 1.5 * most else most
    return end, int(np.sum(np.abs(credit) > end))


def _outcome(batch: Batch) -> Floats:
    return batch["outcome"] if "outcome" in batch else np.full(batch.layout.R, np.nan)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _method(credit: Credit, name: str, steps: Ints) -> dict[str, Any]:
    lay, values = credit.batch.layout, credit.steps[steps]
    end, beyond = scale(values)
    spread = {
        n: step_mean(lay, v.astype(float)) if credit.per == "token" else v.astype(float)
        for n, v in credit.extras.items()
    }
    return {
        "name": name,
        "options": {k: str(v) for k, v in credit.options.items()},
        "scale": number(end),
        "beyond": beyond,
        "judged": int(np.sum(~np.isnan(values))),
        "zero": int(np.sum(values == 0)),
        "credit": numbers(values),
        "extras": {n: numbers(v[steps]) for n, v in spread.items()},
    }


def _groups(batch: Batch, shown: Shown, add: AddText) -> dict[str, Any]:
    group = batch.layout.group[shown.rollouts]
    start = np.flatnonzero(np.diff(group, prepend=-1))
    prompts = None if batch.records is None else [batch.records[r].task for r in shown.rollouts.tolist()]
    ends = [*start.tolist(), shown.rollouts.size]
    tasks = [None if prompts is None else _first(prompts[a:b]) for a, b in pairwise(ends)]
    return {
        "name": [cut(str(batch.group_name(g)), 200) for g in group[start].tolist()],
        "brief": [None if t is None else " ".join(t[:BRIEF].split()) for t in tasks],
        "task": [-1 if t is None or len(t) <= BRIEF else add(t) for t in tasks],
        "start": ends,
    }


def _rollouts(batch: Batch, shown: Shown) -> dict[str, Any]:
    at = shown.rollouts
    more = [n for n in batch.columns if n.startswith("reward.") or n in ("weight", "policy_version")]
    return {
        "name": [cut(str(batch.rollout_name(r)), 200) for r in at.tolist()],
        "outcome": numbers(_outcome(batch)[at]),
        "start": [0, *np.cumsum(batch.layout.steps[at]).tolist()],
        "more": {n: numbers(batch[n][at]) for n in more},
    }


def _steps(batch: Batch, rows: Ints, add: AddText) -> dict[str, Any]:
    records = _records(batch, rows)
    evidence = {n: numbers(v[rows]) for n, v in batch.columns.items() if _is_evidence(batch, n)}
    if "match" in batch:
        evidence["match"] = numbers(np.where(batch["match"] < 0, np.nan, batch["match"])[rows])
    out: dict[str, Any] = {
        "text": [-1 if s is None else add(s.text) for s in records],
        "tools": [None if s is None or not s.tool_calls else _tools(s, add) for s in records],
        "reward": numbers(batch["reward"][rows]) if "reward" in batch else None,
        "tokens": None if batch.layout.token_step is None else batch.layout.step_tokens[rows].tolist(),
        "evidence": evidence,
    }
    for name in ("action", "observation", "agent", "state"):
        ids, texts = _keys(batch, name, rows, add)
        out[name] = ids if name == "state" else None if ids is None else [-1 if i < 0 else texts[i] for i in ids]
        if name == "state":
            out["states"] = texts
    return out


def _records(batch: Batch, rows: Ints) -> list[Step] | list[None]:
    if batch.records is None:
        return [None] * rows.size
    steps = list(chain.from_iterable(r.steps for r in batch.records))
    if len(steps) != batch.layout.S:
        raise LayoutError(f"the records hold {len(steps)} steps, the batch {batch.layout.S}")
    return [steps[i] for i in rows.tolist()]


def _is_evidence(batch: Batch, name: str) -> bool:
    known = column(name)
    number = known is None or (known.kind == "float" and name != "reward" and not name.startswith("credit."))
    return number and batch.axis(name) == "S"


def _tools(step: Step, add: AddText) -> list[int]:
    """Name, arguments, name, arguments ..."""
    out = []
    for call in step.tool_calls:
        given = call.arguments
        shown = given if given is None or isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)
        out += [add(call.name), add(shown)]
    return out


def _keys(batch: Batch, name: str, rows: Ints, add: AddText) -> tuple[list[int] | None, list[int]]:
    """An id column: dense ids, -1 = missing, and the text of each id."""
    if name not in batch:
        return None, []
    ids, dense = np.unique(batch[name][rows], return_inverse=True)
    if name not in batch.keys:
        return dense.tolist(), [add(f"id {i}") for i in ids.tolist()]
    texts = [add(batch.keys[name][i]) for i in ids.tolist()]
    lost = np.array(texts, np.int64) < 0
    return np.where(lost[dense], -1, dense).tolist(), texts


def cut(text: str, most: int = TEXT_LIMIT) -> str:
    """The text, or its beginning and how much was left out.

    >>> cut("abcdef", 4)
    'abcd… 2 more characters'
    """
    return text if len(text) <= most else f"{text[:most]}… {len(text) - most:,} more characters"


def number(value: float) -> float | int | str | None:
    """4 significant digits; None for NaN; infinities by the names that JavaScript reads.

    >>> number(0.123456), number(2.0), number(float("nan")), number(float("-inf"))
    (0.1235, 2, None, '-Infinity')
    """
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    short = float(f"{value:.4g}")
    if math.isinf(short):
        return value
    return int(short) if abs(short) < 1e15 and short == int(short) else short


def numbers(values: NDArray[Any]) -> list[Any]:
    """Numbers for JSON: four digits, NaN as null."""
    if values.ndim > 1:
        return [[number(v) for v in row] for row in values.tolist()]
    return [number(v) for v in values.tolist()]


def plain(value: Any) -> Any:
    """Any value as JSON can hold it: numbers shortened, long texts cut, the unknown as text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return cut(str(value))


def as_json(value: Any) -> str:
    """JSON that no HTML parser can read as markup and any UTF-8 file can hold.

    >>> as_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _first(values: Iterable[str | None]) -> str | None:
    return next((v for v in values if v is not None), None)
