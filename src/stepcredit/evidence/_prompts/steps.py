"""One question about all steps of a rollout."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepcredit.evidence._prompts import BREAK, LISTED, Part, Unreadable, indices, last, quoted


@dataclass(frozen=True)
class Story:
    """What a judge is told of a rollout: the task, its numbered steps, and the right answer and whether the outcome
    is right (0.5 or more), where it is to know them."""

    task: str
    steps: Sequence[Part]
    reference: str | None = None
    outcome: float | None = None

    @property
    def told(self) -> str:
        """The part of the prompt that tells it."""
        answer = [] if self.reference is None else [("right answer", self.reference)]
        said = quoted(("task", self.task), *answer, *self.steps)
        if self.outcome is not None:
            said += f"\n\nThe final answer of this solution is {'right' if self.outcome >= 0.5 else 'wrong'}."
        return said


_LABEL = {"+1": 1.0, "1": 1.0, "0": 0.0, "-1": -1.0, "−1": -1.0}
_PAIR = r"\d{1,6}\s*+:\s*+[+\-−]?[01]"
_LABELS = rf"({_PAIR}(?:{BREAK}{_PAIR})*+)[,;]?"


def wrong_steps_prompt(story: Story) -> str:
    """Asks for the set of wrong steps, each judged for itself."""
    return f"""Find the wrong steps of a solution.

Judge each step by whether it is right in itself: its facts, its arithmetic, its logic. A step that goes on correctly \
from an earlier mistake is not wrong for that. A step that is only clumsy, short or superfluous is not wrong.

{story.told}

Think it through. Then end with one line of this form, where NUMBERS are the numbers of all wrong steps, as in 2, 5, \
or the word none:
<wrong>NUMBERS</wrong>"""


def labels_prompt(story: Story) -> str:
    """Asks for a label of every step: +1 right and of use, 0 neutral, -1 wrong."""
    return f"""Judge every step of a rollout.

+1: the step is right and brings the task forward. 0: it neither helps nor harms. -1: it is wrong, or leads away.

{story.told}

Think it through. Then end with one line of this form that gives every step its label L:
<labels>1:L, 2:L, 3:L</labels>"""


def signals_prompt(story: Story) -> str:
    """Asks which steps are right by what the solution itself shows of them, without solving the task."""
    return f"""Say which steps of a solution are right, by the signs that the solution itself gives. Do not solve the \
task yourself.

Where the solution is right, a step that is later doubted and given up, taken back or corrected is wrong; the others \
are right. Where it is wrong, look for contradictions, doubts that stay open and corrections, and for the steps that \
lead to the wrong answer; those are wrong, the others are right.

{story.told}

Think it through. Then end with one line of this form that gives every step its label L, +1 (right) or -1 (wrong):
<labels>1:L, 2:L, 3:L</labels>"""


def draw_of(number: int, draws: int) -> str:
    """What keeps the prompts of several independent judgments apart, so that none is answered from a cache."""
    return f"\n\n(Judgment {number} of {draws}; each is made anew.)" if draws > 1 else ""


def read_wrong(reply: str, size: int) -> dict[int, float]:
    """0-based step -> -1 where it is named wrong, +1 elsewhere.

    Raises:
        Unreadable: no verdict of the form, or it names a step that is not there.

    >>> read_wrong("I see. <wrong>2</wrong>", 3)
    {0: 1.0, 1: -1.0, 2: 1.0}
    """
    wrong = indices(last(reply, "wrong", LISTED)[1], size)
    return {i: -1.0 if i in wrong else 1.0 for i in range(size)}


def read_labels(reply: str, size: int, *, neutral: bool = True) -> dict[int, float]:
    """0-based step -> label, for the steps that got one. neutral: 0 is a label.

    Raises:
        Unreadable: no verdict of the form, a step that is not there, two labels of one step.

    >>> read_labels("<labels>1:+1, 3:-1</labels>", 3)
    {0: 1.0, 2: -1.0}
    """
    found: dict[int, float] = {}
    for number, label in re.findall(r"(\d+)\s*:\s*([+\-−]?[01])", last(reply, "labels", _LABELS)[1], re.ASCII):
        step, value = int(number) - 1, _value(label)
        if not 0 <= step < size:
            raise Unreadable("names one that is not there")
        if found.setdefault(step, value) != value:
            raise Unreadable("two labels of one step")
        if value == 0 and not neutral:
            raise Unreadable("a label that was not offered")
    return found


def _value(label: str) -> float:
    if label not in _LABEL:
        return 0.0  # +0 and -0
    return _LABEL[label]


def carried(labels: Mapping[int, float], size: int) -> dict[int, float]:
    """Labels in which a missing one is the one before it; before the first there is none to take."""
    out: dict[int, float] = {}
    for i in range(size):
        if i in labels:
            out[i] = labels[i]
        elif i - 1 in out:
            out[i] = out[i - 1]
    return out
