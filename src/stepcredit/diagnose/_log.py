"""A rollout as judges read it: numbered steps, who spoke, long texts cut in the middle, in parts where it is too long.

Every text stands between marks that none of them contains, and the judge answers within a tag that none of them
contains either: what a log says, it says to be judged. Steps are numbered from 0, as in records.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from stepcredit.data.records import Message, Step, replies_of
from stepcredit.diagnose.case import Case
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, quoted, shown

CUT = 20_000
LOW = 100
"""Least that texts can be cut to."""
_LEAST = 160  # characters of a text that is cut to make room, what says so included; below, texts are left out whole
_ROWS = 16  # most rows of texts that are left out
_NAME = re.compile(r"[\[\]\s]+")
_TAG = re.compile(r"</?verdict(\d{1,9})", re.IGNORECASE | re.ASCII)


def cut_middle(text: str, most: int | None) -> str:
    """A text of at most so many characters, and between its two ends how many were left out.

    >>> cut_middle("abcdefghij" * 3, 10)
    'abcde\\n[... 20 characters left out ...]\\nfghij'
    """
    if most is None or len(text) <= most:
        return text
    return _text("", text, most).shown().text


class _Shown(NamedTuple):
    """A text as it is shown. lost: characters that were left out."""

    name: str
    text: str
    lost: int = 0


class _Text(NamedTuple):
    """A text to be shown: its beginning, its end where it was cut, and its length when it was whole."""

    name: str
    head: str
    tail: str
    length: int

    def shown(self, most: int | None = None) -> _Shown:
        """The text; of at most so many characters, the line that says how many were left out among them."""
        lost = self.length - len(self.head) - len(self.tail)
        text = f"{self.head}{_lost(lost)}{self.tail}" if lost else self.head
        if most is None or len(text) <= most:
            return _Shown(self.name, text, lost)
        keep = max(0, most - len(_lost(self.length)))
        tail, lost = self.tail or self.head, self.length - keep
        return _Shown(self.name, self.head[: keep - keep // 2] + _lost(lost) + tail[len(tail) - keep // 2 :], lost)


def _text(name: str, text: str, cut: int | None) -> _Text:
    if cut is None or len(text) <= cut:
        return _Text(name, text, "", len(text))
    return _Text(name, text[: cut - cut // 2], text[len(text) - cut // 2 :], len(text))


def _lost(many: int) -> str:
    return f"\n[... {many:,} characters left out ...]\n"


def _fitted(texts: Sequence[_Text], room: int | None) -> list[_Shown]:
    """Texts of at most `room` characters together, `LOW` or more, what says what was left out included; None: all.

    The longest are cut in the middle. Where that would leave less than two lines of each, some are left out whole, in
    rows at even distances, each row as one line; the first always stays.
    """
    whole = [text.shown() for text in texts]
    if room is None or _size(whole) <= room:
        return whole
    size = many = len(texts)
    rows = min(_ROWS, max(1, room // (5 * _LEAST)))
    while True:
        kept = [i for i in range(size) if not (many + 1) // 2 <= i * rows % size < size - many // 2]
        gaps = {a: _gap(texts[a + 1 : b]) for a, b in pairwise([*kept, size]) if b - a > 1}
        most = _level([len(whole[i].text) for i in kept], room - _size(gaps.values()))
        if many == 1 or most >= min(_LEAST, max(len(whole[i].text) for i in kept)):
            break
        many -= max(1, many // 8)
    return [one for i in kept for one in (texts[i].shown(most), *([gaps[i]] if i in gaps else []))]


def _level(lengths: Sequence[int], room: int) -> int:
    """The greatest length to which texts can be cut so that all fit."""
    most, ordered = room, sorted(lengths)
    for i, length in enumerate(ordered):
        most = room // (len(ordered) - i)
        if length > most:
            break
        room -= length
    return most


def _gap(texts: Sequence[_Text]) -> _Shown:
    many = len(texts)
    name = texts[0].name if many == 1 else f"{texts[0].name} to {texts[-1].name}"
    told = f"[... {many:,} texts left out ...]" if many > 1 else "[... 1 text left out ...]"
    return _Shown(name, told, sum(text.length for text in texts))


def _size(shown: Iterable[_Shown]) -> int:
    return sum(len(one.text) for one in shown)


def _parts(shown: Iterable[_Shown]) -> list[Part]:
    return [(one.name, one.text) for one in shown]


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
        cut: most characters of one text, and a line on what was left out; None = all.
        limit: most characters of the texts of all steps of one prompt and of the replies to them, with the lines on
            what was left out; None = all. On top come the lines that name the texts, and the head: the task, what
            stood before the first step and the right answer.

    Raises:
        StepCreditError: cut or limit below `LOW`.
    """

    case: Case
    tell: bool = True
    numbered: bool = True
    cut: int | None = CUT
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("cut", self.cut), ("limit", self.limit)):
            if most is not None and most < LOW:
                raise StepCreditError(f"{name} is a number of characters, at least {LOW}, or None; got {most}")

    @cached_property
    def _texts(self) -> list[list[_Text]]:
        """Of each step its text and the replies to it, each cut by itself."""
        return [self._told(s, self.name(i), self._reply_to(i)) for i, s in enumerate(self.case.steps)]

    @cached_property
    def _steps(self) -> list[list[_Shown]]:
        """Of each step its text and the replies to it, together within the limit."""
        return [_fitted(texts, self.limit) for texts in self._texts]

    @cached_property
    def _newest(self) -> list[list[_Shown]]:
        """Of each step its text alone, within the limit."""
        return [_fitted(texts[:1], self.limit) for texts in self._texts]

    @cached_property
    def lengths(self) -> list[int]:
        """[S] characters of each step and the replies to it, as `parts` shows them."""
        return [_size(shown) for shown in self._steps]

    @property
    def cuts(self) -> dict[str, int]:
        """Characters that `parts` leaves out of texts that are too long, by the step they belong to."""
        lost = {str(i): sum(one.lost for one in shown) for i, shown in enumerate(self._steps)}
        return {step: many for step, many in lost.items() if many}

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
            out += _parts(_fitted(self._told(step, name, f"reply to {name}"), None))
        if self.tell and case.truth is not None:
            out.append(("right answer", cut_middle(case.truth, self.cut)))
        return out

    def parts(self, first: int, last: int) -> list[Part]:
        """Steps first to last with the replies to them."""
        return _parts(one for shown in self._steps[first : last + 1] for one in shown)

    def shrunk(self, first: int, last: int) -> list[Part]:
        """As `parts`, all within one limit: the longest texts are cut in the middle; of too many, some left out."""
        return _parts(_fitted([text for texts in self._texts[first : last + 1] for text in texts], self.limit))

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

    def recent(self, last: int) -> tuple[int, list[Part]]:
        """(first, parts) of steps first to `last`, the newest, without the replies to it: as many before it as there is
        room for, the oldest of them shrunk to what is left."""
        first, shown = last, [self._newest[last]]
        room = None if self.limit is None else self.limit - _size(shown[0])
        while first > 0:
            one = self._steps[first - 1]
            if room is not None and _size(one) > room:
                if room < LOW:
                    break
                one = _fitted(self._texts[first - 1], room)
            first -= 1
            shown.append(one)
            room = None if room is None else room - _size(one)
        return first, _parts(one for several in reversed(shown) for one in several)

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

    def _reply_to(self, i: int) -> str:
        return f"reply to step {i}" if self.numbered else "reply to the step"

    def _told(self, step: Step, name: str, reply: str) -> list[_Text]:
        """A step and the replies to it, each cut by itself."""
        texts = [_text(name, _said(step), self.cut)]
        for message in replies_of(step) or _observed(step):
            who = f", {plain(message.name)}" if message.name else ""
            texts.append(_text(reply + who, _reply(message), self.cut))
        return texts


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
