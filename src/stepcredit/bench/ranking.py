"""What suites found as boards: on each one figure, a row a method with its interval, baselines marked."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stepcredit.data.layout import Floats

BOARDS, ROWS = 400, 300
"""Most boards of a file, most rows of a board."""
BASELINES = frozenset(
    (
        *("random", "constant", "constant per depth", "constant per position", "outcome broadcast", "first step"),
        *("last step", "outcome on last step", "same edge", "oracle", "fewest steps", "most steps"),
        *("random step (expected)", "best constant, in hindsight", "majority per position"),
        *("Jeffreys", "Monte Carlo, K=4", "Monte Carlo, K=16"),
    )
)
"""Rows that methods are measured by, where their suite does not say so itself."""
_NAMES = ("method", "judge", "source", "policy", "system", "way", "finder", "selector", "claim")
_NUMBERS = ("n", "given", "siblings", "x", "error", "noise", "length", "k", "budget")
_NO_PLACE = ("kind", "best", "error", "part", "aggregate", "date", "why", "note")
_INTERVAL = "_interval"
_LOWER = frozenset(
    (
        *("mse", "nmse", "bias", "variance", "unknown", "missing", "calls", "seconds", "tokens", "worlds rank", "cost"),
        *("below_median", "below_zero", "rollouts_to", "false_alarms", "wrong"),
    )
)
_CHANCE = {
    **dict.fromkeys(("same", "pooled", "strat", "auroc", "auroc_rest", "auroc_inside", "before_last"), 0.5),
    **dict.fromkeys(("within_question", "within_rollout", "same_mixed", "pooled_mixed", "pooled_all"), 0.5),
    **dict.fromkeys(("strat_mixed", "real same", "simulated same", "below_median"), 0.5),
    **dict.fromkeys(("pearson", "spearman", "cosine", "rho_mixed", "rho", "worlds r", "kappa"), 0.0),
}
_SAID = {
    "same": ("same", "how often the better of two steps in one state has more credit"),
    "same_mixed": ("same", "how often the better of two steps in one state has more credit; mixed tasks"),
    "pooled": ("pooled", "how often the better of any two steps has more credit"),
    "pooled_mixed": (
        "pooled, mixed",
        "how often the better of any two steps has more credit; tasks with both outcomes",
    ),
    "pooled_all": ("pooled, all", "how often the better of any two steps has more credit; all tasks"),
    "strat_mixed": ("per depth", "how often the better of two steps at one depth has more credit"),
    "rho_mixed": ("rank correlation", "of credit with the advantage; tasks with both outcomes"),
    "rho": ("rank correlation", "of credit with the exact advantage"),
    "pearson": ("r", "correlation of credit with the exact advantage"),
    "spearman": ("rank correlation", "of credit with the exact advantage"),
    "sign": ("sign", "how often credit has the sign of the advantage"),
    "cosine": ("cosine", "of the policy gradient that the credit gives with the exact one"),
    "mse": ("squared error", "of credit over the truth's, after best scaling"),
    "exact": ("exact", "share of the runs of which the blamed step is named"),
    "near": ("within 1", "share of the runs of which the blamed step is missed by one at most"),
    "far": ("within 3", "share of the runs of which the blamed step is missed by three at most"),
    "agent": ("agent", "share of the runs of which the blamed agent is named"),
    "legacy": ("legacy scorer", "share by the substring scorer of the benchmark's repository"),
    "unknown": ("cannot tell", "share of the runs of which no step is named for want of evidence"),
    "named": ("named", "share of the runs of which a step is named"),
    "precision": ("precision", "exact among the runs of which a step is named"),
    "first": ("first error", "share of the runs of which the first wrong step is found, or that there is none"),
    "first_error_accuracy": ("first error", "share of the runs of which the first wrong step is found"),
    "with_error": ("with an error", "the same, of runs with a wrong step"),
    "without_error": ("without an error", "the same, of runs without one"),
    "failed": ("failed", "the same, of runs that failed"),
    "auroc": ("AUROC", "how often a right step has more credit than a wrong one"),
    "auroc_inside": ("AUROC inside runs", "how often a wrong step is blamed more than another of its run"),
    "within_question": ("inside questions", "how often a right step has more credit than a wrong one of its question"),
    "within_rollout": ("inside rollouts", "how often a right step has more credit than a wrong one of its rollout"),
    "before_last": ("without last steps", "AUROC with last steps left out"),
    "hit": ("first error hit", "how often the lowest credit is at the first wrong step"),
    "mrr": ("reciprocal rank", "of the first wrong step by credit"),
    "success": ("success", "of the rollout that is chosen"),
    "worlds r": ("r in worlds", "correlation with the exact advantage, mean over kinds of worlds, 8 rollouts"),
    "worlds rank": ("place in worlds", "median place by r over kinds of worlds, 8 rollouts; 1 is best"),
    "real same": ("same, Game of 24", "GPT-4's own steps, 8 rollouts a puzzle"),
    "simulated same": ("same, simulated", "Game of 24 by a policy fitted to GPT-4's steps, 8 rollouts a puzzle"),
}


class Row(NamedTuple):
    """A row: value with its interval, NaN = not known."""

    name: str
    value: float
    low: float
    high: float
    baseline: bool


class Board(NamedTuple):
    """Rows of one figure, the best first.

    suite: what measured it. where: on what. better: "higher" or "lower". chance: what knowing nothing gives, if that
    is known. interval: what the intervals are, "" for none.
    """

    suite: str
    where: str
    figure: str
    metric: str
    doc: str
    better: str
    chance: float | None
    interval: str
    rows: list[Row]


def boards(told: Mapping[str, Any]) -> tuple[list[Board], list[str]]:
    """Boards of what `stepcredit bench SUITE --json` prints or of the leaderboard's figures; and what is left out.

    >>> found, _ = boards({"suite": "s", "rows": [{"method": "a", "exact": 0.5, "exact_interval": [0.4, 0.7]}]})
    >>> found[0].metric, found[0].better, found[0].rows[0].high
    ('exact', 'higher', 0.7)
    """
    if isinstance(told.get("scores"), Mapping):
        made = [*_cards(told["scores"]), *_reached(told.get("settings"))]
    else:
        suite = str(told.get("suite", ""))
        made = _of_rows(suite, "all kinds of worlds", _rows(told.get("means")))
        made += _of_rows(suite, "", _rows(told.get("rows")))
    notes = []
    if len(made) > BOARDS:
        notes.append(f"of {len(made):,} boards the first {BOARDS} are shown")
    long = sum(len(one.rows) > ROWS for one in made[:BOARDS])
    if long:
        notes.append(f"{long} boards are cut after {ROWS} rows")
    return [one._replace(rows=one.rows[:ROWS]) for one in made[:BOARDS]], notes


def _of_rows(suite: str, where: str, rows: Sequence[Mapping[str, Any]]) -> list[Board]:
    parts: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault(str(row.get("part", "")), []).append(row)
    out = []
    for part, some in parts.items():
        figures = list(dict.fromkeys(k for row in some for k in row if f"{k}{_INTERVAL}" in row))
        places = _places(some, figures)
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for row in some:
            groups.setdefault(", ".join(filter(None, (where, _words(part), _place(row, places)))), []).append(row)
        for place, mine in groups.items():
            for figure in figures:
                made = [row for row in (_row(row, figure) for row in mine) if row is not None]
                if made:
                    out.append(_board(suite, place, figure, made, "90%"))
    return out


def _places(rows: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> list[str]:
    """Fields that say on what a row was measured: words, and numbers that are no figures; those that differ."""
    name = _name_field(rows[0])
    out = []
    for key in dict.fromkeys(k for row in rows for k in row):
        values = [row.get(key) for row in rows if row.get(key) is not None]
        words = all(isinstance(v, str) for v in values) and not key.endswith("_which") and key not in _NO_PLACE
        number = key in _NUMBERS and all(map(finite, values))
        if key not in (name, *figures) and (words or number) and len(set(map(str, values))) > 1:
            out.append(key)
    return out


def _place(row: Mapping[str, Any], places: Sequence[str]) -> str:
    """
    >>> _place({"data": "hotpotqa", "n": 8}, ["data", "n"])
    'hotpotqa, N = 8'
    """
    parts = []
    for key in places:
        value = row.get(key)
        if isinstance(value, str) and value:
            parts.append(value)
        elif finite(value):
            parts.append(f"{'N' if key == 'n' else key} = {value:g}")
    return ", ".join(parts)


def _row(row: Mapping[str, Any], figure: str) -> Row | None:
    value = row.get(figure)
    if value is None or not finite(value):
        return None
    ends = row.get(f"{figure}{_INTERVAL}")
    low, high = ends if isinstance(ends, list) and len(ends) == 2 and all(map(finite, ends)) else (math.nan, math.nan)
    field = _name_field(row)
    name = str(row.get(field, "")) if field else str(row.get("evidence", "?"))
    if row.get("aggregate"):
        name = f"{name}, {row['aggregate']}"
    known = row.get("kind") in ("baseline", "constant") or name in BASELINES
    return Row(name, float(value), float(low), float(high), known)


def _name_field(row: Mapping[str, Any]) -> str:
    return next((k for k in _NAMES if isinstance(row.get(k), str)), "evidence" if "evidence" in row else "")


def _board(suite: str, where: str, figure: str, rows: Iterable[Row], interval: str) -> Board:
    metric, doc = _SAID.get(figure, (_words(figure), ""))
    better = "lower" if figure in _LOWER else "higher"
    order = sorted(rows, key=lambda row: row.value if better == "lower" else -row.value)
    chance = 0.0 if "minus" in figure.split("_") else _CHANCE.get(figure)
    told = any(row.low == row.low for row in order)
    return Board(suite, where, figure, metric, doc, better, chance, interval if told else "", order)


def _cards(scores: Mapping[str, Any]) -> list[Board]:
    """The figures on methods' cards: those that take rollouts alone, those that were given evidence."""
    out = []
    for given, where in ((False, "credit from rollouts alone"), (True, "methods given evidence")):
        some = {n: s for n, s in scores.items() if isinstance(s, Mapping) and bool(s.get("given")) == given}
        for figure in dict.fromkeys(k for s in some.values() for k in s if k not in ("of", "given")):
            rows = [
                Row(name, float(s[figure]), math.nan, math.nan, name in BASELINES)
                for name, s in some.items()
                if finite(s.get(figure))
            ]
            if rows:
                out.append(_board("leaderboard", where, figure, rows, ""))
    return out


