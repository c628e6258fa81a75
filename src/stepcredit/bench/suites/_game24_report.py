"""Figures of Game of 24 as rows, tables and plots."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.entries import QUALITY, ours
from stepcredit.bench.paired import interval
from stepcredit.bench.suite import Line, Plot, Result, Table
from stepcredit.bench.suites._game24_scores import BASELINES, EXACT, METRICS, Values, means
from stepcredit.data.layout import Floats

COUNTS = ("mixed", "pairs", "unjudged")
COVERAGE = ("covered", "covered_nonzero", "width")
GAPS = ("same_mixed", "pooled_all", "rho_mixed", "mse_mixed")  # shown in the table; the JSON has all
HEADS = {
    "same_mixed": "same",
    "pooled_mixed": "pooled",
    "pooled_all": "pooled, all",
    "strat_mixed": "per depth",
    "rho_mixed": "rho",
    "mse_mixed": "error",
}
NOTE = (
    "same: how often the better of two steps of one puzzle taken in the same state has more credit; pooled: of two of "
    "all steps taken where 24 was in reach, to be read beside the constant per depth, which sees the labels; per "
    "depth: of two steps at the same depth; rho: rank correlation with the {truth}. Over puzzles with successes and "
    "failures among the N rollouts; 'pooled, all' over every puzzle. Means over samplings; brackets: 90% bootstrap "
    "interval over puzzles. Not judged: decisions without credit, left out.{more}"
)
SCORES = (
    " Entries @quality say how sure a step keeps success possible: they rank steps and are no advantages, which rho, "
    "error and coverage are about."
)
REAL = "Monte Carlo advantage from the rollouts that were not drawn, over decisions in states that they visit 5 times"
MORE = (
    " error: squared error after the best scaling over the mean square of the advantage, 0 is perfect; covered: share "
    "of true advantages (of those not 0) within 1.645 of the method's own standard errors, 0.9 is right, and how wide "
    "that is."
)


class Group(NamedTuple):
    """All entries measured on the same samples: credit computed from `given` rollouts a puzzle, scored on n of them."""

    n: int
    given: int
    values: dict[str, Values]
    failed: dict[str, str]


def report(kind: str, samplings: int, first: Sequence[str], cells: Sequence[dict[str, Any]]) -> Result:
    """Rows, tables and plots of the cells' values.

    Args:
        kind: "real" or "simulated".
        first: the entry besides ours that is compared with every other.
    """
    groups = _groups(cells)
    own = [g for g in groups if g.given == g.n]
    metrics = EXACT if kind == "simulated" else METRICS
    compared = _compared(own, metrics, first)
    gaps = _gaps(groups, metrics, first)
    title = f"{cells[0]['puzzles']} puzzles, {samplings} sampling{'s' * (samplings > 1)}"
    tables = [_table(g, metrics, f"{kind}: N = {g.n}; {title}") for g in own]
    tables[-1] = tables[-1]._replace(note=_note(kind, groups, cells))
    ours = _ours(own, first)
    tables += [_paired_table(compared, name, metric) for name in ours for metric in ("same_mixed", "rho_mixed")]
    tables += [table for name in ours if (table := _gap_table(gaps, name)) is not None]
    fewest = min(cell["rollouts"] for cell in cells)
    more = {"paired": compared, "gap": gaps, "samplings": samplings, "puzzles": cells[0]["puzzles"]}
    more |= {"fewest_rollouts": fewest}
    policies = [dict(p) for p in dict.fromkeys(tuple(c["policy"].items()) for c in cells if "policy" in c)]
    return Result(
        [row for g in groups for row in _rows(g, kind, metrics)],
        tables,
        [_plot(own, kind, metric) for metric in ("same_mixed", "rho_mixed")],
        {**more, "policies": policies} if policies else more,
    )


def _groups(cells: Iterable[dict[str, Any]]) -> list[Group]:
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for cell in cells:
        for given, one in cell["given"].items():
            found.setdefault((cell["n"], int(given)), []).append(one)
    return [
        Group(n, given, means(one["tally"] for one in parts), {k: v for one in parts for k, v in one["failed"].items()})
        for (n, given), parts in sorted(found.items())
    ]


def _note(kind: str, groups: Sequence[Group], cells: Sequence[dict[str, Any]]) -> str:
    """What the columns are, and whatever did not go as it should."""
    truth = REAL if kind == "real" else "exact advantage, over all steps"
    quality = any(name.endswith(QUALITY) for g in groups for name in g.values)
    lines = [NOTE.format(truth=truth, more=MORE * (kind != "real")) + SCORES * quality]
    fewest = min(cell["rollouts"] for cell in cells)
    if max(g.n for g in groups) > fewest:
        lines.append(f"Some puzzles have only {fewest} rollouts: of these all are drawn, and none is left out for rho.")
    lines += [
        f"{name} failed{' in some samplings' * (name in g.values)} (N = {g.n}, given {g.given}): {why}"
        for g in groups
        for name, why in g.failed.items()
    ]
    return "\n".join(lines)


def _ours(groups: Sequence[Group], first: Sequence[str]) -> list[str]:
    names = dict.fromkeys(name for g in groups for name in g.values)
    return [n for n in names if ours(n) or n in first]


def _rows(group: Group, kind: str, metrics: Sequence[str]) -> list[dict[str, Any]]:
    names = [*group.values, *(name for name in group.failed if name not in group.values)]
    out = []
    for name in names:
        values = group.values.get(name, {})
        row: dict[str, Any] = {"method": name, "n": group.n, "given": group.given, "data": kind}
        for metric in metrics:
            row[metric], row[f"{metric}_interval"] = _told(values.get(metric, np.array([np.nan])))
        row.update({q: float(values[q][0]) for q in (*COUNTS, *COVERAGE) if q in values})
        if name in group.failed:
            row["error"] = group.failed[name]
        out.append(row)
    return out


def _told(values: Floats) -> tuple[float, list[float]]:
    return float(values[0]), interval(values[1:])


def _compared(groups: Sequence[Group], metrics: Sequence[str], first: Sequence[str]) -> list[dict[str, Any]]:
    out = []
    for g in groups:
        for name in _ours([g], first):
            for other in g.values:
                if g.failed.keys() & {name, other}:  # not the same samplings: no pairs
                    continue
                for metric in metrics if other != name else ():
                    value, bounds = _told(g.values[name][metric] - g.values[other][metric])
                    out.append(
                        {"method": name, "other": other, "n": g.n, "metric": metric, "difference": value}
                        | {"difference_interval": bounds}
                    )
    return out


def _gaps(groups: Sequence[Group], metrics: Sequence[str], first: Sequence[str]) -> list[dict[str, Any]]:
    """How much of what a rival would gain from the larger batch a method gains over it on the small one; NaN where the
    rival's own gain is not clear (its 90% interval holds 0)."""
    larger = {g.n: g for g in groups if g.given != g.n}
    out = []
    for g in (g for g in groups if g.given == g.n and g.n in larger):
        for name in _ours([g], first):
            for rival in (r for r in larger[g.n].values if r != name and r in g.values):
                for metric in metrics:
                    ours, theirs, target = (
                        one[metric] for one in (g.values[name], g.values[rival], larger[g.n].values[rival])
                    )
                    gain = target - theirs
                    better = -gain if metric == "mse_mixed" else gain
                    clear = interval(better[1:])[0] > 0
                    closed = np.divide(ours - theirs, gain, out=np.full(gain.shape, np.nan), where=clear & (better > 0))
                    value, bounds = _told(closed)
                    out.append(
                        {"method": name, "rival": rival, "n": g.n, "given": larger[g.n].given, "metric": metric}
                        | {"ours": float(ours[0]), "rival_n": float(theirs[0]), "rival_given": float(target[0])}
                        | {"closed": value, "closed_interval": bounds}
                    )
    return out


