"""A known collapse, kept as a demonstration: step-only credit whose missing steps are left out.

Two of four steps are easy, two are hard: an attempt succeeds half of the time, and skipping is always a failure. A
judge marks what was attempted; a skipped step is not judged.
"""

from typing import Any

import numpy as np

from stepcredit.bench.learning import TablePolicy, Tasks, Walk, learn, result_of
from stepcredit.bench.suite import Table
from stepcredit.credit import Credit, assign
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.envs.tabular import Moves, tabulate
from stepcredit.lint import check
from stepcredit.ops import center

STEPS, ROLLOUTS, N, TASKS, RATE = 4, 38400, 8, 48, 12.0
CREDITS = ("outcome", "steps, missing = left out", "steps, missing = failed", "outcome + steps, missing = failed")


def collapse(seed: int) -> dict[str, Any]:
    """Success by credit: at the start, at the end; what the linter said of the first batches."""
    first = (0, True, True)
    tasks = Tasks("skipping", [tabulate(f"skipping/{i}", first, _moves, STEPS) for i in range(TASKS)])
    start = np.zeros(tasks.can.shape)
    start[:, tasks.worlds[0].actions.index("right")] += 2.0
    return {name: _run(name, tasks, start, seed) for name in CREDITS}


def _moves(state: tuple[int, bool, bool]) -> Moves:
    """State: steps taken, all of them right, the last one right."""
    step, fine, _ = state
    if step == STEPS:
        return {}
    last = step + 1 == STEPS

    def to(right: bool) -> tuple[tuple[int, bool, bool], float]:
        return (step + 1, fine and right, right), float(last and fine and right)

    if step % 2 == 0:
        return {"right": [(1.0, *to(True))], "wrong": [(1.0, *to(False))]}
    return {"attempt": [(0.5, *to(True)), (0.5, *to(False))], "skip": [(1.0, *to(False))]}


def _run(name: str, tasks: Tasks, start: Floats, seed: int) -> dict[str, Any]:
    found: list[list[str]] = []

    def credit(batch: Batch, walk: Walk) -> Floats:
        values = _credit(name, tasks, batch, walk)
        if len(found) < 20:
            rows = Credit(name, {}, values, batch).advantages()
            report = check(rows, group=batch.layout.group, outcome=batch["outcome"])
            found.append([f.name for f in report.findings if f.severity != "info"])
        return values

    policy = TablePolicy(tasks, RATE, start)
    curve = learn(tasks, policy, credit, n=N, seed=seed, rollouts=ROLLOUTS)
    rules = sorted({rule for one in found for rule in one})
    out = result_of(curve)
    return {"start": out["success"][0], "end": out["success"][-1], "linter": rules, "curve": out["success"]}


def _credit(name: str, tasks: Tasks, batch: Batch, walk: Walk) -> Floats:
    actions = np.array(tasks.worlds[0].actions)[walk.action]
    right = np.array([label.endswith("True)") for world in tasks.worlds for label in world.labels])[walk.next_state]
    mark = np.where(actions == "skip", np.nan if "left out" in name else 0.0, right)
    outcome = assign(batch, "grpo", spread="none").values
    if name == "outcome":
        return outcome
    steps = center(mark, batch.layout.step_group, spread="none")
    return steps + outcome if name.startswith("outcome") else steps


def collapse_table(found: dict[str, Any]) -> Table:
    """For people."""
    lines = [[name, f"{x['start']:.2f}", f"{x['end']:.2f}", ", ".join(x["linter"]) or "–"] for name, x in found.items()]
    return Table(
        "A known collapse: hard steps may be skipped, skipped steps are not judged",
        ("credit", "success at the start", "at the end", "findings of the linter in the first 20 updates"),
        lines,
        "Half of the attempts at a hard step fail, so that an attempt is below the mean of judged steps: with missing "
        "steps left out, skipping becomes the better choice, and skipping fails the task.",
    )
