"""A critique is worth what comes of it: the solution, or the step, is refined by it and compared with what it was."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable, quoted, spoken
from stepcredit.evidence._prompts.steps import read_labels
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import asked, parts
from stepcredit.label.work import Work
from stepcredit.llm.requests import Check, Continue, Failed, Plan, Score
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Enhancing LLM Reasoning via Critique Models with Test-Time and Training-Time Supervision",
    paper="arXiv:2411.16579",
    bibtex="""@misc{xi2024enhancing,
  title={Enhancing {LLM} Reasoning via Critique Models with Test-Time and Training-Time Supervision},
  author={Xi, Zhiheng and Yang, Dingwen and Huang, Jixuan and Tang, Jiafu and Li, Guanyu and Ding, Yiwen and others},
  eprint={2411.16579}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("judge",),
    may_ask=("sampler", "verifier", "scorer"),
    needs="compare='outcome': a reference answer, or a verifier that needs none; compare='score': a scorer of steps",
    cost="compare='outcome': a critique, `tries` refinements and their verdicts per solution; compare='score': a "
    "critique and two scores per step",
    departures="The prompts are ours. The threshold (.3 of 10) is recalled, not read. The reference solution's numbers "
    "are counted where the reference holds any step of it; a bare answer sets no bound.",
    code="https://github.com/WooooDyy/MathCritique",
)

PRESETS = {
    "rearter": Preset(
        {"compare": "score"},
        "ReARTeR's label of an explanation (code read): the scorer prefers the step rewritten by it",
        title="ReARTeR: Retrieval-Augmented Reasoning with Trustworthy Process Rewarding",
        paper="arXiv:2501.07861",
        evidence="official code read",
    ),
    "no-barrier": Preset({"slack": None}, "ours: refinements may be as short as they like"),
}


def refine_and_compare(
    work: Work,
    *,
    compare: Literal["outcome", "score"] = "outcome",
    tries: int = 10,
    threshold: float = 0.3,
    slack: int | None = 2,
    tell: bool = True,
    retries: int = 0,
) -> Plan[Labels]:
    """label_t = what a critique says of step t, kept where it is of use.

        outcome  kept if the share of `tries` refinements by the critique that are accepted is at least `threshold`;
                 accepted: right, and numbers(new) >= min(numbers(reference), numbers(old)) - slack
        score    label_t = 0 if the scorer prefers the step as the critique rewrites it, score(new) > score(old), else 1

    `facts` hold the critique, `accepted` of `tries`, and `kept`; or of each step both scores.

    Args:
        slack: how many numbers fewer a refinement may have, against those that jump to the answer; None: no bound.
        tell: whether the critic is told the right answer, where there is one.
        retries: how often a critique that failed or could not be read is asked for again.

    Raises:
        StepCreditError: tries < 1; a threshold outside [0, 1].
    """
    if tries < 1 or not 0 <= threshold <= 1:
        raise StepCreditError(f"tries is at least 1, threshold in [0, 1]; got {tries}, {threshold}")
    if compare == "score":
        return (yield from _by_score(work, retries))
    size = len(work.steps)
    prompt = critique_prompt(parts(work), work.reference if tell else None)
    (found,) = yield from asked(work, [prompt], partial(read_critique, size=size), retries=retries)
    if isinstance(found, Failed):
        return work.labels(reasons=(found.reason,) * size)
    verdicts, critique = found
    accepted, told, why = yield from _refined(work, critique, tries, slack)
    facts: dict[str, Any] = {"critique": critique, "accepted": accepted, "tries": told}
    facts["kept"] = told > 0 and accepted >= threshold * told
    if not facts["kept"]:
        reason = f"{accepted} of {told} refinements by the critique are accepted" if told else f"no refinement: {why}"
        return work.labels(reasons=(reason,) * size, facts=facts)
    label = np.array(verdicts)
    return work.labels(label=label, first_error=first_wrong(label), facts=facts)


def _refined(work: Work, critique: str, tries: int, slack: int | None) -> Plan[tuple[int, int, str | None]]:
    """Refinements that are accepted, those that could be told, and why others could not."""
    s = work.setting
    prompt = refine_prompt(parts(work), critique)
    (drawn,) = yield [Continue(prompt, "", tries, s.max_tokens, s.temperature, s.stop)]
    if isinstance(drawn, Failed):
        work.book("failed", 1)
        return 0, 0, drawn.reason
    work.book("sample", len(drawn))
    replies = yield [Check(sample.text, work.reference or "") for sample in drawn]
    work.book("verify", len(drawn))
    least = bound(work.reference, "\n".join(work.steps), slack)
    why = next((r.reason for r in replies if isinstance(r, Failed)), None)
    pairs = [(sample, r) for sample, r in zip(drawn, replies, strict=True) if not isinstance(r, Failed)]
    return sum(r >= 0.5 and numbers(sample.text) >= least for sample, r in pairs), len(pairs), why


