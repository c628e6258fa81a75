"""Runs that are carried on from their middle: how often do they succeed when their first k steps are kept?

A replayer draws such tries: `TextReplay` here, where a sampler writes on; `stepcredit.diagnose.episodes.EnvReplay` in
a world that can be stepped. The share of tries that succeed with k steps kept, p_k, falls at the steps that are to
blame:

    drop of step t = p_t - p_{t+1}:  the chance with step t drawn anew, less the chance with step t as it was
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple, Protocol

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.data.records import observed
from stepcredit.diagnose._log import shared_steps
from stepcredit.diagnose.case import SUCCESS, Case
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Check, Continue, Failed, Plan, draw_of
from stepcredit.ops import wilson


class Tries(NamedTuple):
    """won: tries that succeeded, of `told` whose end could be told; failed: why the others could not."""

    won: float = 0.0
    told: int = 0
    failed: tuple[str, ...] = ()


class Replayer(Protocol):
    """Draws tries."""

    def tries(self, case: Case, kept: Sequence[int], n: int, *, draw: int = 0) -> Plan[list[Tries]]:
        """n tries with so many steps of the run kept, for each entry of `kept`.

        Args:
            draw: tells apart tries that are to be independent.
        """
        ...

    def cost(self, case: Case, kept: Sequence[int], n: int) -> dict[str, int]:
        """Most of what `tries` spends, by name: samples, checks, episodes, steps."""
        ...


@dataclass(frozen=True)
class TextReplay:
    """A sampler goes on with a text, a verifier looks at its end.

    Args:
        joiner: stands between steps. max_tokens, temperature, stop: of a continuation. whole: the verifier reads the
            run up to there and its continuation; else the continuation alone. compares: it compares with the right
            answer, so that nothing is asked where there is none.
    """

    joiner: str = "\n"
    max_tokens: int = 1024
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    whole: bool = True
    compares: bool = True

    def tries(self, case: Case, kept: Sequence[int], n: int, *, draw: int = 0) -> Plan[list[Tries]]:
        """As of `Replayer`. Runs that call tools cannot be carried on by text: there is nobody to answer the calls."""
        why = self._hindrance(case)
        if why is not None:
            return [Tries(failed=(why,)) for _ in kept]
        prefixes = [self.prefix(case, k) for k in kept]
        replies = yield [self._continuation(case, p, n, draw) for p in prefixes]
        drawn: list[tuple[int, str]] = []
        failed: list[list[str]] = [[] for _ in kept]
        for i, (prefix, reply) in enumerate(zip(prefixes, replies, strict=True)):
            if isinstance(reply, Failed):
                failed[i].append(reply.reason)
            else:
                drawn += [(i, prefix + s.text if self.whole else s.text) for s in reply]
        verdicts = yield [Check(text, case.truth or "") for _, text in drawn]
        won, told = np.zeros(len(kept)), np.zeros(len(kept), int)
        for (i, _), verdict in zip(drawn, verdicts, strict=True):
            if isinstance(verdict, Failed):
                failed[i].append(verdict.reason)
            else:
                told[i] += 1
                won[i] += verdict >= SUCCESS
        return [Tries(float(w), int(t), tuple(f)) for w, t, f in zip(won, told, failed, strict=True)]

    def cost(self, case: Case, kept: Sequence[int], n: int) -> dict[str, int]:
        """As of `Replayer`."""
        if self._hindrance(case) is not None:
            return {}
        return {"samples": n * len(kept), "checks": n * len(kept), "tokens": n * len(kept) * self.max_tokens}

    def prefix(self, case: Case, kept: int) -> str:
        """What stands up to there, ready to go on, observations included."""
        parts = []
        for step in [*shared_steps(case), *case.steps[:kept]]:
            result = observed(step)
            parts += [step.text or ""] + ([] if result is None else [result])
        return "".join(p + self.joiner for p in parts)

    def _continuation(self, case: Case, prefix: str, n: int, draw: int) -> Continue:
        task = case.task or ""
        prompt = task + self.joiner * bool(task and not task.endswith(self.joiner))
        drawn = draw_of("replay", draw)
        return Continue(prompt, prefix, n, self.max_tokens, self.temperature, self.stop, drawn)

    def _hindrance(self, case: Case) -> str | None:
        if any(step.tool_calls for step in case.steps):
            return "the run calls tools, whose answers a sampler cannot know: replay it in its environment (EnvReplay)"
        if any(not step.text for step in case.steps):
            return "a step has no text to go on from: replay the run in its environment (EnvReplay)"
        if self.compares and case.truth is None:
            return "there is no right answer to compare with"
        return None if case.task else "the run has no text of its task"


@dataclass
class Shares:
    """What is known of p_0 ... p_S of a run of S steps.

    won, told: [S + 1] tries with k steps kept. certain: [S + 1] p_k is known, not estimated (the end of the run).
    failed: why tries with k steps kept could not be told.
    """

    case: Case
    replayer: Replayer
    seed: int = 0
    won: Floats = field(init=False)
    told: Floats = field(init=False)
    certain: Floats = field(init=False)
    failed: dict[int, list[str]] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    _asked: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self.case.steps) + 1
        self.won, self.told, self.certain = np.zeros(size), np.zeros(size), np.full(size, np.nan)
        if self.case.rollout.outcome is not None:
            self.certain[-1] = float(succeeded(self.case))

    def draw(self, kept: Sequence[int], n: int) -> Plan[None]:
        """n more tries with so many steps kept, where p is not known."""
        ask = [k for k in kept if np.isnan(self.certain[k])]
        if not ask or n < 1:
            return
        turn = max(self._asked.get(k, 0) for k in ask)
        found = yield from self.replayer.tries(self.case, ask, n, draw=draw_of(self.seed, turn))
        for name, number in self.replayer.cost(self.case, ask, n).items():
            self.spent[name] = self.spent.get(name, 0) + number
        for k, one in zip(ask, found, strict=True):
            self._asked[k] = turn + 1
            self.won[k] += one.won
            self.told[k] += one.told
            if one.failed:
                self.failed.setdefault(k, []).extend(one.failed)

    @property
    def p(self) -> Floats:
        """[S + 1] the shares; NaN where nothing is known."""
        share = np.divide(self.won, self.told, out=np.full(self.won.shape, np.nan), where=self.told > 0)
        return np.where(np.isnan(self.certain), share, self.certain)

    def interval(self, z: float) -> tuple[Floats, Floats]:
        """(low, high) of each share, Wilson's; 0 to 1 where nothing is known."""
        low, high = wilson(self.won, self.told, z=z)
        known = ~np.isnan(self.certain)
        return np.where(known, self.certain, low), np.where(known, self.certain, high)

    def evidence(self, z: float) -> dict[str, Any]:
        """The numbers, as JSON holds them."""
        low, high = self.interval(z)
        out: dict[str, Any] = {
            "share": told_numbers(self.p),
            "low": told_numbers(low),
            "high": told_numbers(high),
            "won": self.won.tolist(),
            "tries": self.told.tolist(),
            "spent": dict(self.spent),
        }
        if self.failed:
            out["failed"] = {str(k): sorted(set(why)) for k, why in sorted(self.failed.items())}
        return out

    def why_not(self, k: int) -> str:
        """Why p_k is not known."""
        why = self.failed.get(k, ["nobody tried"])
        return f"with {k} steps kept no try could be told: {why[0]}"


