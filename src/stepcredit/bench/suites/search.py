"""What does search buy? Accuracy against calls and tokens for every policy, beside best-of-N at equal tokens.

Game of 24 has tabular models whose values are known, so that scorers and judges can be the truth with as much noise as
we like: a twin of GPT-4 (fitted to its lines where the data is at hand), which solves a puzzle in 25, and an able one,
which solves every second. reasoning-gym has countdown, shortest paths and mini sudoku with a player of known skill.
Beside them what papers claim of single policies: BAVT at a quarter of the budget, early rejection, votes that stop.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from stepcredit.bench.suite import Cell, Result, Table
from stepcredit.bench.suites import _consistency as votes
from stepcredit.bench.suites import _gym_tasks as gym
from stepcredit.bench.suites import _search_cells as make
from stepcredit.bench.suites import _search_claims as claims
from stepcredit.bench.suites import _search_policies as chosen
from stepcredit.bench.suites import _search_report as report
from stepcredit.bench.suites._search_models import WORLDS
from stepcredit.bench.suites._search_tasks import WRITING
from stepcredit.search import POLICIES

QUICK: dict[str, Any] = {
    "puzzles": 20,
    "noise": (0.0, 5.0),
    "n": (1, 4, 16, 64),
    "budgets": (800,),
    "tau": (6,),
    "gym": 6,
    "votes": 25,
    "repeats": 1,
    "model_steps": 0,
}
WHOLE = WRITING.max_tokens
BEAMS = (4, 8, 16, 32, 64)
GYM_NOISE = (0.0, 5.0)
GYM = (
    "beam 16/4",
    "DVTS 16/4",
    "step beam 3x5",
    "OVM 4x5",
    "MCTS PUCT",
    "particles 16",
    "Step-Q 5, by the scorer",
)


@dataclass(frozen=True)
class Settings:
    """data: folder with game24/; None: the default policy. puzzles: of Game of 24. noise: of scorer and judge, each a
    table. n: of the best-of-N curve. budgets: tokens of best-of-N, of which BAVT gets a quarter. tau: tokens after
    which early rejection scores. gym: tasks of each family of reasoning-gym, 0 = none. votes: tasks of each
    distribution of answers, repeats: how often each is drawn. model_steps: of training the small transformer; 0 = no
    training. methods: only these policies."""

    data: str | None = None
    puzzles: int = 150
    noise: tuple[float, ...] = (0.0, 2.0, 5.0, float("inf"))
    n: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    budgets: tuple[int, ...] = (400, 800, 1600, 3200)
    tau: tuple[int, ...] = (2, 4, 6, 8, 10)
    gym: int = 60
    votes: int = 200
    repeats: int = 2
    model_steps: int = 1500
    methods: tuple[str, ...] = ()
    seed: int = 0


def cells(settings: Settings) -> list[Cell]:
    """One cell a world, noise and policy; the curves, and each part, by themselves.

    Raises:
        UnknownName: no such policy. StepCreditError: none of those named is measured.
    """
    wanted = chosen.chosen(settings.methods)
    parts = {POLICIES.get(c.policy).base for c in wanted}
    out = list(_game24(settings, wanted))
    play = make.Play(settings.data, settings.puzzles, settings.seed)
    for world in WORLDS:
        for noise in settings.noise:
            at = f"{world}/{noise:g}"
            if "bavt" in parts:
                out += [
                    Cell(f"game24/quarter/{at}/{t}", partial(make.quarter_cell, play, world, noise, t))
                    for t in settings.budgets
                ]
            if "early_rejection" in parts:
                for tau, n in _rejections(settings):
                    key = f"game24/reject/{at}/{tau}/{n}"
                    out.append(Cell(key, partial(make.reject_cell, play, world, noise, tau, n)))
    if settings.gym and not _no_gym():
        out += _gym(settings, wanted)
    if "adaptive" in parts:
        out += _votes(settings)
    return out


def _game24(settings: Settings, wanted: list[chosen.Choice]) -> Iterator[Cell]:
    play = make.Play(settings.data, settings.puzzles, settings.seed)
    for world in WORLDS:
        for noise in settings.noise:
            key = f"{world}/{noise:g}"
            yield Cell(f"game24/curve/{key}", partial(make.curve_cell, play, world, noise, settings.n))
            for c in wanted:
                if (c.asks == "small" and world != "able") or (c.asks == "votes" and noise != settings.noise[0]):
                    continue
                yield Cell(f"game24/policy/{key}/{c.name}", partial(make.policy_cell, play, world, noise, c.name))


def _rejections(settings: Settings) -> list[tuple[int, int]]:
    return [(tau, 16) for tau in settings.tau] + [(WHOLE, n) for n in BEAMS]


def _gym(settings: Settings, wanted: list[chosen.Choice]) -> Iterator[Cell]:
    n = tuple(k for k in settings.n if k <= 64)
    for family in gym.FAMILIES:
        for noise in GYM_NOISE:
            for name in ("", *(c.name for c in wanted if c.name in GYM)):
                run = partial(make.gym_cell, family, noise, name, settings.gym, n, settings.seed)
                yield Cell(f"gym/{family}/{noise:g}/{name}", run)


def _votes(settings: Settings) -> Iterator[Cell]:
    if settings.model_steps and not votes.can_train():
        run = partial(votes.model_cell, settings.votes, settings.model_steps, 128, settings.repeats, settings.seed)
        yield Cell("model", run)
    for family in votes.FAMILIES:
        for name in ("", *(w.name for w in votes.WAYS)):
            run = partial(votes.known_cell, family, name, settings.votes, settings.repeats, settings.seed)
            yield Cell(f"votes/{family}/{name}", run)


def _no_gym() -> bool:
    return find_spec("reasoning_gym") is None


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Rows, tables, plots of accuracy against tokens, and what papers claim beside what is seen."""
    at = report.Measured(values, "game24/", settings.seed)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("game24", "pair", "quarter", "reject", "gym")}
    for world in WORLDS:
        for noise in settings.noise:
            _one(at, rows, world, noise, settings)
    _gym_rows(values, rows["gym"], settings)
    voted = [row for family, found in _voted(values).items() for row in report.vote_rows(family, found, settings.seed)]
    said = claims.rows(at, rows, voted, settings.noise)
    tables = _game24_tables(rows["game24"], settings)
    tables += [report.pair_table(rows["pair"])] if rows["pair"] else []
    tables += [report.quarter_table(rows["quarter"])] if rows["quarter"] else []
    tables += [report.reject_table(rows["reject"])] if rows["reject"] else []
    tables += _gym_tables(rows["gym"], settings)
    tables += [report.vote_table(voted, _vote_note(values, settings))] if voted else []
    tables += [claims.table(said), _cannot(settings)]
    every = [row for part in rows.values() for row in part]
    return Result([*every, *voted, *said], tables, _plots(rows, settings), {"cannot": dict(chosen.CANNOT)})


