"""Solutions of one task that a label system draws itself: partial ones as states, by their steps."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.data.records import observed
from stepcredit.label.labels import Labels, unjudged
from stepcredit.label.work import Work
from stepcredit.llm.requests import ENDS, Ask, Check, Continue, Failed, Plan, Score, draw_of
from stepcredit.protocols import Sample

Steps = tuple[str, ...]
NAN = float("nan")


@dataclass(eq=False)
class State:
    """What stands after these steps. won, drawn: of its completions. total, visits: what a search backed up. prior: of
    its last step. ended: the solution is complete; right: whether it is, NaN = not known. reason: why what was asked
    about it was not answered. checked: a verdict on its last step, NaN = none. facts: what a system remembers."""

    steps: Steps
    parent: "State | None" = None
    children: "list[State]" = field(default_factory=list)
    won: int = 0
    drawn: int = 0
    total: float = 0.0
    visits: int = 0
    prior: float = 1.0
    ended: bool = False
    right: float = NAN
    checked: float = NAN
    reason: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Of what was backed up; NaN = nothing was."""
        return self.total / self.visits if self.visits else NAN


@dataclass(frozen=True)
class Attempt:
    """A whole solution and whether it is right (0..1, NaN = not known)."""

    steps: Steps
    right: float


class Grown:
    """The states of a task, the moves that make more, and the labels of the solutions through them.

    works: the given rollouts of the task. ends: pattern of a step that completes a solution, for models that do not say
    whether they ended by themselves. What the tree costs stands in `spent` of the first labels.
    """

    def __init__(self, works: Sequence[Work], ends: str = ENDS) -> None:
        self.works, self.root = list(works), State(())
        self.prompt, self.setting = works[0].prompt, works[0].setting
        self.states: dict[Steps, State] = {(): self.root}
        self.rng = np.random.default_rng([self.setting.seed, *str(works[0].record.group).encode()])
        self.to = "sampler"
        works[0].grown = self
        self._ends, self._draws = re.compile(ends, re.MULTILINE), 0

    def state(self, steps: Steps) -> State:
        """The state after these steps; made where there is none."""
        return self.states.setdefault(steps, State(steps))

    def child(self, above: State, text: str) -> State:
        """The state one step further; made, and hung below, where there is none."""
        found = self.state((*above.steps, text))
        if found.parent is None:
            found.parent = above
            above.children.append(found)
        return found

    def given(self) -> list[tuple[Steps, float]]:
        """Steps and outcome (NaN = not known) of the given rollouts; an observation is part of its step."""
        return [(_steps(w), NAN if w.outcome is None else float(w.outcome)) for w in self.works]

    def walk(self, steps: Steps, right: float) -> State:
        """The state of a whole solution, hung below those before it; it has ended."""
        at = self.root
        for text in steps:
            at = self.child(at, text)
        at.ended, at.right = True, right
        return at

    def ended(self) -> list[tuple[Steps, float]]:
        """The complete solutions whose verdict is known, in the order in which they came."""
        return [(s.steps, s.right) for s in self.states.values() if s.ended and s.right == s.right]

    def solutions(self) -> Iterator[tuple[Steps, float]]:
        """Steps and outcome (NaN = not known) of all whole solutions: the given ones, then those that were found."""
        yield from self.given()
        yield from self.ended()

    def prefix(self, steps: Steps) -> str:
        """What stands up to and with these steps, ready to go on."""
        return "".join(s + self.setting.joiner for s in steps)

    # Moves

    def complete(
        self, states: Sequence[State], n: int, *, temperature: float | None = None
    ) -> Plan[list[list[Attempt]]]:
        """n completions of each state, checked, and counted on it; a request that failed leaves its reason there."""
        s = self.setting
        heat = s.temperature if temperature is None else temperature
        asked = [Continue(self.prompt, self.prefix(x.steps), n, s.max_tokens, heat, s.stop) for x in states]
        replies = yield from self._drawn(asked)
        whole = [(i, self._after(states[i], sample)) for i, reply in enumerate(replies) for sample in reply[0]]
        for state, (_, why) in zip(states, replies, strict=True):
            state.reason = why or state.reason
        verdicts = yield from self.check([(steps, len(states[i].steps)) for i, steps in whole])
        out: list[list[Attempt]] = [[] for _ in states]
        for (i, steps), (right, why) in zip(whole, verdicts, strict=True):
            out[i].append(Attempt(steps, right))
            states[i].won += right >= 0.5
            states[i].drawn += right == right
            states[i].reason = why or states[i].reason
        return out

    def extend(self, state: State, n: int) -> Plan[list[State]]:
        """n next steps of a state, as its new children: those that read alike are one, and share what was there."""
        s, before = self.setting, set(state.children)
        stop = tuple(dict.fromkeys((s.joiner, *s.stop)))
        asked = [Continue(self.prompt, self.prefix(state.steps), n, s.max_tokens, s.temperature, stop)]
        ((samples, why),) = yield from self._drawn(asked)
        state.reason = why or state.reason
        made: dict[State, None] = {}
        for sample in samples:
            text = sample.text.strip()
            if not text:
                continue
            child = self.child(state, text)
            child.prior = _prior(sample, n)
            child.ended = child.ended or bool(sample.ended) or self._ends.search(text) is not None
            made[child] = None
        if samples and not made and state.steps:  # it had nothing more to say: the solution was complete
            state.ended = True
        return [c for c in made if c not in before]

    def check(self, solutions: Sequence[tuple[Steps, int]]) -> Plan[list[tuple[float, str | None]]]:
        """Whether each is right (NaN = not known, and why); with each the number of steps it was drawn behind."""
        whole, reference = self.setting.whole, self.works[0].reference or ""
        shown = [steps if whole else steps[begin:] for steps, begin in solutions]
        texts = [self.prefix(steps).removesuffix(self.setting.joiner) for steps in shown]
        replies = yield [Check(text, reference) for text in texts]
        self.works[0].book("verify", len(texts))
        return [(NAN, r.reason) if isinstance(r, Failed) else (float(r), None) for r in replies]

    def settle(self, states: Iterable[State]) -> Plan[None]:
        """Check the complete solutions among these whose verdict is not known."""
        open_ = [s for s in states if s.ended and s.right != s.right]
        verdicts = yield from self.check([(s.steps, len(s.steps) - 1) for s in open_])
        for state, (right, why) in zip(open_, verdicts, strict=True):
            state.right, state.reason = right, why or state.reason

    def score(self, states: Sequence[State]) -> Plan[list[float]]:
        """The scorer's opinion of each state's last step after what stands before it; NaN = failed, and why."""
        asked = [Score(self.prompt + self.prefix(s.steps[:-1]), s.steps[-1] if s.steps else "") for s in states]
        replies = yield asked
        self.works[0].book("score", len(asked))
        for state, reply in zip(states, replies, strict=True):
            state.reason = reply.reason if isinstance(reply, Failed) else state.reason
        return [NAN if isinstance(r, Failed) else float(r) for r in replies]

    def ask(self, prompts: Sequence[str], *, to: str = "judge") -> Plan[list[str | Failed]]:
        """The judge's replies, each question drawn anew."""
        replies = yield [Ask(p, self.draw(), to) for p in prompts]
        self.works[0].book("judge", len(prompts))
        return list(replies)

    def draw(self) -> int:
        """A number of its own for each request."""
        self._draws += 1
        return draw_of(self.setting.seed, self.works[0].record.group, self._draws)

    # Labels

    def labels(
        self, drawn: Iterable[tuple[Steps, float]], say: Callable[[list[State | None], float | None], dict[str, Any]]
    ) -> list[Labels]:
        """Of the given rollouts, then of what was drawn and is not among them.

        Args:
            say: the states of a solution's T prefixes (None: the system was never there) and its outcome, to `label`,
                `value`, `first_error`, `facts`.
        """
        out = []
        for work in self.works:
            path = self._along(_steps(work))
            won, count = counts(path)
            known = {"won": won, "drawn": count, "reasons": _reasons(path), **say(path, work.outcome)}
            out.append(work.labels(**known))
        own, first = {_steps(w) for w in self.works}, self.works[0].record.group
        fresh = {steps: right for steps, right in drawn if steps and steps not in own}
        for i, (steps, right) in enumerate(fresh.items()):
            path, outcome = self._along(steps), None if right != right else right
            won, count = counts(path)
            known = {**unjudged(steps), "won": won, "drawn": count, "reasons": _reasons(path), "first_error": None}
            known |= {"outcome": outcome, **say(path, outcome)}
            out.append(Labels(first, f"{first}/drawn-{i}", self.prompt, steps, **known))
        return out

    def _along(self, steps: Steps) -> list[State | None]:
        return [self.states.get(steps[: t + 1]) for t in range(len(steps))]

    def _drawn(self, asked: Sequence[Continue]) -> Plan[list[tuple[list[Sample], str | None]]]:
        named = [
            Continue(r.prompt, r.prefix, r.n, r.max_tokens, r.temperature, r.stop, self.draw(), self.to) for r in asked
        ]
        replies = yield named
        failed = sum(isinstance(r, Failed) for r in replies)
        self.works[0].book("failed", failed)
        out = [([], r.reason) if isinstance(r, Failed) else (list(r), None) for r in replies]
        self.works[0].book("sample", sum(len(samples) for samples, _ in out))
        return out

    def _after(self, state: State, sample: Sample) -> Steps:
        """The whole solution; a blank line is no step."""
        parts = [p for p in sample.text.split(self.setting.joiner) if p.strip()]
        return (*state.steps, *parts)


