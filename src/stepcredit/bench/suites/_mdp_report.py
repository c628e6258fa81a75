"""What the suite `mdp` found, as rows, tables and plots. Found: (setting, n) -> name -> figure -> number per world."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.bench.entries import QUALITY, ours
from stepcredit.bench.suite import Line, Plot, Table
from stepcredit.bench.suites._figures import Mean, mean, mean_of_means
from stepcredit.bench.suites._references import MONTE_CARLO

Found = Mapping[tuple[str, int], Mapping[str, Mapping[str, Any]]]

FIGURES = ("pearson", "spearman", "sign", "same", "pooled", "cosine", "mse", "nmse", "bias", "variance")
SURE = ("coverage", "coverage_nonzero", "width")
CORRELATIONS = ("pearson", "spearman", "cosine")
PAIRED = ("pearson", "spearman", "same", "cosine", "mse")


def told(found: Found) -> dict[tuple[str, int], dict[str, dict[str, Any]]]:
    """The same, where a correlation is 0 in a world in which the credit is the same for all steps, so that it tells
    nothing; it stays undefined where it is for every credit, as the truth is the same for all steps."""
    out: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for key, methods in found.items():
        filled = {name: dict(one) for name, one in methods.items()}
        for figure in CORRELATIONS:
            by = {name: np.asarray(one[figure], float) for name, one in methods.items() if figure in one}
            some = np.any([~np.isnan(x) for x in by.values()], axis=0) if by else np.zeros(0, bool)
            for name, x in by.items():
                filled[name][figure] = np.where(np.isnan(x) & some, 0.0, x).tolist()
        out[key] = filled
    return out


def rows(found: Found) -> list[dict[str, Any]]:
    """A row per setting, n and method: means over worlds, their intervals, worlds left out as undefined."""
    out = []
    for (setting, n), methods in found.items():
        for name, one in methods.items():
            row: dict[str, Any] = {"setting": setting, "n": n, "method": name}
            if "error" in one:
                out.append({**row, "error": one["error"]})
                continue
            row |= {"calls": one["calls"], "unjudged": one["unjudged"]}
            for figure in (*FIGURES, *SURE):
                if figure in one:
                    m = mean(one[figure])
                    row |= {figure: m.value, f"{figure}_interval": m.interval, f"{figure}_undefined": m.undefined}
            out.append(row)
    return out


def means(found: Found) -> list[dict[str, Any]]:
    """A row per n and method: means over the settings that it has figures for."""
    out = []
    for n in _numbers(found):
        for name in _names(found):
            here = [one for one in _of(found, n, name).values() if "error" not in one]
            row: dict[str, Any] = {"n": n, "method": name, "settings": len(here)}
            for figure in ("calls", "unjudged"):
                row[figure] = float(np.mean([one[figure] for one in here])) if here else math.nan
            for figure in (*FIGURES, *SURE):
                some = [mean(one[figure]) for one in here if figure in one]
                if some:
                    m = mean_of_means(some)
                    row |= {figure: m.value, f"{figure}_interval": m.interval}
            out.append(row)
    return out


def paired(found: Found) -> list[dict[str, Any]]:
    """Our own advantages less every other credit, world by world: per setting, and (setting "all") their mean."""
    out = []
    names = _names(found)
    for n in _numbers(found):
        for mine in filter(_advantage, names):
            for other in (name for name in names if not ours(name)):
                for figure in PAIRED:
                    by = {
                        setting: mean(np.subtract(one[mine][figure], one[other][figure]))
                        for (setting, at), one in found.items()
                        if at == n and figure in one.get(mine, {}) and figure in one.get(other, {})
                    }
                    head = {"n": n, "method": mine, "against": other, "figure": figure}
                    for setting, m in {**by, "all": mean_of_means(list(by.values()))}.items():
                        told = {"difference": m.value, "difference_interval": m.interval}
                        out.append({**head, "setting": setting, **told})
    return out


def tables(found: Found, told: Sequence[int], groups: Mapping[str, Sequence[str]]) -> list[Table]:
    """Pearson at the numbers told, squared error, gradient and intervals at the last of them; means; pairs; errors."""
    out = [_means_table(found, n) for n in told]
    out += [_by_setting(found, "pearson", n, *group) for n in told for group in groups.items()]
    for figure in ("spearman", "same", "cosine", "mse"):
        out += [_by_setting(found, figure, told[-1], *group) for group in groups.items()]
    out.append(_coverage_table(found, told[-1]))
    if any(map(_advantage, _names(found))):
        out.append(_paired_table(found, told))
    failed = {
        (name, one["error"]): key for key, methods in found.items() for name, one in methods.items() if "error" in one
    }
    if failed:
        lines = [[name, f"{setting}, N={n}", text] for (name, text), (setting, n) in failed.items()]
        out.append(Table("Failed", ("method", "for example", "error"), lines))
    return out


def plots(found: Found) -> list[Plot]:
    """Pearson against rollouts per prompt, over all settings, and against model calls, over those with Monte Carlo."""
    numbers = _numbers(found)
    fresh = [name for name in _names(found) if name in MONTE_CARLO]
    binary = {setting for setting, n in found if all(name in found[setting, n] for name in fresh)}
    by_n, by_calls = [], []
    for name in _names(found):
        whole = {n: {s: one for s, one in _of(found, n, name).items() if "error" not in one} for n in numbers}
        if name not in fresh:
            by_n.append(_line(name, [(n, _pearson(here.values())) for n, here in whole.items()]))
        some = {n: [one for s, one in here.items() if s in binary] for n, here in whole.items()}
        ends = {numbers[0], numbers[-1]} if name in fresh else set(numbers)  # its accuracy does not hang on n
        by_calls.append(_line(name, [(_calls(here), _pearson(here)) for n, here in some.items() if here and n in ends]))
    what = "Credit against exact advantage, mean over settings"
    return [
        Plot("mdp_rollouts", what, "rollouts per prompt", "Pearson r", by_n),
        Plot("mdp_calls", what, "model calls (rollouts) per prompt", "Pearson r", by_calls),
    ]


def _pearson(here: Iterable[Mapping[str, Any]]) -> Mean:
    return mean_of_means([mean(one["pearson"]) for one in here])


def _calls(here: Sequence[Mapping[str, Any]]) -> float:
    """Mean calls to two digits: a place on a logarithmic axis that can be read."""
    return float(f"{np.mean([one['calls'] for one in here]):.2g}")


def _line(name: str, at: Sequence[tuple[float, Mean]]) -> Line:
    some = [(x, m) for x, m in at if not math.isnan(m.value)]
    x, y = [x for x, _ in some], [m.value for _, m in some]
    band = ([m.low for _, m in some], [m.high for _, m in some]) if ours(name) else (None, None)
    return Line(name, x, y, *band)


def _advantage(name: str) -> bool:
    return ours(name) and not name.endswith(QUALITY)


def _names(found: Found) -> list[str]:
    return list(dict.fromkeys(name for methods in found.values() for name in methods))


def _numbers(found: Found) -> list[int]:
    return list(dict.fromkeys(n for _, n in found))


def _of(found: Found, n: int, name: str) -> dict[str, Mapping[str, Any]]:
    return {setting: one[name] for (setting, at), one in found.items() if at == n and name in one}


def _cell(value: float, interval: Sequence[float] | None = None) -> str:
    if math.isnan(value):
        return "–"
    digits = 2 if abs(value) < 100 else 0
    text = f"{value:.{digits}f}"
    return text if interval is None else f"{text} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def _means_table(found: Found, n: int) -> Table:
    lines = []
    for row in (row for row in means(found) if row["n"] == n and row["settings"]):
        first = _cell(row["pearson"], row["pearson_interval"])
        rest = [*(_cell(row[f]) for f in FIGURES[1:]), f"{row['calls']:.0f}", f"{row['unjudged']:.0%}"]
        lines.append([row["method"], first, *rest])
    return Table(
        f"Means of all settings, N={n}",
        ("method", *FIGURES, "calls", "not judged"),
        lines,
        "mse: squared error over the truth's, credit scaled by one number per setting; nmse = bias + variance: "
        "unscaled. sign, same, pooled: 0.5 is chance. calls: rollouts per prompt. A credit that is the same for all "
        "steps of a world tells nothing there: its correlations are 0; worlds where the truth is one are left out. "
        "not judged: share of steps without credit; the figures are over the others, so a method that abstains is not "
        "comparable.",
    )


def _by_setting(found: Found, figure: str, n: int, title: str, settings: Sequence[str]) -> Table:
    lines = []
    for name in _names(found):
        here = {s: one for s, one in _of(found, n, name).items() if s in settings}
        by = [mean(here[s][figure]) if figure in here.get(s, {}) else None for s in settings]
        told = [
            "error" if "error" in here.get(s, {}) else "–" if m is None else _cell(m.value)
            for s, m in zip(settings, by, strict=True)
        ]
        lines.append([name, *told, _cell(mean_of_means([m for m in by if m is not None]).value)])
    return Table(f"{figure}, N={n}, {title}", ("method", *settings, "mean"), lines)


def _coverage_table(found: Found, n: int) -> Table:
    lines = []
    for name in _names(found):
        for setting, one in _of(found, n, name).items():
            if "coverage" in one:
                lines.append([name, setting, *(_cell(mean(one[f]).value) for f in SURE)])
    return Table(
        f"90% intervals of the advantage, N={n}",
        ("method", "setting", "coverage", "where it is not 0", "width"),
        lines,
        "Credit +- 1.645 standard errors. Jeffreys: Q and V as if they were independent.",
    )


def _paired_table(found: Found, told: Sequence[int]) -> Table:
    lines, pairs = [], paired(found)
    single: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in pairs:
        if row["setting"] != "all":
            single[row["n"], row["method"], row["against"], row["figure"]].append(row)
    for row in (row for row in pairs if row["setting"] == "all" and row["n"] in told):
        same = single[row["n"], row["method"], row["against"], row["figure"]]
        better = -1 if row["figure"] == "mse" else 1
        ends = [sorted(better * x for x in r["difference_interval"]) for r in same]
        counts = (sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends))
        lines.append(
            [
                row["method"],
                row["against"],
                row["figure"],
                row["n"],
                _cell(row["difference"], row["difference_interval"]),
                *counts,
            ]
        )
    return Table(
        "Ours less others, paired by world",
        ("method", "against", "figure", "N", "difference, mean of settings [90%]", "settings better", "settings worse"),
        lines,
        "Better and worse: settings whose own interval lies above or below 0 (mse: below is better).",
    )
