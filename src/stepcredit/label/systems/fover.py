"""FoVer: formal tools label each step by its own premises; merged solutions, prefixes balanced by their last label."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems.tool_checks import counted, said, verdicts_of
from stepcredit.label.work import Work
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="FoVer: Training Step-Level Reasoning Verifiers with Formal Verification Tools",
    paper="arXiv:2505.15960",
    bibtex="""@misc{kamoi2025fover,
  title={Training Step-Level Reasoning Verifiers with Formal Verification Tools},
  author={Kamoi, Ryo and Zhang, Yusen and Zhang, Nan and Das, Sarkar Snigdha Sarathi and Zhang, Rui},
  year={2025}, eprint={2505.15960}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=(),
    needs="steps in the language of a tool (formulas for Z3, code for Lean), and the outcome for the final answer",
    cost="no calls of models; the tool's processes on this machine",
    departures="Proofs are Lean's, not Isabelle's. A step that the tool does not read is not judged, where the code "
    "drops the solution (whole=True does). Prefixes are balanced by `last_step_balanced`, whose final-answer part "
    "holds whole solutions; in the code it ends one step before.",
    code="https://github.com/psunlpgroup/FoVer",
)

PRESETS = {
    "proofs": Preset({"check": "lean", "whole": True}, "the proof half of FoVer, with Lean in Isabelle's place"),
    "local": Preset({"merge": 0.0}, "the labels of the given steps alone"),
}


def fover(works: list[Work], *, check: str = "z3_check", merge: float = 0.2, whole: bool = False) -> Plan[list[Labels]]:
    """label_t = [A_t and not c_t is unsatisfiable], A_t the premises that step t states; of the last step the outcome.

    A step is judged by what it states itself, right or wrong: a step behind an error may be right. With the labels of a
    rollout comes a version whose steps are merged at random, where that changes it; merged, both must be right.

    Args:
        check: which of `stepcredit.label.checks`. merge: chance that a step joins the one before it; never the last
            two. whole: a solution of which the tool did not judge every step is not judged at all.

    Raises:
        UnknownName: no such check. MissingExtra: its package is not installed. StepCreditError: merge not in [0, 1].
    """
    if not 0 <= merge <= 1:
        raise StepCreditError(f"merge is a chance, from 0 to 1; got {merge}")
    out: list[Labels] = []
    drawn: list[Labels] = []
    for i, work in enumerate(works):
        verdicts = yield from verdicts_of(work, (check,))
        label = np.array([np.nan if v.right is None else float(v.right) for v in verdicts[check]])
        if work.outcome is not None:
            label[-1] = float(work.outcome >= 0.5)
        facts = {"checks": counted(verdicts)}
        why = tuple(said(verdicts, t, label[t]) for t in range(label.size))
        if whole and np.isnan(label).any():
            label = np.full(label.size, np.nan)
            why = tuple(w or "another step of the solution is not judged" for w in why)
        one = work.labels(label=label, first_error=first_wrong(label), reasons=why, facts=facts)
        out.append(one)
        rng = np.random.default_rng([work.setting.seed, i, *str(work.record.group).encode()])
        merged = random_merge(one, merge, rng, work.setting.joiner)
        if len(merged) < len(one):
            name = f"{work.record.group}/drawn-{len(drawn)}"
            drawn.append(replace(merged, rollout=name, spent={}, facts={"merged_from": work.record.rollout}))
    return out + drawn


def random_merge(labels: Labels, chance: float, rng: np.random.Generator, joiner: str = "\n") -> Labels:
    """Labels in which steps have joined the one before them, each with this chance, never the last two steps.

    The label of a merged step is the least of its parts': wrong if one is wrong, else not judged if one is not.
    """
    joins = rng.random(max(len(labels) - 2, 0)) < chance
    starts = [0] * bool(len(labels)) + [t for t in range(1, len(labels)) if t >= len(labels) - 2 or not joins[t]]
    groups = [range(a, b) for a, b in zip(starts, [*starts[1:], len(labels)], strict=True)]
    label = np.array([_least(labels.label[list(g)]) for g in groups])
    why = tuple("; ".join(w for t in g if (w := labels.reasons[t])) or None for g in groups)
    ends = [g[-1] for g in groups]
    return replace(
        labels,
        steps=tuple(joiner.join(labels.steps[t] for t in g) for g in groups),
        label=label,
        value=labels.value[ends],
        won=labels.won[ends],
        drawn=labels.drawn[ends],
        reasons=why,
        first_error=first_wrong(label),
    )


def last_step_balanced(labels: Sequence[Labels], rng: np.random.Generator, most: int | None = None) -> list[Labels]:
    """Prefixes of solutions of which only the last step is judged, as many right as wrong ones.

    Every prefix whose last step has a label is one; whole solutions, whose last label is the final answer's, are
    balanced apart from the others. Of each side that has too many, some are drawn.

    Args:
        most: prefixes in all, half of them right.
    """
    chosen: list[tuple[int, int]] = []
    for final in (False, True):
        sides: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        for i, one in enumerate(labels):
            for t in range(len(one)):
                if (t == len(one) - 1) == final and not np.isnan(one.label[t]):
                    sides[bool(one.label[t] >= 0.5)].append((i, t))
        n = min(len(sides[True]), len(sides[False]))
        n = n if most is None else min(n, most // 4)
        for side in sides.values():
            chosen += [side[k] for k in rng.permutation(len(side))[:n]]
    return [_only_last(labels[i].first(t + 1)) for i, t in sorted(chosen)]


def _only_last(labels: Labels) -> Labels:
    label = np.full(len(labels), np.nan)
    label[-1] = labels.label[-1]
    return replace(labels, label=label, first_error=None)


def _least(label: np.ndarray) -> float:
    return 0.0 if (label < 0.5).any() else float(label.min())
