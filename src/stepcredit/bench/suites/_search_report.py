"""Rows and tables of the search suite: policies beside their curves, two models, a quarter of the budget, early
rejection, votes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from stepcredit.bench.paired import weights
from stepcredit.bench.suite import Line, Plot, Table
from stepcredit.bench.suites import _consistency as votes
from stepcredit.bench.suites import _search_policies as chosen
from stepcredit.bench.suites._search_curves import Curve, between, factor, mean, told
from stepcredit.data.layout import Floats

DRAWS = 1000
SPENT = ("calls", "prefill", "tokens", "decode", "draft", "score", "judge", "discarded")
Rows = Sequence[Mapping[str, Any]]
_CLEAR = ("better", "worse", "cannot be told")


class Measured:
    """The cells of one part, and the draws over its tasks. Keys are parts of the cells' keys, joined by "/"."""

    def __init__(self, values: Mapping[str, Any], part: str, seed: int) -> None:
        self.values = {k.removeprefix(part): v for k, v in values.items() if k.startswith(part)}
        self._seed = seed
        self._curves: dict[tuple[str, str], Curve] = {}

    @cached_property
    def weight(self) -> Floats:
        """[1 + draws, tasks]."""
        one = next(iter(self.values.values()))
        tasks = len(one["solved"] if "solved" in one else next(iter(one["best"].values()))["solved"])
        return weights(tasks, DRAWS, self._seed)

    def mean(self, key: str, of: str) -> Floats:
        """[1 + draws] a figure of a cell."""
        return mean(self.values[key][of], self.weight)

    def curve(self, key: str, kind: str) -> Curve:
        """A curve of best-of-N."""
        if (key, kind) not in self._curves:
            self._curves[key, kind] = Curve.of(self.values[key][kind], self.weight)
        return self._curves[key, kind]

    def costs(self, key: str) -> dict[str, float]:
        """Means per task."""
        return {kind: float(np.mean(self.values[key][kind])) for kind in SPENT}

    def points(self, key: str) -> list[dict[str, Any]]:
        """A row per point of a curve."""
        out = []
        for kind, points in self.values[key].items():
            for n, value in points.items():
                row: dict[str, Any] = {"policy": f"({kind} of {n})", "curve": kind, "n": int(n)}
                row |= told("accuracy", mean(value["solved"], self.weight))
                out.append(row | {k: float(np.mean(value[k])) for k in SPENT if k in value})
        return out


def level(noise: float) -> float | str:
    """JSON has no word for infinity."""
    return "inf" if noise == float("inf") else noise


def policy_rows(at: Measured, where: Mapping[str, Any], cells: Mapping[str, str], curve: str) -> list[dict[str, Any]]:
    """A row per policy (name -> cell), beside its curve at as many tokens; before them the curve's points."""
    out = [{**where, **row} for row in at.points(curve)]
    votes_alone = {c.name for c in chosen.CHOICES if c.asks == "votes"}
    for name, key in cells.items():
        kind = "majority" if name in votes_alone else "best"
        right, tokens, beside = at.mean(key, "solved"), at.mean(key, "tokens"), at.curve(curve, kind)
        row = {**where, "policy": name, "curve": None, "n": None, **told("accuracy", right), **at.costs(key)}
        same = beside.at(tokens)
        row |= {"against": kind, "beyond_curve": beside.ends_before(tokens), "best_of_n": float(same[0])}
        row |= told("minus", right - same)
        row |= factor("times_fewer", beside.times(right, tokens), beside.cost[-1] / tokens)
        out.append(row)
    return out


def policy_table(found: Rows, title: str, note: str) -> Table:
    """For people."""
    columns = ("policy", "solved", "90%", "calls", "tokens", "scores", "judge", "curve there", "minus it", "90%")
    columns += ("tokens of the curve for as much", "90%")  # type: ignore[assignment]
    shown = [
        [
            r["policy"] + "*" * bool(r.get("beyond_curve")),
            r["accuracy"],
            between(r["accuracy_interval"]),
            r["calls"],
            r["tokens"],
            r["score"],
            r.get("judge"),
            r.get("best_of_n"),
            r.get("minus"),
            between(r.get("minus_interval")),
            _times(r, "times_fewer") if "times_fewer" in r else None,
            between(r.get("times_fewer_interval")),
        ]
        for r in found
    ]
    return Table(title, columns, shown, note)


