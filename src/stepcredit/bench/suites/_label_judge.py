"""A judge and a reviser that stand in for language models: they know the truth, err as often as told, and answer in the
form that each question asks for.

A judge gets each step wrong with chance `blind` in whatever it is asked and however often (what it cannot see), and
else with chance `slip`, anew with each draw. "Wrong" is what the suite calls wrong: 24 cannot be reached any more.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Ask, Continue
from stepcredit.llm.tabular import Tabular
from stepcredit.protocols import Sample

_MARK = re.compile(r'Lines that begin with "\[\[(\d+) " are mine')
_STEP = re.compile(r"(?:action of )?step (\d+)")
_LAST = ("proposed action", "the step in question")
REVISE = "Solve a task again."


@dataclass(frozen=True)
class Seen:
    """What a question shows: the task, the steps, other texts by name, and what is said around them."""

    task: str
    steps: tuple[str, ...]
    others: dict[str, str]
    form: str

    @classmethod
    def of(cls, prompt: str) -> "Seen":
        """The parts of a prompt of `evidence._prompts.quoted`, and the form that stands behind them.

        Raises:
            StepCreditError: it quotes nothing.
        """
        found = _MARK.search(prompt)
        if found is None:
            raise StepCreditError("a question that quotes nothing", hint="the simulated judge reads quoted texts")
        mark = re.escape(found[1])
        pieces = re.split(rf"(?m)^\[\[{mark} (.*)\]\]$", prompt[found.end() :])
        named = [(n, text.strip("\n")) for n, text in zip(pieces[1::2], pieces[2::2], strict=True)]
        parts, form = named[:-1], prompt[: found.start()] + named[-1][1]
        task = next((text for name, text in parts if name in ("task", "question")), "")
        steps = [text for name, text in parts if _STEP.fullmatch(name) or name in _LAST]
        others = {name: text for name, text in parts if not _STEP.fullmatch(name)}
        return cls(task, tuple(steps), others, form)


class SimulatedJudge:
    """A judge of Game of 24.

    Args:
        model: knows the truth. slip: chance of a wrong verdict, drawn anew. blind: chance of one that never changes.
        seed: other seeds, other errors.
    """

    def __init__(self, model: Tabular, *, slip: float = 0.1, blind: float = 0.05, seed: int = 0) -> None:
        self._model, self._slip, self._blind, self._seed = model, slip, blind, seed

    async def each(self, request: Ask) -> str:
        """The reply to one question of a plan."""
        return self.reply(request.prompt, request.draw)

    def sampler(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 1024,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> list[list[Sample]]:
        """The judge as a Sampler, for a server; the seed is the draw."""
        return [[Sample(self.reply(p, (seed or 0) + i), ended=True, written=1) for i in range(n)] for p in prompts]

    def reply(self, prompt: str, draw: int = 0) -> str:
        """What it says.

        Raises:
            StepCreditError: a question of a form that it does not know.
        """
        seen = Seen.of(prompt.rstrip())
        for mark, write in _WRITERS.items():
            if mark in seen.form:
                return write(self, seen, f"{prompt}|{draw}")
        raise StepCreditError(f"the simulated judge knows no such question: {seen.form[-80:]!r}")

    def finds(self, seen: Seen, draw: str) -> list[bool]:
        """Which steps it calls right."""
        before = seen.task + "\n"
        out = []
        for i, step in enumerate(seen.steps):
            out.append(self.finds_step(before, step, f"{draw}|{i}"))
            before += step + "\n"
        return out

    def finds_step(self, before: str, step: str, draw: str) -> bool:
        """Whether it calls one step right."""
        right = self._model.step_is_right(before, step)
        never = self._chance(f"{before}|{step}") < self._blind
        return right != (never or self._chance(f"{before}|{step}|{draw}") < self._slip)

    def better(self, before: str, step: str, draw: str) -> str:
        """The step anew: one that the model may write and the judge calls right, where it called this one wrong."""
        if self.finds_step(before, step, draw):
            return step
        seed = int(self._chance(f"{before}|{draw}") * 2**31)
        ((*tried,),) = self._model.sampler([before], n=32, stop=("\n",), seed=seed)
        lines = (one.text.strip() for one in tried)
        return next((line for line in lines if line and self.finds_step(before, line, draw)), step)

    def _chance(self, name: str) -> float:
        return int.from_bytes(blake2b(f"{self._seed}|{name}".encode(), digest_size=7).digest(), "big") / 2**56


@dataclass(frozen=True)
class Reviser:
    """The tabular model as one who also writes a criticized solution anew: it keeps the steps before the first that the
    critique calls wrong, and goes on from there."""

    model: Tabular

    async def each(self, request: Continue) -> list[Sample]:
        """The continuations that one request of a plan asks for."""
        setting: dict[str, Any] = {"n": request.n, "max_tokens": request.max_tokens, "temperature": request.temperature}
        return self.sampler([request.whole], stop=request.stop, seed=request.draw, **setting)[0]

    def sampler(self, prompts: Sequence[str], *, seed: int | None = None, **setting: Any) -> list[list[Sample]]:
        """A Sampler."""
        out = []
        for prompt in prompts:
            kept = ""
            if prompt.startswith(REVISE):
                seen = Seen.of(prompt)
                wrong = [int(i) - 1 for i in re.findall(r"step (\d+) is wrong", seen.others["critique"])]
                kept = "".join(s + "\n" for s in seen.steps[: min(wrong, default=0)])
                prompt = seen.task + "\n" + kept
            (found,) = self.model.sampler([prompt], seed=seed, **setting)
            out.append(
                [Sample(kept + one.text, ended=one.ended, written=one.written) if kept else one for one in found]
            )
        return out


Write = Callable[[SimulatedJudge, Seen, str], str]


def _first(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    found = judge.finds(seen, draw)
    return f"<first_wrong>{'none' if all(found) else found.index(False) + 1}</first_wrong>"


def _wrong(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    named = [str(i) for i, right in enumerate(judge.finds(seen, draw), 1) if not right]
    return f"<wrong>{', '.join(named) or 'none'}</wrong>"


def _labels(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    found = judge.finds(seen, draw)
    told = ", ".join(f"{i}:{'+1' if right else '-1'}" for i, right in enumerate(found, 1))
    critique = "\n".join(f"step {i} is {'right' if right else 'wrong'}" for i, right in enumerate(found, 1))
    return f"{critique}\n<labels>{told}</labels>\n<final>{'right' if found[-1] else 'wrong'}</final>"


def _records(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    found = enumerate(judge.finds(seen, draw), 1)
    return json.dumps([{"student_step": i, "label": "CORRECT" if right else "INCORRECT"} for i, right in found])


def _rubric(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    return "<rubric>\nEvery step leaves numbers that still make 24 (10)\n</rubric>"


def _total(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    found = judge.finds(seen, draw)
    asked = re.fullmatch(r"step (\d+) alone", seen.others.get("what to judge", ""))
    share = float(found[int(asked[1]) - 1]) if asked else sum(found) / len(found)
    return f"<total>{10 * share:.2f}/10</total>"


def _checklist(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    return "<checklist>\nDo the numbers that are left still make 24?\n</checklist>"


def _items(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    return f"<items>1: {'yes' if judge.finds(seen, draw)[-1] else 'no'}</items>"


def _value(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    return f"Expected value: {8 if judge.finds(seen, draw)[-1] else 2}"


def _verdict(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    return f"<verdict>{'right' if judge.finds(seen, draw)[-1] else 'wrong'}</verdict>"


def _pair(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    before = "".join(f"{line}\n" for line in (seen.task, *seen.steps))
    offered = [text for name, text in seen.others.items() if name.startswith("candidate")]
    found = [judge.finds_step(before, text, f"{draw}|{i}") for i, text in enumerate(offered)]
    if all(found) or not any(found):
        return "<pair>none</pair>"
    return f"<pair>{found.index(True) + 1}, {found.index(False) + 1}</pair>"


def _rewritten(judge: SimulatedJudge, seen: Seen, draw: str) -> str:
    at = int(re.findall(r"about step (\d+) of a solution", seen.form)[0]) - 1
    before = "".join(f"{line}\n" for line in (seen.task, *seen.steps[:at]))
    return f"<step>{judge.better(before, seen.steps[at], draw)}</step>"


_WRITERS: dict[str, Write] = {
    "<first_wrong>": _first,
    "<wrong>": _wrong,
    "<labels>": _labels,
    '"student_step"': _records,
    "<rubric>": _rubric,
    "<total>": _total,
    "<checklist>": _checklist,
    "<items>": _items,
    "Expected value:": _value,
    "<verdict>": _verdict,
    "<pair>": _pair,
    "<step>": _rewritten,
}