def _reached(settings: Any) -> list[Board]:
    """What methods reached over kinds of worlds: median, and quartiles as its interval; by the number of rollouts."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for one in _rows(settings):
        _, _, n = str(one.get("name", "")).rpartition(", ")
        reached = one.get("reached")
        for method, pair in reached.items() if isinstance(reached, Mapping) else ():
            for figure, value in zip(("rho", "same"), pair if isinstance(pair, list) else (), strict=False):
                if finite(value):
                    values.setdefault((n, figure), {}).setdefault(method, []).append(float(value))
    out = []
    for (n, figure), methods in sorted(values.items(), key=lambda one: one[0][0] != "8 rollouts"):
        kinds = Counter(len(v) for v in methods.values()).most_common(1)[0][0]
        made = [Row(name, *_middle(np.array(v)), name in BASELINES) for name, v in methods.items()]
        where = f"over {kinds} kinds of worlds, {n}"
        out.append(_board("leaderboard", where, figure, made, "quartiles over kinds of worlds"))
    return out


def _middle(values: Floats) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return middle, low, high


def _rows(given: Any) -> list[Mapping[str, Any]]:
    return [row for row in given if isinstance(row, Mapping)] if isinstance(given, list) else []


def _words(name: str) -> str:
    return name.replace("_", " ")


def finite(value: Any) -> bool:
    """Whether a value of a file is a number, and a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