def told_numbers(x: Floats) -> list[float | None]:
    """Numbers as JSON holds them: NaN is null."""
    return [None if v != v else round(float(v), 6) for v in x]


def drops(shares: Shares, z: float) -> tuple[Floats, Floats, Floats]:
    """(drop, low, high) [S] of each step: p_t - p_{t+1} and its interval; NaN where a share is not known.

    The interval of a difference is Newcombe's, from Wilson's of the shares (Statistics in Medicine 17, 1998, method
    10):  low = d - sqrt((p - low_p)^2 + (high_q - q)^2),  high = d + sqrt((high_p - p)^2 + (q - low_q)^2).
    """
    share = shares.p
    low, high = shares.interval(z)
    p, q = share[:-1], share[1:]
    d = p - q
    down = np.sqrt((p - low[:-1]) ** 2 + (high[1:] - q) ** 2)
    up = np.sqrt((high[:-1] - p) ** 2 + (q - low[1:]) ** 2)
    return d, d - down, d + up


def z_of(level: float, tests: int = 1) -> float:
    """How many standard deviations a two-sided interval of this level reaches, if `tests` of them are to hold together
    (Bonferroni).

    Raises:
        StepCreditError: a level that is not between 0 and 1.

    >>> round(z_of(0.9), 4), round(z_of(0.9, 5), 4)
    (1.6449, 2.3263)
    """
    if not 0 < level < 1:
        raise StepCreditError(f"level is between 0 and 1; got {level}")
    return NormalDist().inv_cdf(1 - (1 - level) / (2 * max(tests, 1)))


_GRID = np.linspace(0, 1, 2001)[1:-1]


def chance_of_drop(shares: Shares, t: int) -> float | None:
    """Chance that step t lowers the chance of success, P(p_t > p_{t+1}), each p uniform before its tries; None where
    nothing is known of one."""
    if np.isnan(shares.p[[t, t + 1]]).any():
        return None
    weight = [_density(shares, k) for k in (t, t + 1)]
    below = np.cumsum(weight[1]) - weight[1] / 2
    return float(np.clip(weight[0] @ below, 0.0, 1.0))


def _density(shares: Shares, k: int) -> Floats:
    if not np.isnan(shares.certain[k]):
        out = np.zeros(_GRID.size)
        out[-1 if shares.certain[k] > SUCCESS else 0] = 1.0
        return out
    w, lost = shares.won[k], shares.told[k] - shares.won[k]
    log = w * np.log(_GRID) + lost * np.log1p(-_GRID)
    dense: Floats = np.exp(log - log.max())
    dense /= dense.sum()
    return dense


def plan_cost(case: Case, method: str, options: Mapping[str, Any] | None = None) -> dict[str, int]:
    """The most that a method spends on a run, by name, before it spends it.

    Args:
        method: one that asks models, presets too. options: of the method.

    Raises:
        StepCreditError: a method that asks models and says nothing of its cost (of yours, as a rule; a module's
            `cost_of(case, **options)` says it). UnknownName: no such method or option.

    >>> from stepcredit.data.records import Rollout, Step
    >>> from stepcredit.diagnose.case import Group
    >>> run = Rollout(group=0, rollout=0, task="?", outcome=0.0, steps=[Step(text="x")] * 5, extra={"gold": "1"})
    >>> plan_cost(Case(Group([run]), 0), "counterfactual_replay", {"n": 4})["samples"]
    20
    """
    from stepcredit.diagnose.run import METHODS

    planner = METHODS.get(method)
    most = getattr(planner.function, "__globals__", {}).get("cost_of")
    if most is None:
        if not (planner.card.asks or planner.card.may_ask):
            return {}
        raise StepCreditError(
            f"{method} does not say what it costs", hint="stepcredit.diagnose.estimate asks stand-ins instead"
        )
    found: dict[str, int] = most(case, **{**planner.options, **planner.check_options(options or {})})
    return found