def _by_score(work: Work, retries: int) -> Plan[Labels]:
    size = len(work.steps)
    prompts = [rewrite_prompt(parts(work, t), t + 1) for t in range(size)]
    said = yield from asked(work, prompts, read_step, retries=retries)
    before = [work.prompt + work.prefix(t - 1) for t in range(size)]
    wanted = [(t, one) for t, one in enumerate(said) if not isinstance(one, Failed)]
    replies = yield [Score(before[t], text) for t, new in wanted for text in (work.steps[t], new)]
    work.book("score", len(replies))
    scores: dict[int, tuple[Any, Any]] = {t: (replies[2 * i], replies[2 * i + 1]) for i, (t, _) in enumerate(wanted)}
    label, why = np.full(size, np.nan), [one.reason if isinstance(one, Failed) else None for one in said]
    for t, both in scores.items():
        failed = next((r for r in both if isinstance(r, Failed)), None)
        why[t] = None if failed is None else failed.reason
        label[t] = np.nan if failed is not None else float(both[1] <= both[0])
    none = (Failed("not asked"),) * 2
    told = [scores.get(t, none) for t in range(size)]
    facts = {
        "scores": [[None if isinstance(r, Failed) else float(r) for r in both] for both in told],
        "rewritten": [None if isinstance(one, Failed) else one for one in said],
    }
    return work.labels(label=label, first_error=first_wrong(label), reasons=tuple(why), facts=facts)


def numbers(text: str) -> int:
    """How many groups of digits a text has.

    >>> numbers("48 / 2 = 24, so 24.")
    4
    """
    return len(re.findall(r"\d+", text))


def bound(reference: str | None, old: str, slack: int | None) -> int:
    """Least numbers of a refinement that does not jump to its answer.

    >>> bound("1 2 3 4 5 6 7 8 9", "1 2 3 4 5 6 7", 2), bound("9", "1 2 3 4 5", 2), bound(None, "1 2 3", None)
    (5, 3, 0)
    """
    if slack is None:
        return 0
    gold = numbers(reference or "")
    return max(0, (min(gold, numbers(old)) if gold > 1 else numbers(old)) - slack)


def critique_prompt(story: Sequence[Part], reference: str | None) -> str:
    """Asks for a critique, with a verdict on every step."""
    answer = [] if reference is None else [("right answer", reference)]
    return f"""Criticize a solution step by step, so that its author can mend it. Do not tell the right answer.

{quoted(*story, *answer)}

Say of each step whether it is right, and where it is wrong, why and what to do instead. Then end with one line of \
this form that gives every step its label L, +1 (right) or -1 (wrong):
<labels>1:L, 2:L, 3:L</labels>"""


def refine_prompt(story: Sequence[Part], critique: str) -> str:
    """Asks for the solution anew, by a critique of it."""
    return f"""Solve a task again. A solution of yours was criticized.

{quoted(*story, ("critique", critique))}

Write the whole solution anew, step by step, with what the critique is right about mended, and its final answer.
"""


def rewrite_prompt(story: Sequence[Part], step: int) -> str:
    """Asks what could be wrong with a step, and for the step anew."""
    return f"""Explain what is weak or wrong about step {step} of a solution, and write that step anew. Where nothing \
is, write it as it is.

{quoted(*story)}

End with the step between these marks:
<step>...</step>"""


def read_critique(reply: str, size: int) -> tuple[list[float], str]:
    """[T] 1 right, 0 wrong, and the critique without the line of labels.

    Raises:
        Unreadable: no labels of the form, or not one for every step.
    """
    found = read_labels(reply, size, neutral=False)
    if len(found) < size:
        raise Unreadable("leaves steps out")
    text = re.sub(r"<labels>[^<]*</labels>", "", spoken(reply)).strip()
    return [float(found[t] > 0) for t in range(size)], text


def read_step(reply: str) -> str:
    """The step anew.

    Raises:
        Unreadable: there is none.
    """
    _, opened, rest = spoken(reply).rpartition("<step>")
    text, closed, _ = rest.partition("</step>")
    if not (opened and closed) or text.strip() in ("", "..."):
        raise Unreadable("no <step>")
    return text.strip()
