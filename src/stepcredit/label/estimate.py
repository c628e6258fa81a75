"""What a label system will cost on these rollouts: the plan is run against stand-ins, nobody is asked.

Completions are the rests of the rollouts of the same task, verdicts are drawn at a success rate, judges do not answer.
Systems that look at verdicts before they go on cost more or less by what they see, so that there is a mean and a
maximum: over several seeds, and over verdicts that are all right and all wrong.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from stepcredit.data.records import Rollout
from stepcredit.errors import StepCreditError
from stepcredit.label.run import SYSTEMS, Reference, label
from stepcredit.label.work import Setting
from stepcredit.llm.requests import Ask, Check, Continue, Failed, Force, Request, Score
from stepcredit.protocols import Sample

SEEDS = 3
MOST = 500  # rollouts that are looked at; of more, a part stands for all
CHARACTERS = 4  # of a token

Counts = dict[str, float]


@dataclass(frozen=True)
class Estimate:
    """mean, most: number of calls (requests sent to models and judges; verdicts apart), samples, tokens read and
    written, checks, by name. most takes every completion as long as allowed. rate: success rate of the completions.
    assumptions: in words.
    """

    mean: Mapping[str, float]
    most: Mapping[str, float]
    rate: float
    assumptions: tuple[str, ...]


def estimate(
    rollouts: Iterable[Rollout],
    system: str,
    *,
    rate: float | None = None,
    models: Mapping[str, Any] | None = None,
    reference: Reference = None,
    setting: Setting = Setting(),  # noqa: B008
    seeds: int = SEEDS,
    **options: Any,
) -> Estimate:
    """Expected and greatest cost of `label`, by running it on stand-ins.

    Args:
        rate: chance that a completion is right; None: the share of these rollouts that succeeded, 0.5 where none of
            their outcomes is known.
        models: functions to ask instead of stand-ins, by name: a judge that replies as yours does, say.
        seeds: draws of verdicts.

    Raises:
        StepCreditError: a rate outside 0..1, fewer than one seed, no rollouts; as `label`.
    """
    given = list(rollouts)
    if not given or seeds < 1 or not (rate is None or 0 <= rate <= 1):
        raise StepCreditError(
            f"an estimate needs rollouts, a rate in 0..1 and a seed; got {len(given)}, {rate}, {seeds}"
        )
    known = [r.outcome for r in given if r.outcome is not None]
    chance = rate if rate is not None else float(np.mean(known)) if known else 0.5
    chance = min(max(chance, 0.0), 1.0)
    part = _part(given)
    scale = len(given) / len(part)
    runs = [(chance, seed) for seed in range(seeds)] + [(0.0, 0), (1.0, 0)]
    told = [_once(part, system, p, seed, models or {}, reference, setting, options) for p, seed in runs]
    mean = {name: scale * float(np.mean([t[0][name] for t in told[:seeds]])) for name in _names(told[:seeds])}
    most = {name: scale * max(t[1][name] for t in told) for name in _names(told)}
    return Estimate(mean, most, chance, _assumptions(chance, known, len(given), len(part), seeds, told, models or {}))


def _names(told: Sequence[tuple["Counter[str]", "Counter[str]"]]) -> list[str]:
    return sorted({name for both in told for name in both[0]})


def _part(given: list[Rollout]) -> list[Rollout]:
    """Whole tasks, evenly from beginning to end."""
    tasks = [list(rollouts) for _, rollouts in groupby(given, key=lambda r: r.group)]
    if len(given) <= MOST:
        return given
    wanted = max(1, round(len(tasks) * MOST / len(given)))
    chosen = np.linspace(0, len(tasks) - 1, wanted).round().astype(int)
    return [one for i in dict.fromkeys(chosen.tolist()) for one in tasks[i]]


def _once(
    part: list[Rollout],
    system: str,
    rate: float,
    seed: int,
    models: Mapping[str, Any],
    reference: Reference,
    setting: Setting,
    options: Mapping[str, Any],
) -> tuple["Counter[str]", "Counter[str]"]:
    stand_in = _StandIn(part, rate, seed, setting)
    card = SYSTEMS.get(system).card
    asked = {name: _Counted(stand_in, models.get(name)) for name in (*card.asks, *card.may_ask)}
    for _ in label(part, system, asked, reference=reference, setting=setting, **options):
        pass
    return stand_in.spent, stand_in.most


class _StandIn:
    """Whoever is asked; counts. spent: as it was; most: with completions as long as allowed."""

    def __init__(self, rollouts: Sequence[Rollout], rate: float, seed: int, setting: Setting) -> None:
        self.spent: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._told: dict[Request, Any] = {}
        self._rate, self._joiner, self._rng = rate, setting.joiner, np.random.default_rng(seed)
        self._siblings: dict[str, list[list[str]]] = {}
        self._all = [[s.text or "" for s in r.steps] for r in rollouts]
        for r, steps in zip(rollouts, self._all, strict=True):
            self._siblings.setdefault((r.task or "").strip(), []).append(steps)

    def reply(self, request: Request) -> Any:
        """What stands in for the answer, counted; equal requests (but checks) have one answer, which is paid once."""
        if isinstance(request, Check):
            return self._made(request)
        if request not in self._told:
            self._told[request] = self._made(request)
        return self._told[request]

    def _made(self, request: Request) -> Any:
        match request:
            case Continue():
                texts = [self._rest(request) for _ in range(request.n)]
                written = [min(_tokens(text), request.max_tokens) for text in texts]
                self.count(request, sum(written), request.n * request.max_tokens)
                return [Sample(text, read=0, written=n) for text, n in zip(texts, written, strict=True)]
            case Check():
                self.count(request)
                return float(self._rng.random() < self._rate)
            case Score():
                self.count(request)
                return float(self._rng.random())
            case Force():
                self.count(request)
                return np.full(_tokens(request.continuation), -1.0)
            case Ask():
                self.count(request)
                return Failed("nobody was asked")

    def count(self, request: Request, written: int = 0, longest: int = 0) -> None:
        """Book a request."""
        for book, out in ((self.spent, written), (self.most, longest)):
            if isinstance(request, Check):
                book["checks"] += 1
                continue
            book["calls"] += 1
            book[f"calls to the {request.to}"] += 1
            book["tokens read"] += _tokens(_said(request))
            book["tokens written"] += out
            if isinstance(request, Continue):
                book["samples"] += request.n

    def _rest(self, request: Continue) -> str:
        done = request.prefix.count(self._joiner) if self._joiner else 0
        siblings = self._siblings.get(request.prompt.strip()) or self._all
        longer = [s for s in siblings if len(s) > done] or siblings
        steps = longer[int(self._rng.integers(len(longer)))]
        return self._joiner.join(steps[done:] or steps[-1:])


class _Counted:
    """A door to the stand-in, or to a function that is asked in its place and counted all the same."""

    def __init__(self, stand_in: _StandIn, model: Any) -> None:
        self._stand_in, self._model = stand_in, model

    async def each(self, request: Request) -> Any:
        if self._model is None:
            return self._stand_in.reply(request)
        from stepcredit.llm.drive import call

        (found,) = call(self._model, [request])
        self._stand_in.count(request, *(_length(found, request)))
        return found


def _length(found: Any, request: Request) -> tuple[int, int]:
    if isinstance(request, Continue) and isinstance(found, list):
        return sum(s.written or _tokens(s.text) for s in found), request.n * request.max_tokens
    return (_tokens(found),) * 2 if isinstance(found, str) else (0, 0)


def _said(request: Request) -> str:
    match request:
        case Continue():
            return request.prompt + request.prefix
        case Ask():
            return request.prompt
        case Score():
            return request.prefix + request.step
        case Force():
            return request.prefix + request.continuation
        case Check():
            return request.answer


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS)


def _assumptions(
    rate: float,
    known: Sequence[float],
    all_: int,
    part: int,
    seeds: int,
    told: Sequence[tuple["Counter[str]", "Counter[str]"]],
    models: Mapping[str, Any],
) -> tuple[str, ...]:
    whence = "" if not known else f" (of these rollouts {float(np.mean(known)):.1%} succeeded)"
    out = [
        f"a completion is right with a chance of {rate:.1%}, whatever it goes on from{whence}",
        f"it is as long as the rest of a rollout of its task, {CHARACTERS} characters to a token; at most, as allowed",
        "solutions that begin alike share what is asked about their beginning",
        f"mean of {seeds} draws; most: of these and of verdicts all right and all wrong",
    ]
    if part < all_:
        out.append(f"{part} of {all_} rollouts were looked at")
    if any(name == "calls to the judge" for t, _ in told for name in t) and "judge" not in models:
        out.append("the judge does not answer: questions that follow from its replies are not counted, nor its tokens")
    return tuple(out)
