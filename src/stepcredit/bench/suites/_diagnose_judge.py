"""Judges on planted faults: a simulated one that knows the fault and errs as often as told, asked by every method.

Each answer is wrong with chance e: half of that whatever the draw (what the judge cannot see, which votes do not
cure), half drawn anew. A wrong "which step" names another step, drawn evenly; a wrong yes or no, half, label or grade
is turned around. So methods are compared on one judge, by the number of questions they ask it, and by how an error of
one answer ends up in the verdict.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from msgspec.structs import replace

from stepcredit.bench.suite import Table
from stepcredit.bench.suites._agentprocessbench import between
from stepcredit.bench.suites._diagnose_real import Answers, drawn, fixed, scored
from stepcredit.bench.suites._planted import KINDS, Plant, plants
from stepcredit.data.records import Rollout
from stepcredit.diagnose.metrics import place
from stepcredit.diagnose.run import METHODS, diagnose
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Ask

ASKED: Mapping[str, tuple[str, dict[str, Any]]] = {
    name: (name.partition(" ")[0], {"votes": 5} if name.endswith("5 votes") else {})
    for name in (
        "all_at_once",
        "all_at_once 5 votes",
        "a2p",
        "step_by_step",
        "step_by_step 5 votes",
        "binary_search",
        "binary_search 5 votes",
        "hybrid",
        "agentprocessbench",
        "checklist",
        "rubric",
    )
}
"""What is measured: name -> (method, options)."""
NOT_SIMULATED = {"correct": "needs schemata of annotated failures, which simulated runs do not have"}
AGENTS = ("planner", "worker")
RANDOM, LAST = "random step (expected)", "last step"

_RUN = re.compile(r"Succeed in ([^\n]+?)\.\s")
_TAG = re.compile(r"<(verdict\d+)>")
_WATCH = re.compile(r"judge its newest step, step (\d+)")
_HALVES = re.compile(r"Upper half: steps (\d+) to (\d+)\. Lower half: steps (\d+) to (\d+)")


@dataclass(frozen=True)
class Fault:
    """What the judge knows of a run: its planted step, its number of steps."""

    step: int
    size: int


class SimulatedJudge:
    """Answers in the form that each question asks for. asked: how often.

    Args:
        faults: by what the task calls the run. error: chance that an answer is wrong. seed: other seeds, other errors.
    """

    def __init__(self, faults: Mapping[str, Fault], error: float, seed: int = 0) -> None:
        self._faults, self._error, self._seed = faults, error, seed
        self.asked = 0

    async def each(self, request: Ask) -> str:
        """The reply to one question of a plan."""
        self.asked += 1
        return self.reply(request.prompt, request.draw)

    def reply(self, prompt: str, draw: int = 0) -> str:
        """What it says.

        Raises:
            StepCreditError: a question about a run that it does not know, or of a form that it does not know.
        """
        known = _RUN.search(prompt)
        tags = _TAG.findall(prompt)
        if known is None or known[1] not in self._faults or not tags:
            raise StepCreditError(f"the simulated judge knows no such question: {prompt[-80:]!r}")
        fault = self._faults[known[1]]
        return f"<{tags[-1]}>\n{self._body(prompt, draw, fault)}\n</{tags[-1]}>"

    def _body(self, prompt: str, draw: int, fault: Fault) -> str:
        if halves := _HALVES.search(prompt):
            return "step: " + ("upper" if self._says(fault.step <= int(halves[2]), prompt, draw) else "lower")
        if watch := _WATCH.search(prompt):
            wrong = self._says(int(watch[1]) == fault.step, prompt, draw)
            if "for each of the" in prompt and "criteria" in prompt:
                return self._grades(prompt, wrong)
            return "step: " + ("yes" if wrong else "no")
        if '{"labels":' in prompt:
            labels = {
                str(t): -1 if self._says(t == fault.step, f"{prompt}|{t}", draw) else 1 for t in range(fault.size)
            }
            return json.dumps({"labels": labels, "final": -1})
        if "ANSWER (POINTS)" in prompt:
            return "The step leads to the goal (10)"
        step = fault.step if self._says(True, prompt, draw) else self._other(prompt, draw, fault)
        return f"step: {step}\nagent: {AGENTS[step % 2]}\nerror: other"

    def _grades(self, prompt: str, wrong: bool) -> str:
        count = re.search(r"for each of the (\d+) criteria", prompt)
        n = int(count[1]) if count else 1
        bad, good = ("no", "yes") if "yes or no" in prompt else ("0", "1")
        return "\n".join(f"{i + 1}: {bad if wrong and i == 0 else good}" for i in range(n))

    def _says(self, right: bool, prompt: str, draw: int) -> bool:
        """The truth, or with chance `error` the opposite."""
        half = self._error / 2
        never = self._chance(prompt) < half
        return right != (never or self._chance(f"{prompt}|{draw}") < half / (1 - half))

    def _other(self, prompt: str, draw: int, fault: Fault) -> int:
        step = int(self._chance(f"{prompt}|{draw}|other") * (fault.size - 1))
        return step + (step >= fault.step)

    def _chance(self, name: str) -> float:
        return int.from_bytes(blake2b(f"{self._seed}|{name}".encode(), digest_size=7).digest(), "big") / 2**56


def uncovered() -> list[str]:
    """Methods that ask a judge alone and are neither measured here nor have a reason."""
    told = {method for method, _ in ASKED.values()} | NOT_SIMULATED.keys()
    return [name for name in METHODS.names() if METHODS.get(name).card.asks == ("judge",) and name not in told]


def cell(error: float, seeds: int, names: Sequence[str], seed: int) -> dict[str, Any]:
    """What each method says of every plant by a judge that errs so often, and how many questions it asked."""
    found = [one for kind in KINDS for one in plants(kind, range(seeds), 1)]
    runs = [_alone(one, i) for i, one in enumerate(found)]
    faults = {_name(i): Fault(one.step, len(one.failed.action)) for i, one in enumerate(found)}
    out: dict[str, Any] = {}
    for name in names:
        method, options = ASKED[name]
        judge = SimulatedJudge(faults, error, seed)
        told = diagnose(runs, [method], {"judge": judge}, options={method: options})
        said = [place(one.verdicts[method].status, one.verdicts[method].step) for one in told]
        out[name] = {"said": said, "calls": judge.asked / max(len(runs), 1)}
    return {
        "step": [one.step for one in found],
        "size": [len(one.failed.action) for one in found],
        "said": out,
    }


def _name(i: int) -> str:
    return f"task {i}"


def _alone(plant: Plant, i: int) -> Rollout:
    """The failed run by itself, its steps taken in turn by two agents."""
    (run,) = plant.rollouts(0, "texts")
    steps = [replace(step, agent=AGENTS[t % 2]) for t, step in enumerate(run.steps)]
    return replace(run, group=_name(i), task=f"Succeed in {_name(i)}.", steps=steps)


def rows(values: Mapping[str, Any], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row an error rate and method. values: the error rate as text -> what `cell` returns."""
    out = []
    for error, one in values.items():
        step, size = np.array(one["step"], np.int64), np.array(one["size"], np.int64)
        none: list[None] = [None] * step.size
        told: dict[str, Answers] = {
            name: fixed(np.array(x["said"], np.int64), step, none, none) for name, x in one["said"].items()
        }
        told[LAST] = fixed(size - 1, step, none, none)
        told[RANDOM] = drawn(size.tolist(), step, [[None] * k for k in one["size"]], none)
        for row in scored(told, LAST, np.arange(step.size), draws, seed):
            calls = one["said"].get(row["method"], {}).get("calls", 0.0)
            out.append({"part": "judge", "error": float(error), "calls": calls, **row})
    return out


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Found exactly by error rate of the judge's answers, and questions a run."""
    errors = sorted({row["error"] for row in found})
    at = {(row["method"], row["error"]): row for row in found}
    names = dict.fromkeys(row["method"] for row in found)
    mid = min(errors, key=lambda e: abs(e - 0.2))
    shown = []
    for name in sorted(names, key=lambda name: -at[name, mid]["exact"]):
        cells: list[Any] = [name]
        for error in errors:
            row = at[name, error]
            cells += [f"{row['exact']:.3f}", between(row["exact_interval"])]
        middle = at[name, mid]
        shown.append([*cells, f"{middle['near']:.3f}", f"{middle['unknown']:.3f}", f"{middle['calls']:.1f}"])
    head = [text for error in errors for text in (f"errs {error:.0%}", "90%")]
    columns = ["method", *head, f"within 1, {mid:.0%}", f"unknown, {mid:.0%}", f"questions, {mid:.0%}"]
    note = (
        f"{found[0]['runs']} runs with a planted fault, shown without siblings. One judge, simulated: it knows the "
        "fault, and each of its answers is wrong with the chance above, half of it whatever the draw. Read how an "
        "error of one answer ends up in the verdict, not how able judges are. Not here: "
        + "; ".join(f"{name} {why}" for name, why in NOT_SIMULATED.items())
        + "."
    )
    return Table("Planted faults, by a simulated judge: found exactly", columns, shown, note)
