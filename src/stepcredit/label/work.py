"""One solution to be labelled: what is known of it, and the moves that buy more."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.data.records import Rollout, observed
from stepcredit.label.labels import Labels, unjudged
from stepcredit.llm.requests import Ask, Check, Continue, Failed, Plan, Request, draw_of
from stepcredit.protocols import Sample

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """How completions are asked for and read.

    joiner: stands between steps. max_tokens, temperature, stop: of a completion. whole: the verifier reads the solution
    so far and its completion; else the completion alone. seed: of the draws. compares: the verifier compares with a
    reference, so that of a solution without one nothing is asked.
    """

    joiner: str = "\n"
    max_tokens: int = 1024
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    whole: bool = True
    seed: int = 0
    compares: bool = False


NO_REFERENCE = "there is no reference answer to compare with"


@dataclass(eq=False)
class Work:
    """A rollout, its reference answer, the outcomes of its siblings (itself included), and what was bought so far.

    won, drawn: [T + 1] completions of each prefix that were right, and that could be told; entry 0 is the task alone.
    samples: the texts drawn from each prefix with their verdicts. failed: why requests behind each prefix, and verdicts
    on its completions, failed. spent: samples, verdicts and questions. grown: the tree of the task (`_grow.Grown`),
    where the system grew one and this is its first rollout.
    """

    record: Rollout
    reference: str | None
    siblings: Sequence[float | None]
    setting: Setting = field(default_factory=Setting)
    won: Ints = field(init=False)
    drawn: Ints = field(init=False)
    samples: dict[int, list[tuple[Sample, float]]] = field(default_factory=dict, init=False)
    failed: dict[int, list[str]] = field(default_factory=dict, init=False)
    spent: dict[str, int] = field(default_factory=dict, init=False)
    grown: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.won = np.zeros(len(self.steps) + 1, np.int64)
        self.drawn = np.zeros(len(self.steps) + 1, np.int64)

    @property
    def steps(self) -> list[str]:
        """Their texts; an empty one is a step too."""
        return [s.text or "" for s in self.record.steps]

    @property
    def prompt(self) -> str:
        """The task, ready for the first step."""
        task = self.record.task or ""
        return task + self.setting.joiner * bool(task and not task.endswith(self.setting.joiner))

    @property
    def outcome(self) -> float | None:
        """Of the solution; None = not known."""
        return self.record.outcome

    @property
    def ability(self) -> float | None:
        """Share of the siblings whose outcome is known that succeeded; None where none is known."""
        known = [o for o in self.siblings if o is not None]
        return float(np.mean(known)) if known else None

    def prefix(self, after: int) -> str:
        """What stands up to and with step `after` (-1: nothing), ready to go on, observations included."""
        joiner, parts = self.setting.joiner, []
        for step in self.record.steps[: after + 1]:
            result = observed(step)
            parts += [step.text or ""] + ([] if result is None else [result])
        return "".join(p + joiner for p in parts)

    def probe(self, after: int | Sequence[int], n: int, *, to: str = "sampler") -> Plan[Floats]:
        """Draw n more completions behind each of these steps and have them checked: [len] the shares right so far.

        -1 is the task alone. The last step is not completed where the outcome is known: that is its share. A verdict
        that cannot be told is left out of the count; NaN where none could be told.
        """
        wanted = [after] if isinstance(after, int) else list(after)
        ask = [t for t in dict.fromkeys(wanted) if not self._settled(t)]
        if ask and n > 0 and self.setting.compares and self.reference is None:
            self.failed.update({t: [NO_REFERENCE] for t in ask})
        elif ask and n > 0:
            replies = yield [self._continuation(t, n, to) for t in ask]
            drawn = [(t, s) for t, reply in zip(ask, replies, strict=True) for s in self._drawn(t, reply)]
            verdicts = yield [self._check(t, s) for t, s in drawn]
            self.book("verify", len(drawn))
            for (t, sample), verdict in zip(drawn, verdicts, strict=True):
                right = float("nan") if isinstance(verdict, Failed) else float(verdict)
                self.samples.setdefault(t, []).append((sample, right))
                if isinstance(verdict, Failed):
                    self.failed.setdefault(t, []).append(verdict.reason)
                self.drawn[t + 1] += right == right
                self.won[t + 1] += right >= 0.5
        return np.array([self.share(t) for t in wanted])

    def share(self, after: int) -> float:
        """Share of the completions behind this step that are right; NaN = none known."""
        if self._settled(after):
            return float(self.outcome or 0.0)
        n = int(self.drawn[after + 1])
        return float(self.won[after + 1]) / n if n else float("nan")

    def ask(self, prompts: Sequence[str], *, draw: int = 0, to: str = "judge") -> Plan[list[str | Failed]]:
        """The judge's replies; draw tells apart votes on one prompt."""
        replies = yield [Ask(p, self._draw(draw), to) for p in prompts]
        self.book("judge", len(prompts))
        return list(replies)

    def labels(self, **known: Any) -> Labels:
        """Labels of this solution with what was bought; `known`: label, value, first_error, reasons, facts."""
        counts = {"won": self.won[1:].copy(), "drawn": self.drawn[1:].copy()}
        record = self.record
        for name in known.keys() & {"label", "value"}:
            known[name] = np.asarray(known[name], float)
        known = {**unjudged(self.steps), "first_error": None, "reasons": self.reasons(), **counts, **known}
        return Labels(
            record.group,
            record.rollout,
            self.prompt,
            tuple(self.steps),
            outcome=self.outcome,
            spent=dict(self.spent),
            **known,
        )

    def shares(self) -> Floats:
        """[T] share of right completions behind each step, NaN where none was drawn; the outcome at the end."""
        return np.array([self.share(t) for t in range(len(self.steps))])

    def reasons(self) -> tuple[str | None, ...]:
        """[T] why it is not known whether completions behind a step are right, where all that was tried failed."""
        told = [self.failed.get(t, []) if np.isnan(self.share(t)) else [] for t in range(len(self.steps))]
        return tuple(why[-1] if why else None for why in told)

    def _settled(self, after: int) -> bool:
        return after == len(self.steps) - 1 and after >= 0 and self.outcome is not None

    def _continuation(self, after: int, n: int, to: str) -> Request:
        s = self.setting
        draw = self._draw(len(self.samples.get(after, ())) + len(self.failed.get(after, ())))
        return Continue(self.prompt, self.prefix(after), n, s.max_tokens, s.temperature, s.stop, draw, to)

    def _drawn(self, after: int, reply: Any) -> list[Sample]:
        if isinstance(reply, Failed):
            self.book("failed", 1)
            self.failed.setdefault(after, []).append(reply.reason)
            return []
        self.book("sample", len(reply))
        self.book("empty", sum(not s.text.strip() for s in reply))
        return list(reply)

    def _check(self, after: int, sample: Sample) -> Request:
        text = self.prefix(after) + sample.text if self.setting.whole else sample.text
        return Check(text, self.reference or "")

    def _draw(self, which: int) -> int:
        """The same for the same prefix in every solution, so that what they share is drawn once."""
        return draw_of(self.setting.seed, which)

    def book(self, kind: str, n: int) -> None:
        """Count n calls of a kind ("sample", "verify", "judge", "tool", ...)."""
        if n:
            self.spent[kind] = self.spent.get(kind, 0) + n
