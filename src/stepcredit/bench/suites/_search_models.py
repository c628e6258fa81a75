"""The models that the search suite asks: tabular ones, and stand-ins for scorer, judge and critic of known noise.

The truth is the model's own chance v of solving the task from where a solution stands. A scorer says
sigmoid(logit(v) + noise * N), v within [.001, .999], N fixed per step. A judge's numbers are those of the scorer; it
calls a step right where v is above .001, and errs with the chance that the same noise turns one end of that scale into
the other: Phi(-logit(.999) / noise), 0 for 0, .0003 for 2, .08 for 5, .5 for inf. So policies that ask scorers and
those that ask judges are told about equally much. What a step adds is, if it is called right, the change of the
log-odds, at least .5; else -5.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, log
from statistics import NormalDist
from typing import Any

import numpy as np

from stepcredit.bench.suites._label_judge import Seen
from stepcredit.bench.suites._label_sources import WORLDS, model
from stepcredit.data.layout import Floats
from stepcredit.llm._lines import pieces
from stepcredit.llm.requests import Ask, Continue, Force, Request
from stepcredit.llm.tabular import Tabular

__all__ = ["WORLDS", "Critic", "Writer", "error", "models", "pair"]

_FLOOR = 0.001
_EDGE = log((1 - _FLOOR) / _FLOOR)
_ANEW = "\n\nSolve the task anew"
_WRONG = re.compile(r"Step (\d+): -1")


def error(noise: float) -> float:
    """Chance that a verdict is wrong at this noise.

    >>> error(0.0), round(error(5.0), 4), error(float("inf"))
    (0.0, 0.0836, 0.5)
    """
    return 0.0 if noise == 0 else 0.5 if noise == inf else NormalDist().cdf(-_EDGE / noise)


class Critic:
    """Who judges solutions in words, and says how likely they are to be true."""

    def __init__(self, truth: Tabular, noise: float, seed: int) -> None:
        self._opinion = truth.scorer(noise, seed=seed)
        self._exact = truth.scorer()
        self._truth, self._verdict = truth, truth.judge(error(noise), seed=seed)

    async def each(self, request: Request) -> Any:
        """The reply to a question of a policy."""
        if isinstance(request, Force):  # P(True): how likely is "A", is "B"?
            chance = self._level(Seen.of(request.prefix))
            return np.array([-np.logaddexp(0.0, -chance if request.continuation == "A" else chance)])
        assert isinstance(request, Ask)
        return self.reply(request.prompt)

    def reply(self, prompt: str) -> str:
        """All that policies ask for about a solution, or which of several is best."""
        seen = Seen.of(prompt.rstrip())
        several = {n.removeprefix("solution "): t for n, t in seen.others.items() if n.startswith("solution ")}
        if several:
            levels = {n: self._level(Seen(seen.task, tuple(t.split("\n")), {}, "")) for n, t in several.items()}
            return f"Choice: {max(levels, key=lambda n: levels[n])}"
        before, said, opinion = seen.task + "\n", [], [self._at(seen.task + "\n", "")]
        for step in seen.steps:
            said.append(self._right(before, step))
            opinion.append(self._at(before, step))
            before += step + "\n"
        last = not said or said[-1]
        gain = float(np.clip(opinion[-1] - opinion[-2], 0.5, 5)) if said and last else -5.0
        return "\n".join(
            [
                *(f"Step {k}: {'+1' if ok else '-1'}" for k, ok in enumerate(said, start=1)),
                f"FINAL ANSWER CHECK: {'+1' if last else '-1'}",
                f"Correctness of the final answer: {'Correct' if last else 'Wrong'}",
                f"Reward: {200 / (1 + np.exp(-opinion[-1])) - 100:.0f}",
                f"Gain: {gain:.2f}",
            ]
        )

    def _level(self, seen: Seen) -> float:
        """Log-odds of a whole solution."""
        *before, last = seen.steps or ("",)
        return self._at("".join(f"{line}\n" for line in (seen.task, *before)), last)

    def _at(self, before: str, step: str) -> float:
        (chance,) = self._opinion([before], [step])
        return float(np.log(chance) - np.log1p(-chance))

    def _right(self, before: str, step: str) -> bool:
        """Whether the model is thought able to go on from a step."""
        (chance,) = self._exact([before], [step])
        errs = self._verdict(before, step) != self._truth.step_is_right(before, step)
        return bool(chance > 1.01 * _FLOOR) != errs


@dataclass(frozen=True)
class Writer:
    """The tabular model, as one who also heeds a critique: told to solve a task anew it keeps the lines of its last
    attempt before the first that was called wrong, and goes on from there. Lines that are kept are written again."""

    model: Tabular

    async def each(self, request: Request) -> Any:
        """Continuations of a request of a plan."""
        if not isinstance(request, Continue) or _ANEW not in request.prompt:
            return await self.model.each(request)
        seen = Seen.of(request.prompt)
        steps, told = seen.steps, seen.others.get("what was found", "")
        if not steps:
            attempt = max((n for n in seen.others if n.startswith("attempt ")), key=lambda n: int(n.split()[1]))
            steps, told = tuple(seen.others[attempt].split("\n")), seen.others.get(f"critique of {attempt}", "")
        wrong = [int(i) - 1 for i in _WRONG.findall(told)]
        kept = "".join(f"{line}\n" for line in steps[: min(wrong, default=0)])
        tokens = len(pieces(kept))
        asked = Continue(seen.task + "\n", kept, request.n, request.max_tokens, request.temperature, (), request.draw)
        made = await self.model.each(asked)
        return [replace(s, text=kept + s.text, tokens=(), logp=None, written=tokens + (s.written or 0)) for s in made]


@lru_cache(maxsize=16)
def models(data: str | None, world: str, noise: float, seed: int) -> dict[str, Any]:
    """Whoever is asked on Game of 24 in a world, at a noise."""
    tabular = model(data, world, seed)
    critic = Critic(tabular, noise, seed)
    asked = {"sampler": Writer(tabular), "scorer": tabular.scorer(noise, seed=seed), "judge": critic, "forcer": critic}
    return {**asked, "retriever": lambda queries: ["" for _ in queries]}


def pair(data: str | None, noise: float, seed: int) -> dict[str, Any]:
    """A large model, "able", and a small one, the "twin", with a router and a scorer who know what the large one makes
    of a step, up to the noise."""
    large, small = model(data, "able", seed), model(data, "twin", seed)
    scorer = large.scorer(noise, seed=seed)

    def router(prefixes: Any, steps: Any) -> Floats:
        now, after = scorer(prefixes, [""] * len(steps)), scorer(prefixes, steps)
        gain = (np.log(now) - np.log1p(-now)) - (np.log(after) - np.log1p(-after))
        return np.asarray(1 / (1 + np.exp(-gain)))

    return {"sampler": large, "draft": small, "scorer": scorer, "router": router}