def _times(row: Mapping[str, Any], name: str) -> str:
    return f"{'>' * row[f'{name}_at_least']}{row[name]:.2f}x"


def pair_rows(at: Measured, where: Mapping[str, Any], cells: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row per policy of two models, beside the large one alone."""
    large = cells.get(chosen.LARGE)
    out = []
    for name, key in cells.items():
        right = at.mean(key, "solved")
        row = {**where, "policy": name, **told("accuracy", right), **at.costs(key)}
        if large is not None and name != chosen.SMALL:
            row |= told("minus", right - at.mean(large, "solved"))
            row |= told("large_share", at.mean(key, "decode") / at.mean(large, "decode"))
        if name == chosen.SMALL:
            row |= {"draft": row["decode"], "decode": 0.0}
        out.append(row)
    return out


def pair_table(found: Rows) -> Table:
    """For people."""
    columns = (
        "noise",
        "policy",
        "solved",
        "90%",
        "tokens, large",
        "small",
        "minus large alone",
        "90%",
        "of its tokens",
    )
    shown = [
        [
            r["noise"],
            r["policy"],
            r["accuracy"],
            between(r["accuracy_interval"]),
            r["decode"],
            r["draft"],
            r.get("minus"),
            between(r.get("minus_interval")),
            r.get("large_share"),
        ]
        for r in found
    ]
    note = (
        "The large model is the able one, the small one the twin; both at temperature 0. Router and scorer know the "
        "large model's chances up to the noise."
    )
    return Table("Two models: a small one writes, a large one where it pays", columns, shown, note)


def quarter_row(at: Measured, where: Mapping[str, Any], key: str, curve: str, tokens: int) -> dict[str, Any]:
    """BAVT within a quarter of the tokens against best-of-N and majority with all of them."""
    right, cost = at.mean(key, "solved"), at.mean(key, "tokens")
    whole = np.full(right.size, float(tokens))
    row = {**where, "tokens_full": tokens, **told("accuracy", right), **at.costs(key)}
    for kind in ("best", "majority"):
        full = at.curve(curve, kind).at(whole)
        row |= told(f"{kind}_full", full) | told(f"minus_{kind}", right - full)
        row[f"{kind}_same"] = float(at.curve(curve, kind).at(cost)[0])
        row[f"says_{kind}"] = says(row[f"minus_{kind}_interval"])
    return row


def says(at: Sequence[float], slack: float = 0.0) -> str:
    """Whether a difference lies above 0, below it, or around it."""
    return _CLEAR[0] if at[0] > slack else _CLEAR[1] if at[1] < -slack else _CLEAR[2]


def quarter_table(found: Rows) -> Table:
    """For people."""
    columns: tuple[str, ...] = ("world", "noise", "T", "BAVT at T/4", "90%", "tokens", "judge", "best-of-N at T")
    columns += ("BAVT minus it", "90%", "BAVT is", "majority at T", "BAVT minus it", "90%", "BAVT is")
    shown = [
        [
            *(r[k] for k in ("world", "noise", "tokens_full", "accuracy")),
            between(r["accuracy_interval"]),
            *(r[k] for k in ("tokens", "judge")),
            *(
                x
                for kind in ("best", "majority")
                for x in (
                    r[f"{kind}_full"],
                    r[f"minus_{kind}"],
                    between(r[f"minus_{kind}_interval"]),
                    r[f"says_{kind}"],
                )
            ),
        ]
        for r in found
    ]
    note = (
        "T: tokens written by the model; the judge's own words, and what is read, are not counted, and BAVT asks after "
        "every step. Best-of-N asks the scorer about every step of every solution, majority asks nobody."
    )
    return Table("BAVT at a quarter of the tokens against best-of-N at all of them", columns, shown, note)


def reject_rows(
    at: Measured, where: Mapping[str, Any], cells: Mapping[tuple[int, int], str], whole: int
) -> list[dict[str, Any]]:
    """A row per (tau, n) against the same search without rejection: of as many beams, and at equal accuracy."""
    plain = {n: key for (tau, n), key in cells.items() if tau == whole}
    beside = Curve.of({str(n): at.values[key] for n, key in sorted(plain.items())}, at.weight)
    out = []
    for (tau, n), key in cells.items():
        right, tokens = at.mean(key, "solved"), at.mean(key, "tokens")
        row = {**where, "tau": tau, "n": n, "rejects": tau != whole, **told("accuracy", right), **at.costs(key)}
        if tau != whole:
            row |= told("minus", right - at.mean(plain[n], "solved"))
            row |= told("times_fewer", at.mean(plain[n], "tokens") / tokens)
            row |= factor("times_fewer_equal", beside.times(right, tokens), beside.cost[-1] / tokens)
        out.append(row)
    return out


def reject_table(found: Rows) -> Table:
    """For people."""
    columns = (
        "world",
        "noise",
        "tau",
        "n",
        "solved",
        "90%",
        "tokens",
        "minus whole steps",
        "90%",
        "times fewer tokens",
    )
    columns += ("at equal accuracy", "90%")  # type: ignore[assignment]
    shown = [
        [
            *(r[k] for k in ("world", "noise")),
            r["tau"] if r["rejects"] else "whole",
            *(r[k] for k in ("n", "accuracy")),
            between(r["accuracy_interval"]),
            r["tokens"],
            r.get("minus"),
            between(r.get("minus_interval")),
            r.get("times_fewer"),
            _times(r, "times_fewer_equal") if r["rejects"] else None,
            between(r.get("times_fewer_equal_interval")),
        ]
        for r in found
    ]
    note = (
        "Steps are 12 to 15 tokens long. Against the same search that scores whole steps: with as many beams, and at "
        "equal accuracy (its tokens at n = 4 to 64, linear in their logarithm; > = it never gets there). The "
        "scorer's noise on a beginning and on the whole step are drawn apart."
    )
    return Table("Early rejection: tokens saved", columns, shown, note)


def vote_rows(family: str, cells: Mapping[str, Any], seed: int) -> list[dict[str, Any]]:
    """A row per way of a family, against plain self-consistency."""
    plain: list[list[float]] = cells[""]
    weight = weights(len(plain[0]), DRAWS, seed)
    beside = Curve(plain, [[float(n)] * len(plain[0]) for n in votes.N], weight)
    out: list[dict[str, Any]] = [
        {
            "part": "votes",
            "family": family,
            "way": f"(vote of {n})",
            "samples": n,
            **told("accuracy", mean(row, weight)),
        }
        for n, row in zip(votes.N, plain, strict=True)
        if n <= 64
    ]
    for name, value in cells.items():
        if not name:
            continue
        right, samples = mean(value["right"], weight), mean(value["samples"], weight)
        row = {"part": "votes", "family": family, "way": name, "samples": float(samples[0])}
        row |= told("accuracy", right) | told("minus", right - beside.at(samples))
        row |= factor("plain_needs", beside.needs(right), beside.cost[-1])
        out.append(row | factor("times_fewer", beside.times(right, samples), beside.cost[-1] / samples))
    return out


def vote_table(found: Rows, note: str) -> Table:
    """For people."""
    columns = (
        "answers",
        "way",
        "samples",
        "right",
        "90%",
        "minus plain at as many",
        "90%",
        "plain needs",
        "times fewer",
    )
    columns += ("90%",)  # type: ignore[assignment]
    shown = [
        [
            r["family"],
            r["way"],
            r["samples"],
            r["accuracy"],
            between(r["accuracy_interval"]),
            r.get("minus"),
            between(r.get("minus_interval"), 3),
            r.get("plain_needs"),
            _times(r, "times_fewer") if "times_fewer" in r else None,
            between(r.get("times_fewer_interval")),
        ]
        for r in found
    ]
    return Table("Votes: samples that plain self-consistency needs for as much", columns, shown, note)


def plots(found: Rows, name: str, title: str) -> Plot:
    """Accuracy against tokens: curves, and each policy a dot."""
    lines = []
    for kind in dict.fromkeys(r["curve"] for r in found if r["curve"]):
        mine = [r for r in found if r["curve"] == kind]
        low, high = zip(*(r["accuracy_interval"] for r in mine), strict=True)
        lines.append(Line(f"{kind} of N", [r["tokens"] for r in mine], [r["accuracy"] for r in mine], low, high))
    lines += [Line(r["policy"], [r["tokens"]], [r["accuracy"]]) for r in found if not r["curve"]]
    return Plot(name, title, "tokens written", "solved", lines)
