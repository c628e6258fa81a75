"""A rollout as judges read it: numbered steps, who spoke, long texts cut in the middle, in parts where it is too long.

Every text stands between marks that none of them contains, and the judge answers within a tag that none of them
contains either: what a log says, it says to be judged. Steps are numbered from 0, as in records.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from stepcredit.data.records import Message, Step, replies_of
from stepcredit.diagnose.case import Case
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, quoted, shown

CUT = 20_000
_NAME = re.compile(r"[\[\]\s]+")
_TAG = re.compile(r"</?verdict(\d{1,9})", re.IGNORECASE | re.ASCII)


def cut_middle(text: str, most: int | None) -> str:
    """A text of at most so many characters, and between its two ends how many were left out.

    >>> cut_middle("abcdefghij" * 3, 10)
    'abcde\\n[... 20 characters left out ...]\\nfghij'
    """
    if most is None or len(text) <= most:
        return text
    head, tail = most - most // 2, most // 2
    return f"{text[:head]}\n[... {len(text) - most:,} characters left out ...]\n{text[len(text) - tail :]}"


def shared_steps(case: Case) -> list[Step]:
    """The steps that the run shares with earlier runs of its group, which are stored there."""
    if not case.rollout.prefix:
        return []
    named = {s.id: s for r in case.group.rollouts for s in r.steps if s.id is not None}
    return [named[name] for name in case.rollout.prefix if name in named]


def speaker(step: Step) -> str | None:
    """Who took a step, as text."""
    return None if step.agent is None else str(step.agent)


def plain(name: str) -> str:
    """A name on one line, without brackets, that cannot pose as a mark.

    >>> plain("Web]]\\n[[0 end]] Surfer")
    'Web 0 end Surfer'
    """
    return _NAME.sub(" ", name).strip()[:80]


def tag_of(parts: Sequence[Part]) -> str:
    """A tag for the judge's answer that no part contains.

    >>> tag_of([("step 0", "<verdict0>step: 3</verdict0>")])
    'verdict1'
    """
    used = {int(n) for name, text in parts for n in _TAG.findall(name + "\n" + text)}
    return f"verdict{next(n for n in range(len(used) + 1) if n not in used)}"


@dataclass(frozen=True, eq=False)
class Log:
    """A rollout to be shown.

    Args:
        tell: show the right answer, where there is one.
        numbered: with the numbers of the steps; else only who spoke.
        cut: most characters of one text; None = all. limit: most characters of all steps of one prompt (the task, what
            stood before the first step and the right answer come on top); None = all.

    Raises:
        StepCreditError: cut or limit below 100.
    """

    case: Case
    tell: bool = True
    numbered: bool = True
    cut: int | None = CUT
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("cut", self.cut), ("limit", self.limit)):
            if most is not None and most < 100:
                raise StepCreditError(f"{name} is a number of characters, at least 100, or None; got {most}")

    @cached_property
    def _most(self) -> int | None:
        """Of one text: a step must fit into a prompt."""
        return min((m for m in (self.cut, self.limit) if m is not None), default=None)

    @cached_property
    def _steps(self) -> list[tuple[str, list[Part]]]:
        """Of each step its text, and the replies to it."""
        return [self._step(i, step) for i, step in enumerate(self.case.steps)]

    @cached_property
    def lengths(self) -> list[int]:
        """[S] characters of each step and the replies to it, as shown."""
        return [len(text) + sum(len(t) for _, t in replies) for text, replies in self._steps]

    @property
    def cuts(self) -> dict[str, int]:
        """Characters left out of texts that are too long, by the step they belong to."""
        if self._most is None:
            return {}
        out: dict[str, int] = {}
        for i, step in enumerate(self.case.steps):
            texts = [_said(step), *(_reply(m) for m in replies_of(step))]
            over = sum(max(0, len(t) - self._most) for t in texts)
            if over:
                out[str(i)] = over
        return out

    def head(self) -> list[Part]:
        """The task, what stood before the first step, the right answer."""
        case, out = self.case, list[Part]()
        out.append(("task", cut_middle(case.task or "", self.cut)))
        for message in case.rollout.context:
            text = message.content or ""
            if text and text.strip() != (case.task or "").strip():
                name = plain(message.name or message.role)
                out.append((f"before the first step, {name}", cut_middle(text, self.cut)))
        for i, step in enumerate(shared_steps(case), 1):
            name = f"step {i} of the beginning that it shares with another run"
            out.append((name, cut_middle(_said(step), self.cut)))
        if self.tell and case.truth is not None:
            out.append(("right answer", cut_middle(case.truth, self.cut)))
        return out

    def parts(self, first: int, last: int, *, result: bool = True) -> list[Part]:
        """Steps first to last with the replies to them. result: also those to the last one."""
        out: list[Part] = []
        for i in range(first, last + 1):
            text, replies = self._steps[i]
            out.append((self.name(i), text))
            out += replies if result or i < last else []
        return out

    def shrunk(self, first: int, last: int) -> list[Part]:
        """As `parts`, the longest texts cut in the middle until all have at most `limit` characters together."""
        parts = self.parts(first, last)
        if self.limit is None or sum(len(text) for _, text in parts) <= self.limit:
            return parts
        room, most = self.limit, 0
        lengths = sorted(len(text) for _, text in parts)
        for i, length in enumerate(lengths):
            most = room // (len(lengths) - i)
            if length > most:
                break
            room -= length
        return [(name, cut_middle(text, most)) for name, text in parts]

    def name(self, i: int) -> str:
        """A step by its number and who took it."""
        who = speaker(self.case.steps[i])
        told = plain(who) if who else ""
        if not self.numbered:
            return told or "agent"
        return f"step {i}, {told}" if told else f"step {i}"

    def windows(self) -> list[tuple[int, int]]:
        """(first, last) of runs of steps that fit into a prompt; all in one where there is no limit."""
        size = len(self.case.steps)
        if self.limit is None or not size:
            return [(0, size - 1)] if size else []
        out, first, room = list[tuple[int, int]](), 0, self.limit
        for i, length in enumerate(self.lengths):
            if length > room and i > first:
                out.append((first, i - 1))
                first, room = i, self.limit
            room -= length
        return [*out, (first, size - 1)]

    def since(self, last: int) -> int:
        """First of the steps before `last` that fit into a prompt with it, counted from behind."""
        first, room = last, (self.limit or 0) - self.lengths[last]
        while first > 0 and (self.limit is None or self.lengths[first - 1] <= room):
            first -= 1
            room -= self.lengths[first]
        return first

    def left_out(self, first: int) -> str:
        """A line that says which steps are not shown; empty where all are."""
        if first <= 0:
            return ""
        which = "Step 0 is" if first == 1 else f"Steps 0 to {first - 1} are"
        return f" {which} not shown, for want of room."

    def outcome(self) -> str:
        """A line on whether the run succeeded, where that is known."""
        if self.case.rollout.outcome is None:
            return ""
        return " The run succeeded." if succeeded(self.case) else " The run failed."

    def _step(self, i: int, step: Step) -> tuple[str, list[Part]]:
        text = cut_middle(_said(step), self._most)
        of = f"step {i}" if self.numbered else "the step"
        replies = []
        for message in replies_of(step) or _observed(step):
            who = f", {plain(message.name)}" if message.name else ""
            replies.append((f"reply to {of}{who}", cut_middle(_reply(message), self._most)))
        return text, replies


def _said(step: Step) -> str:
    thought = f"(thought) {step.reasoning}\n" if step.reasoning else ""
    return thought + shown(step)


def _observed(step: Step) -> list[Message]:
    return [] if step.observation is None else [Message(role="tool", content=str(step.observation))]


def _reply(message: Message) -> str:
    pictures = f"\n[{len(message.images)} images]" if message.images else ""
    return ("(failed) " if message.error else "") + (message.content or "") + pictures


def prompt_of(task: str, parts: Sequence[Part], end: str) -> tuple[str, str]:
    """A prompt, and the tag within which it asks for the answer ("TAG" in `end` stands for it).

    Args:
        task: what is to be done. parts: what is to be judged. end: the form of the answer.
    """
    tag = tag_of([*parts, ("", task)])
    return f"{task}\n\n{quoted(*parts)}\n\n{end.replace('TAG', tag)}", tag
