"""Programs that check a step: one file each, a plain function (text of the step, what is known) -> verdict.

found = get("calculator")("48 / 2 = 24", Known())
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.plugins import OpenSet
from stepcredit.protocols import Verifier

CHECKS = OpenSet("check of steps", "stepcredit.label.checks", "stepcredit.label.checks")


class Verdict(NamedTuple):
    """right: True, False, or None = not judged. why: what was found, or why nothing was, in words."""

    right: bool | None
    why: str


@dataclass(frozen=True)
class Known:
    """What stands around a step. before: the texts of the steps before it. reference: the right answer, if there is
    one. last: it is the last step."""

    task: str = ""
    before: tuple[str, ...] = ()
    reference: str | None = None
    last: bool = False


Check = Callable[[str, Known], Verdict]


def get(name: str) -> Check:
    """The check of this name.

    Raises:
        UnknownName: no such check.
    """
    found: Check = CHECKS.function(name)
    return found


def checker(*names: str) -> Verifier:
    """Checks as the model "checker" that systems ask (groundedprm): (steps, what stands before each) -> 1 right, 0
    wrong, NaN not judged.

    >>> checker("calculator")(["2 + 3 = 5", "2 + 3 = 6", "so"], ["", "", ""])
    array([ 1.,  0., nan])
    """
    programs = [get(name) for name in names]

    def check(answers: Sequence[str], references: Sequence[str]) -> Floats:
        told = [
            together([program(step, Known(text)) for program in programs], "no check").right
            for step, text in zip(answers, references, strict=True)
        ]
        return np.array([np.nan if right is None else float(right) for right in told])

    return check


def together(verdicts: Sequence[Verdict], nothing: str) -> Verdict:
    """One verdict of several: wrong if one is, else right if one is; not judged where none was, or there are none.

    Args:
        nothing: what to say where there are none.

    >>> together([Verdict(True, "4 = 4"), Verdict(None, "x is not known")], "no claim")
    Verdict(right=True, why='4 = 4')
    """
    for right in (False, True, None):
        told = [v.why for v in verdicts if v.right is right]
        if told:
            return Verdict(right, "; ".join(dict.fromkeys(told)))
    return Verdict(None, nothing)
