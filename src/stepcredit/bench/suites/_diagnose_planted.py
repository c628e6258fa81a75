"""Diagnosis of planted faults: the share found, by method, by number of siblings, by what a method may see."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.bench.suite import Line, Plot, Table
from stepcredit.bench.suites._agentprocessbench import between
from stepcredit.bench.suites._diagnose_real import Answers, drawn, fixed, scored
from stepcredit.bench.suites._planted import KINDS, LUCK, VIEWS, plants
from stepcredit.data.layout import Ints
from stepcredit.diagnose.case import Case, Group
from stepcredit.diagnose.metrics import place
from stepcredit.diagnose.run import METHODS
from stepcredit.errors import StepCreditError
from stepcredit.shelf import Planner

LAST, RANDOM, FIRST, CONSTANT = "last step", "random step (expected)", "first step", "best constant, in hindsight"
_TITLES = {
    "states": "states repeat and have ids",
    "texts": "no ids: only equal beginnings are equal",
    "free texts": "free text: nothing is equal",
}


_LUCK = {"none": "no chance", "chance": "chance", "steps run out": "steps run out"}


def cell(kind: str, seeds: int, siblings: Sequence[int], view: str, names: Sequence[str]) -> dict[str, Any]:
    """The plants of a kind of world, and what each method says of each with so many siblings.

    Returns:
        step, size [F]; won: mean success of the siblings; covered: number of siblings -> share; said: method -> number
        of siblings -> [F], or "error" -> text.
    """
    found = plants(kind, range(seeds), max(siblings))
    out: dict[str, Any] = {name: {} for name in names}
    planners = {name: METHODS.get(name) for name in names}
    for n in siblings:
        groups = [Group(one.rollouts(n, view)) for one in found]
        for name, planner in planners.items():
            if "error" not in out[name]:
                out[name] |= _said(planner, groups, str(n))
    return {
        "step": [one.step for one in found],
        "size": [len(one.failed.action) for one in found],
        "won": float(np.mean([w.won > 0 for one in found for w in one.siblings])) if found else None,
        "covered": {str(n): [float(one.covered(n)) for one in found] for n in siblings},
        "said": out,
    }


def _said(planner: Planner, groups: Sequence[Group], key: str) -> dict[str, Any]:
    options = planner.check_options({})
    try:
        told = [planner.function(Case(group, 0), **options) for group in groups]
    except StepCreditError as error:
        return {"error": error.message}
    return {key: [place(verdict.status, verdict.step) for verdict in told]}


def rows(values: Mapping[str, Any], siblings: Sequence[int], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row for each view, kind of luck ("all", or one of `LUCK`), number of siblings and method.

    values: "KIND/VIEW" -> what `cell` returns.
    """
    out = []
    for view in VIEWS:
        for luck, kinds in _lucks().items():
            cells = [values[f"{kind}/{view}"] for kind in kinds if f"{kind}/{view}" in values]
            for n in siblings if cells else ():
                where = {"part": "planted", "view": view, "luck": luck, "siblings": n}
                out += [{**where, **row} for row in _one(cells, n, draws, seed)]
    return out


def _lucks() -> dict[str, list[str]]:
    return {luck: [name for name, kind in KINDS.items() if luck in ("all", kind.luck)] for luck in ("all", *LUCK)}


def _one(cells: Sequence[Mapping[str, Any]], n: int, draws: int, seed: int) -> Iterator[dict[str, Any]]:
    step, size = (np.array([x for c in cells for x in c[name]], np.int64) for name in ("step", "size"))
    if not step.size:
        return
    covered = float(np.mean([x for c in cells for x in c["covered"][str(n)]]))
    names = [m for m in cells[0]["said"] if all(str(n) in c["said"].get(m, {}) for c in cells)]
    none: list[None] = [None] * step.size

    def answers(said: Ints) -> Answers:
        return fixed(said, step, none, none)

    told: dict[str, Answers] = {
        m: answers(np.array([x for c in cells for x in c["said"][m][str(n)]], np.int64)) for m in names
    }
    told |= {LAST: answers(size - 1), FIRST: answers(np.zeros_like(step))}
    told[CONSTANT] = answers(np.full_like(step, np.bincount(step).argmax()))
    told[RANDOM] = drawn(size.tolist(), step, [[None] * k for k in size], none)
    for row in scored(told, LAST, np.arange(step.size), draws, seed):
        yield {**row, "kind": "method" if row["method"] in names else "baseline", "covered": covered}