def _table(group: Group, metrics: Sequence[str], title: str) -> Table:
    values = group.values
    order = sorted(values, key=lambda name: -np.nan_to_num(values[name]["same_mixed"][0], nan=-1.0))
    more = [q for q in COVERAGE if any(q in v for v in values.values())]
    columns = ["credit", *(HEADS[m] for m in metrics), "not judged", *(q.replace("_", ", ") for q in more)]
    rows = [
        [
            name,
            *(_text(values[name][m]) for m in metrics),
            float(values[name]["unjudged"][0]),
            *(float(values[name][q][0]) if q in values[name] else None for q in more),
        ]
        for name in order
    ]
    rows += [[name, *[None] * (len(columns) - 1)] for name in group.failed if name not in values]
    of = next(iter(values.values()))
    return Table(f"{title}, {of['mixed'][0]:.3g} of them mixed", columns, rows)


def _text(values: Floats) -> str | None:
    value, (low, high) = _told(values)
    return None if np.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _signed(value: float, low: float, high: float) -> str | None:
    value, low, high = (round(x, 2) + 0.0 for x in (value, low, high))
    return None if np.isnan(value) else f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _paired_table(compared: Sequence[dict[str, Any]], name: str, metric: str) -> Table:
    mine = [x for x in compared if x["method"] == name and x["metric"] == metric]
    sizes, others = sorted({x["n"] for x in mine}), list(dict.fromkeys(x["other"] for x in mine))
    cell = {(x["other"], x["n"]): _signed(x["difference"], *x["difference_interval"]) for x in mine}
    rows = [[other, *(cell.get((other, n)) for n in sizes)] for other in others]
    return Table(f"{name} minus the others: {HEADS[metric]}", ["minus", *(f"N = {n}" for n in sizes)], rows)


