"""Labels straight from programs: a calculator, SymPy, Python in a sandbox, Z3, Lean."""

from collections import Counter
from typing import Any

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.label.checks import CHECKS, Known, Verdict, get
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.work import Work
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Step labels by programs that check: calculator, SymPy, Python, Z3, Lean",
    paper="several: GSM8K's calculator arXiv:2110.14168, PAL arXiv:2211.10435, FoVer arXiv:2505.15960",
    bibtex="@misc{toolchecks, title={Step labels by programs that check, as in GSM8K, PAL and FoVer}}",
    evidence="derived",
    asks=(),
    needs="steps that hold what a program can check: arithmetic, equations, code, formulas",
    cost="no calls of models; processes on this machine",
    departures="Ours. A step in which no check finds anything to check is not judged, with each check's reason.",
)

PRESETS = {
    "gsm8k": Preset({"checks": ("calculator",)}, "GSM8K's calculator marks and plain arithmetic, in exact fractions"),
    "programs": Preset({"checks": ("python_check",)}, "PAL's steps: code that runs to its end, and what it asserts"),
}


def tool_checks(
    work: Work,
    *,
    checks: tuple[str, ...] = ("calculator", "symbolic", "python_check", "z3_check"),
    outcome: bool = False,
) -> Plan[Labels]:
    """label_t = 0 if a check finds step t wrong, else 1 if one finds it right, else not judged.

    `facts` count each check's verdicts, and why steps were not judged.

    Args:
        checks: by name, one or more of `stepcredit.label.checks`. outcome: a known outcome is the last step's label.

    Raises:
        UnknownName: no such check. MissingExtra: its package is not installed. StepCreditError: no checks.
    """
    verdicts = yield from verdicts_of(work, checks)
    label = np.array([_label([told[t] for told in verdicts.values()]) for t in range(len(work.steps))])
    if outcome and work.outcome is not None:
        label[-1] = float(work.outcome >= 0.5)
    why = tuple(said(verdicts, t, label[t]) for t in range(len(work.steps)))
    return work.labels(label=label, first_error=first_wrong(label), reasons=why, facts={"checks": counted(verdicts)})


def verdicts_of(work: Work, checks: tuple[str, ...]) -> Plan[dict[str, list[Verdict]]]:
    """[T] verdicts of each check; they are booked as tools. It asks nobody, and is a plan for those that do."""
    yield from ()
    if not checks:
        raise StepCreditError("no checks", hint=f"one or more of: {', '.join(CHECKS.names())}")
    programs = {name: get(name) for name in checks}
    steps = tuple(work.steps)
    around = [Known(work.record.task or "", steps[:t], work.reference, t == len(steps) - 1) for t in range(len(steps))]
    work.book("tool", len(programs) * len(steps))
    return {
        name: [program(text, known) for text, known in zip(steps, around, strict=True)]
        for name, program in programs.items()
    }


def counted(verdicts: dict[str, list[Verdict]]) -> dict[str, Any]:
    """How often each check finds steps right and wrong, and why it does not judge the others."""
    return {
        name: {
            "right": sum(v.right is True for v in told),
            "wrong": sum(v.right is False for v in told),
            "not judged": dict(Counter(v.why[:80] for v in told if v.right is None)),
        }
        for name, told in verdicts.items()
    }


def said(verdicts: dict[str, list[Verdict]], t: int, label: float) -> str | None:
    """What the checks that speak for a step's label say of it; every reason where none was given one."""
    wanted = None if np.isnan(label) else bool(label >= 0.5)
    parts = [f"{name}: {told[t].why}" for name, told in verdicts.items() if told[t].right is wanted]
    return "; ".join(parts) or None


def _label(verdicts: list[Verdict]) -> float:
    told = {v.right for v in verdicts}
    return 0.0 if False in told else 1.0 if True in told else float("nan")