def _steps(work: Work) -> Steps:
    joiner = work.setting.joiner
    told = [(s.text or "", observed(s)) for s in work.record.steps]
    return tuple(text if result is None else text + joiner + result for text, result in told)


def puct(states: Sequence[State], above: int, c: float) -> Floats:
    """Q + c * P * sqrt(N_parent) / (1 + N); what was never visited has Q = 0.

    >>> puct([State(("a",), total=1.0, visits=2, prior=0.5), State(("b",), prior=0.5)], 4, 1.5).tolist()
    [1.0, 1.5]
    """
    q = np.array([s.total / max(s.visits, 1) for s in states])
    visits, prior = np.array([s.visits for s in states]), np.array([s.prior for s in states])
    return np.asarray(q + c * prior * np.sqrt(above) / (1 + visits))


def back_up(state: State, value: float, decay: float = 1.0) -> None:
    """One visit to a state and all above it; a state d levels above gets value * decay^d. Unknown values are none."""
    at: State | None = state if value == value else None
    while at is not None:
        at.total, at.visits = at.total + value, at.visits + 1
        at, value = at.parent, value * decay


def counts(path: Sequence[State | None]) -> tuple[Ints, Ints]:
    """[T] completions behind each step that were right, and that could be told; 0 where the system never was."""
    won, drawn = (np.array([0 if s is None else getattr(s, name) for s in path], np.int64) for name in ("won", "drawn"))
    return won, drawn


def _reasons(path: Sequence[State | None]) -> tuple[str | None, ...]:
    return tuple(None if s is None or s.drawn or s.visits else s.reason for s in path)


def _prior(sample: Sample, n: int) -> float:
    """exp of the mean log-probability of a step's tokens; even where the model does not tell."""
    return 1.0 / n if sample.logp is None or not sample.logp.size else float(np.exp(sample.logp.mean()))
