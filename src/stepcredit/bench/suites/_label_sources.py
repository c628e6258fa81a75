"""What the label suite measures: its solutions, the truth about them, the sources and the models they ask."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from stepcredit.bench.suites._game24_worlds import fresh_puzzles
from stepcredit.bench.suites._search_tasks import model
from stepcredit.data.layout import Bools, Floats
from stepcredit.data.records import Rollout
from stepcredit.envs import game24
from stepcredit.label import Labels, Setting, Work
from stepcredit.label.labels import NONE, first_wrong

SETTING = Setting(max_tokens=256, temperature=1.0)


@dataclass(frozen=True)
class Source:
    """A label system at some options. samples: its option that says how many completions a prefix gets; "" = none."""

    name: str
    system: str
    samples: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


SOURCES = (
    Source("every step", "math_shepherd", "n"),
    Source("until the first zero", "math_shepherd@first-zero", "n"),
    Source("binary search", "omegaprm", "n"),
)


@lru_cache(maxsize=2)
def solutions(data: str | None, puzzles: int, count: int, seed: int) -> list[Rollout]:
    """Solutions of the tabular model itself, with the truth about each step as evidence."""
    found = game24.batch(fresh_puzzles(puzzles, seed), count, model(data, seed).policy, seed)
    return list(found.to_records())


def truth(record: Rollout) -> tuple[Bools, int]:
    """([T] can 24 still be reached after the step, index of the first step after which it cannot; -1 = none)."""
    right = np.array([bool(s.evidence["truth.good"]) for s in record.steps])
    return right, first_wrong(right.astype(float)) or 0 if not right.all() else NONE


def verifier(answers: Any, references: Any) -> Floats:
    """Whether a solution's last line makes 24 of the puzzle."""
    from stepcredit.bench.suites._search_tasks import answer

    found = [answer(text) for text in answers]
    return np.array([float(a is not None and game24.solves(r, a)) for a, r in zip(found, references, strict=True)])


def models(data: str | None, seed: int, http: ExitStack | None) -> dict[str, Any]:
    """The models that sources ask; `http` = serve the sampler on this machine and ask it through a client."""
    tabular = model(data, seed)
    if http is None:
        return {"sampler": tabular, "verifier": verifier}
    from stepcredit.llm.client import Client
    from stepcredit.llm.server import over_sampler, running

    url = http.enter_context(running(over_sampler(tabular)))
    return {"sampler": Client(url, model="tabular").sampler, "verifier": verifier}


def finder(name: str, k: int) -> tuple[str, dict[str, Any]]:
    """A way to find the first error of a chain: label system and options."""
    return name, {"n": k}


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