def _gap_table(gaps: Sequence[dict[str, Any]], name: str) -> Table | None:
    """Per metric and N the best rival; None if there is none."""
    best: dict[tuple[str, int], dict[str, Any]] = {}
    for x in (x for x in gaps if x["method"] == name and x["metric"] in GAPS and not ours(x["rival"])):
        key, sign = (x["metric"], x["n"]), -1 if x["metric"] == "mse_mixed" else 1
        if key not in best or sign * x["rival_n"] > sign * best[key]["rival_n"]:
            best[key] = x
    if not best:
        return None
    sizes, given = sorted({n for _, n in best}), next(iter(best.values()))["given"]
    rows = [
        [HEADS[metric], *(_closed(best[metric, n]) for n in sizes)] for metric in GAPS if (metric, sizes[0]) in best
    ]
    note = (
        f"The best rival with N rollouts, {name} with N, the same rival on the same steps with {given} rollouts of "
        "each puzzle to go by; and how much of the way from first to last is gone, if the rival's own gain is clear."
    )
    return Table(f"{name} and what {given} rollouts would do", ["", *(f"N = {n}" for n in sizes)], rows, note)


def _closed(x: dict[str, Any]) -> str:
    share = "" if np.isnan(x["closed"]) else f": {x['closed']:.0%}"
    return f"{x['rival']} {x['rival_n']:.2f}, {x['ours']:.2f}, {x['rival_given']:.2f}{share}"


def _plot(groups: Sequence[Group], kind: str, metric: str) -> Plot:
    lines = []
    for name in dict.fromkeys(n for g in groups for n in g.values if n not in BASELINES[1:]):
        told = {g.n: _told(g.values[name][metric]) for g in groups if name in g.values}
        kept = {n: x for n, x in told.items() if not np.isnan(x[0])}
        if kept:
            low, high = ([x[1][i] for x in kept.values()] for i in (0, 1))
            lines.append(Line(name, list(kept), [x[0] for x in kept.values()], low, high))
    title = f"Game of 24, {kind}: {HEADS[metric]} over mixed puzzles, 90% bands"
    return Plot(f"game24-{kind}-{HEADS[metric]}", title, "rollouts per puzzle", HEADS[metric], lines)