def _one(
    at: report.Measured, rows: dict[str, list[dict[str, Any]]], world: str, noise: float, settings: Settings
) -> None:
    """The rows of one world and noise."""
    where = {"world": world, "noise": report.level(noise)}
    curve, key = f"curve/{world}/{noise:g}", f"policy/{world}/{noise:g}/"
    names = {k.removeprefix(key): k for k in at.values if k.startswith(key)}
    small = {c.name for c in chosen.CHOICES if c.asks == "small"}
    mine = {name: k for name, k in names.items() if name not in small}
    rows["game24"] += report.policy_rows(at, {"part": "game24", **where}, mine, curve)
    pairs = {name: k for name, k in names.items() if name in small}
    rows["pair"] += report.pair_rows(at, {"part": "pair", **where}, pairs)
    for t in settings.budgets:
        cell = f"quarter/{world}/{noise:g}/{t}"
        if cell in at.values:
            rows["quarter"].append(report.quarter_row(at, {"part": "quarter", **where}, cell, curve, t))
    cells = {(tau, n): f"reject/{world}/{noise:g}/{tau}/{n}" for tau, n in _rejections(settings)}
    if all(cell in at.values for cell in cells.values()):
        rows["reject"] += report.reject_rows(at, {"part": "reject", **where}, cells, WHOLE)