def tables(found: Sequence[Mapping[str, Any]], siblings: Sequence[int]) -> list[Table]:
    """For each view: found exactly by number of siblings, and at eight siblings by luck and within 1."""
    out = []
    for view in dict.fromkeys(row["view"] for row in found):
        mine = [row for row in found if row["view"] == view]
        out.append(_by_siblings(view, [row for row in mine if row["luck"] == "all"], siblings))
        at = 8 if 8 in siblings else max(siblings)
        out.append(_by_luck(view, [row for row in mine if row["siblings"] == at], at))
    return out


def _by_siblings(view: str, found: Sequence[Mapping[str, Any]], siblings: Sequence[int]) -> Table:
    columns = ["method", *(text for n in siblings for text in (f"{n} sib.", "90%"))]
    at = {(row["method"], row["siblings"]): row for row in found}
    shown = []
    for name in _order(found, max(siblings)):
        cells = [at[name, n] for n in siblings]
        shown.append([name, *(text for r in cells for text in (f"{r['exact']:.3f}", between(r["exact_interval"])))])
    covered = ", ".join(f"{at[LAST, n]['covered']:.0%}" for n in siblings)
    note = (
        f"{found[0]['runs']} faults, share found exactly. Contrast needs a sibling that succeeded and did something "
        f"else in the state of the fault; by number of siblings there is one for {covered} of the faults."
    )
    return Table(f"Planted faults, {_TITLES[view]}: found exactly", columns, shown, note + told_silent(found))


def _by_luck(view: str, found: Sequence[Mapping[str, Any]], n: int) -> Table:
    columns = ["method", *(text for luck in LUCK for text in (_LUCK[luck], "90%", "within 1")), "named", "of these"]
    at = {(row["method"], row["luck"]): row for row in found}
    shown = []
    for name in _order([row for row in found if row["luck"] == "all"], n):
        cells: list[Any] = [name]
        for luck in LUCK:
            row = at.get((name, luck))
            cells += ["–"] * 3 if row is None else [f"{row['exact']:.3f}", between(row["exact_interval"]), _near(row)]
        both = at[name, "all"]
        sure = "–" if both["precision"] != both["precision"] else f"{both['precision']:.3f}"
        shown.append([*cells, f"{both['named']:.3f}", sure])
    sizes = ", ".join(
        f"{_LUCK[luck]}: {at[LAST, luck]['runs']} faults, {at[LAST, luck]['covered']:.0%} with such a sibling"
        for luck in LUCK
        if (LAST, luck) in at
    )
    note = (
        f"Found exactly. {sizes}. Where steps run out a detour can be the fault, and equal ids are not quite equal "
        "states. named: share of all runs of which a step is named; of these: exact among them."
    )
    return Table(f"Planted faults, {_TITLES[view]}: {n} siblings", columns, shown, note + told_silent(found))


def _near(row: Mapping[str, Any]) -> str:
    return f"{row['near']:.3f}"


def _order(found: Sequence[Mapping[str, Any]], n: int) -> list[str]:
    """Methods that name steps, the best first, then baselines."""
    here = [row for row in found if row["siblings"] == n and row["method"] not in silent(found)]
    return [row["method"] for row in sorted(here, key=lambda row: (row["kind"] != "method", -row["exact"]))]


def silent(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Methods that name no step of any run, in all of these rows."""
    speaking = {row["method"] for row in found if row["named"] > 0}
    return sorted({row["method"] for row in found} - speaking)


def told_silent(found: Sequence[Mapping[str, Any]]) -> str:
    """A sentence that says which methods name no step; empty where all do."""
    names = silent(found)
    return f" Not shown, as they name no step here: {', '.join(names)}." if names else ""


def plots(found: Sequence[Mapping[str, Any]], siblings: Sequence[int]) -> list[Plot]:
    """Found exactly against the number of siblings, a plot for each view."""
    out = []
    for view in dict.fromkeys(row["view"] for row in found):
        mine = [row for row in found if row["view"] == view and row["luck"] == "all"]
        lines = []
        for name in dict.fromkeys(row["method"] for row in mine):
            here = [row for row in mine if row["method"] == name]
            low, high = zip(*(row["exact_interval"] for row in here), strict=True)
            lines.append(Line(name, [r["siblings"] for r in here], [r["exact"] for r in here], low, high))
        title = f"Planted faults, {_TITLES[view]}"
        out.append(Plot(f"diagnose-{view.replace(' ', '-')}", title, "siblings", "found exactly", lines))
    return out
