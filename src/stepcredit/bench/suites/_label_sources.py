"""What the label suite measures: its worlds and solutions, the truth about them, the models that sources ask."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import numpy as np
from msgspec.structs import replace

from stepcredit.bench.suites._game24_worlds import find, fresh_puzzles, policy_of
from stepcredit.bench.suites._label_judge import Reviser, SimulatedJudge
from stepcredit.bench.suites._label_shelf import Source
from stepcredit.bench.suites._search_tasks import answer
from stepcredit.data.layout import Bools, Floats
from stepcredit.data.records import Rollout, Step
from stepcredit.envs import game24
from stepcredit.label import Labels, Setting, Work
from stepcredit.label.labels import NONE, first_wrong
from stepcredit.llm.tabular import Tabular

WORLDS = ("twin", "able")
ABLE: dict[str, Any] = {"skill": 6.0, "finish": 8.0, "slip": 0.02, "stop": 0.0, "quirk": 1.0}
SCORER_NOISE = 1.0
SETTING = Setting(max_tokens=256, temperature=1.0)


@lru_cache(maxsize=4)
def model(data: str | None, world: str, seed: int) -> Tabular:
    """The model that wrote the solutions and completes them: "twin", GPT-4's where the data is at hand, else our
    default; "able", the same with more skill, which solves most puzzles."""
    policy = game24.Policy() if data is None else policy_of(find(data))
    return Tabular(policy if world == "twin" else dataclasses.replace(policy, **ABLE), seed)


@lru_cache(maxsize=4)
def solutions(data: str | None, world: str, puzzles: int, count: int, seed: int) -> list[Rollout]:
    """Solutions of the model itself, their lines alone, with the truth about each step as evidence."""
    found = game24.batch(fresh_puzzles(puzzles, seed), count, model(data, world, seed).policy, seed)
    return [
        replace(r, steps=[Step(text=s.text, evidence={"truth.good": s.evidence["truth.good"]}) for s in r.steps])
        for r in found.to_records()
    ]


def truth(record: Rollout) -> tuple[Bools, int]:
    """([T] can 24 still be reached after the step, index of the first step after which it cannot; -1 = none)."""
    right = np.array([bool(s.evidence["truth.good"]) for s in record.steps])
    return right, NONE if right.all() else int(right.argmin())


def sums_alone(record: Rollout) -> Rollout:
    """A solution without its lists of the numbers left: what programs that check arithmetic read."""
    return replace(record, steps=[replace(s, text=_sum(s.text or "")) for s in record.steps])


def _sum(line: str) -> str:
    return line.partition(" (left:")[0]


def solution(puzzle: str) -> str:
    """The lines of a solution, by the exact solver; for judges that are shown one."""
    left, lines = game24.numbers(puzzle), []
    while len(left) > 1:
        action = next(a for a in game24.actions(left) if game24.solvable(a.after))
        left = action.after
        lines.append(f"{action.key} (left: {game24.key(left)})")
    return "\n".join(lines)


def verifier(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """Whether the last line of a solution makes 24 of the puzzle, which is the reference."""
    found = [answer(text) for text in answers]
    return np.array([float(a is not None and game24.solves(r, a)) for a, r in zip(found, references, strict=True)])


def calculator(steps: Sequence[str], before: Sequence[str]) -> Floats:
    """The checker: whether the arithmetic of a line holds; NaN where there is none."""
    from stepcredit.label.checks import checker

    return checker("calculator")([_sum(s) for s in steps], before)


def models(tabular: Tabular, seed: int, http: ExitStack | None, slip: float = 0.1) -> dict[str, Any]:
    """The models that sources ask; `http`: sampler and judge are served on this machine and asked through a client."""
    sampler, judge = Reviser(tabular), SimulatedJudge(tabular, slip=slip, seed=seed)
    out: dict[str, Any] = {"sampler": sampler, "judge": judge}
    if http is not None:
        from stepcredit.llm.client import Client
        from stepcredit.llm.server import over_sampler, running

        for name, served in list(out.items()):
            url = http.enter_context(running(over_sampler(served.sampler)))
            client = http.enter_context(Client(url, concurrency=32, seed=seed, answer_temperature=1.0))
            out[name] = getattr(client, name)
    scorer = tabular.scorer(SCORER_NOISE, seed=seed)
    return {**out, "verifier": verifier, "checker": calculator, "scorer": scorer}


def reference(source: Source) -> Callable[[Rollout], str]:
    """What the verifier and the judge are given as the right answer."""
    return (lambda r: solution(str(r.group))) if source.shown == "solution" else (lambda r: str(r.group))


def _says(label: Callable[[Rollout], list[float]]) -> Callable[[Rollout], Labels]:
    def say(record: Rollout) -> Labels:
        given = np.array(label(record), float)
        return Work(record, None, ()).labels(label=given, first_error=first_wrong(given))

    return say


CONSTANTS: Mapping[str, Callable[[Rollout], Labels]] = {
    "(all right)": _says(lambda r: [1.0] * len(r.steps)),
    "(all wrong)": _says(lambda r: [0.0] * len(r.steps)),
    "(the outcome, all steps)": _says(lambda r: [float(r.outcome or 0)] * len(r.steps)),
    "(the outcome, last step)": _says(lambda r: [1.0] * (len(r.steps) - 1) + [float(r.outcome or 0)]),
}
