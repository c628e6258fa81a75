"""SPARK: a verifier without references judges a solution many times; what its verdicts agree on are the labels."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.evidence._prompts import Part, Unreadable, last, quoted
from stepcredit.evidence._prompts.steps import read_labels
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import asked, parts, votes
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

Decide = Literal["step", "outcome", "critique", "hybrid"]

CARD = PlanCard(
    title="SPARK: Stepwise Process-Aware Rewards for Reference-Free Reinforcement Learning",
    paper="arXiv:2512.03244",
    bibtex="""@misc{rahman2025spark,
  title={SPARK: Stepwise Process-Aware Rewards for Reference-Free Reinforcement Learning},
  author={Rahman, Salman and others},
  year={2025}, eprint={2512.03244}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("judge",),
    needs="nothing: no reference is shown",
    cost="n questions to the judge per solution; two with decide='critique', n + 1 with 'hybrid'",
    departures="Prompts are ours. A tie is wrong, as derived. The paper's number of votes is not known (8 to 16).",
)

PRESETS = {
    "outcome-consistency": Preset({"decide": "outcome"}, "SPARK (a): the majority of the final verdicts"),
    "meta-critique": Preset({"decide": "critique"}, "SPARK (c): a critic reviews one verification"),
    "hybrid": Preset({"decide": "hybrid"}, "SPARK (d): step consistency, then the critic"),
}


class Verification(NamedTuple):
    """[T] verdicts on steps (1 right, 0 wrong), whether the whole is right, and the reply."""

    steps: tuple[float, ...]
    final: bool
    text: str


def spark(
    work: Work, *, n: int = 8, decide: Decide = "step", agree: Literal["all", "most"] = "all", retries: int = 0
) -> Plan[Labels]:
    """label_t = [more than half of the verdicts on step t are right]; the verification that agrees is kept.

    value_t is the share of the verdicts that are right. `facts` hold `kept`, the number of the verification that is
    kept, its text `critique` for training, and `final`, its verdict on the whole; kept = None
    where none agrees: what most say is the label all the same.

    Args:
        n: independent verifications. decide: "step", by the majority of each step; "outcome", the first
            verification whose final verdict is that of the majority is believed; "critique", one verification, reviewed
            by a critic whose own verdicts stand; "hybrid", what "step" keeps, reviewed.
        agree: what is kept agrees with the majority in all steps, or in most of all.
        retries: how often a reply that failed or could not be read is asked for again.

    Raises:
        StepCreditError: n < 1.
    """
    story, size = parts(work), len(work.steps)
    read = partial(read_verification, size=size)
    said = yield from votes(work, verify_prompt(story), read, 1 if decide == "critique" else n, retries=retries)
    told = [one for one in said if not isinstance(one, Failed)]
    facts: dict[str, Any] = {"verifications": len(told), "kept": None}
    if not told:
        why = next(one.reason for one in said if isinstance(one, Failed))
        return work.labels(reasons=(why,) * size, facts=facts)
    table = np.array([one.steps for one in told])
    share = table.mean(axis=0)
    label, kept = _outcome(told) if decide == "outcome" else consensus(table, agree)
    if decide in ("critique", "hybrid") and kept is not None:
        (better,) = yield from asked(work, [review_prompt(story, told[kept].text)], read, retries=retries)
        if isinstance(better, Failed):
            why = f"the critic: {better.reason}"
            return work.labels(value=share, reasons=(why,) * size, facts=facts)
        told[kept], label = better, np.array(better.steps)
    if kept is not None:
        facts |= {"kept": kept, "critique": told[kept].text, "final": told[kept].final}
    return work.labels(label=label, value=share, first_error=first_wrong(label), facts=facts)


def consensus(table: Floats, agree: Literal["all", "most"] = "all") -> tuple[Floats, int | None]:
    """[T] the majority of each step, a tie being wrong, and the row that agrees with it; None = none does.

    Args:
        table: [V, T] verdicts, 1 or 0.

    >>> consensus(np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]]))
    (array([1., 1., 0.]), 0)
    """
    label = (table.mean(axis=0) > 0.5).astype(float)
    same = (table == label).mean(axis=1)
    best = int(np.argmax(same))
    return label, best if same[best] == 1 or (agree == "most" and same[best] > 0.5) else None


def _outcome(told: Sequence[Verification]) -> tuple[Floats, int]:
    right = 2 * sum(one.final for one in told) > len(told)
    kept = next((i for i, one in enumerate(told) if one.final == right), 0)
    return np.array(told[kept].steps), kept


def verify_prompt(story: Sequence[Part]) -> str:
    """Asks for a verdict on every step and on the whole, without a reference."""
    return f"""Verify a solution step by step. There is no answer to compare with: work out each step yourself.

{quoted(*story)}

Say of each step what it does and whether it is right; one that rests on an earlier mistake alone is judged by what it \
does with it. Then end with two lines of this form, L being +1 (right) or -1 (wrong) for every step, and VERDICT right \
or wrong for the final answer:
<labels>1:L, 2:L, 3:L</labels>
<final>VERDICT</final>"""


def review_prompt(story: Sequence[Part], verification: str) -> str:
    """Asks a critic to review a verification and to write it anew."""
    return f"""Review the verification of a solution. Look for steps that it passes although they are wrong, and for \
steps that it faults although they are right. Then write the verification anew, mistakes corrected.

{quoted(*story, ("verification", verification))}

End with two lines of this form, L being +1 (right) or -1 (wrong) for every step, and VERDICT right or wrong for the \
final answer:
<labels>1:L, 2:L, 3:L</labels>
<final>VERDICT</final>"""


def read_verification(reply: str, size: int) -> Verification:
    """A verdict on each of `size` steps, and on the whole.

    Raises:
        Unreadable: no verdicts of the form, or not one for every step.

    >>> read_verification("<labels>1:+1, 2:-1</labels> <final>wrong</final>", 2)[:2]
    ((1.0, 0.0), False)
    """
    found = read_labels(reply, size, neutral=False)
    if len(found) < size:
        raise Unreadable("leaves steps out")
    final = last(reply, "final", "(right|wrong)")[1].lower() == "right"
    return Verification(tuple(float(found[t] > 0) for t in range(size)), final, re.sub(r"\s+\Z", "", reply))