def _gym_rows(values: Mapping[str, Any], rows: list[dict[str, Any]], settings: Settings) -> None:
    for family in gym.FAMILIES:
        at = report.Measured(values, f"gym/{family}/", settings.seed)
        for noise in GYM_NOISE if at.values else ():
            head = f"{noise:g}/"
            names = {k.removeprefix(head): k for k in at.values if k.startswith(head) and k != head}
            rows += report.policy_rows(at, {"part": "gym", "world": family, "noise": noise}, names, head)


def _voted(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Per family of answers its cells by name."""
    out: dict[str, dict[str, Any]] = {}
    for family in votes.FAMILIES:
        head = f"votes/{family}/"
        found = {k.removeprefix(head): v for k, v in values.items() if k.startswith(head)}
        out |= {family: found} if found else {}
    return out | ({votes.MODEL: values["model"]["found"]} if "model" in values else {})


def _game24_tables(rows: report.Rows, settings: Settings) -> list[Table]:
    note = (
        f"{settings.puzzles} puzzles; costs are means per task. curve there: best-of-N (majority, for those that ask "
        "nobody) at as many tokens written, linear in their logarithm; * = beyond its last point, which then stands. "
        "Tokens of the curve for as much: what it needs for the same accuracy, over what the policy wrote; > = it "
        "never gets there. Differences are paired, bootstrap over puzzles. In (brackets): the curves."
    )
    out = []
    for world in WORLDS:
        for noise in map(report.level, settings.noise):
            mine = [r for r in rows if r["world"] == world and r["noise"] == noise]
            out.append(report.policy_table(mine, f"Search on Game of 24, {world}, {_knows(noise)}", note))
    return out


def _gym_tables(rows: report.Rows, settings: Settings) -> list[Table]:
    note = f"{settings.gym} tasks; a player of skill {dict(make.SKILL)}; reasoning-gym scores the answers."
    places = dict.fromkeys((r["world"], r["noise"]) for r in rows)
    return [
        report.policy_table(
            [r for r in rows if (r["world"], r["noise"]) == (family, noise)],
            f"Search on reasoning-gym's {family}, {_knows(noise)}",
            note,
        )
        for family, noise in places
    ]


def _knows(noise: float | str) -> str:
    return (
        f"scorer and judge: {'the exact value' if noise == 0 else 'nothing' if noise == 'inf' else f'noise {noise:g}'}"
    )


def _vote_note(values: Mapping[str, Any], settings: Settings) -> str:
    note = (
        f"{settings.votes} tasks of each kind, the ways drawn {settings.repeats} times, plain votes {votes.REPEATS}. "
        "plain needs: samples a task at which the vote over a fixed number is as often right, up to "
        f"{votes.N[-1]} (> = not even then). A budget is samples a task that all tasks share. "
    )
    model = values.get("model", {}).get("model")
    if model is None:
        return note + f"The small transformer was not asked: {votes.can_train() or 'no training was wanted'}."
    return note + (
        f"The small transformer ({model['steps']} steps of training here) is right in {model['one']:.0%} of its "
        f"samples, its likeliest answer in {model['mode']:.0%}; {model['samples']} samples a task, drawn from anew."
    )


def _cannot(settings: Settings) -> Table:
    shown = list(chosen.CANNOT.items())
    if settings.gym and _no_gym():
        shown.append(("(tasks of reasoning-gym)", "reasoning_gym is not installed: pip install stepcredit[envs]"))
    return Table("What is not measured here", ("policy", "why"), shown)


def _plots(rows: Mapping[str, report.Rows], settings: Settings) -> list[Any]:
    out = []
    for part in ("game24", "gym"):
        for world, noise in dict.fromkeys((r["world"], r["noise"]) for r in rows[part]):
            mine = [r for r in rows[part] if (r["world"], r["noise"]) == (world, noise)]
            out.append(report.plots(mine, f"search-{world}-noise-{noise}", f"{world}, scorer noise {noise}"))
    return out
