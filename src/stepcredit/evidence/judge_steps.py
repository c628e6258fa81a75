"""Verdicts of a judge on the steps of a rollout, all in one reply."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.errors import StepCreditError
from stepcredit.evidence._ask import Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts.steps import (
    Story,
    carried,
    draw_of,
    labels_prompt,
    read_labels,
    read_wrong,
    signals_prompt,
    wrong_steps_prompt,
)
from stepcredit.evidence._texts import Reference, references
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge

Asking = Literal["labels", "wrong_steps", "signals"]
Tell = Literal["nothing", "reference", "outcome", "both"]
_PROMPT = {"labels": labels_prompt, "wrong_steps": wrong_steps_prompt, "signals": signals_prompt}
_READ: dict[Asking, Callable[..., dict[int, float]]] = {
    "labels": read_labels,
    "wrong_steps": read_wrong,
    "signals": partial(read_labels, neutral=False),
}

CARD = EvidenceCard(
    title="Step verdicts by a judge",
    paper="several: CAPO arXiv:2508.02298, TP-GRPO arXiv:2507.23317",
    bibtex="@misc{judgesteps, title={Step verdicts by a judge, as in CAPO and TP-GRPO}}",
    evidence="secondary text",
    adds=("label", "votes"),
    needs="texts of rollouts; what the judge is told: the right answer, or the outcome",
    cost="one judge call per rollout and critique",
    departures=(
        "The prompts are ours: neither paper's was to be had. A reply that cannot be read is not judged; a third-party "
        "CAPO takes it as no wrong step (unread='right'). A step that rollouts share is judged in the one that stores "
        "it."
    ),
)


def _capo(options: dict[str, Any], source: str) -> Preset:
    return Preset(
        {"question": "wrong_steps", "tell": "reference", **options},
        source,
        title="CAPO: Towards Enhancing LLM Reasoning through Generative Credit Assignment",
        paper="arXiv:2508.02298",
        bibtex=(
            "@misc{xie2025capo, title={CAPO: Towards Enhancing LLM Reasoning through Generative Credit Assignment}, "
            "author={Xie, Guofu and Shi, Yunsheng and Tian, Hongtao and Yao, Ting and Zhang, Xiao and Xu, Jun}, "
            "year={2025}, eprint={2508.02298}, archivePrefix={arXiv}}"
        ),
    )


PRESETS = {
    "capo": _capo(
        {"critiques": 4}, "CAPO (secondary text): sets of wrong steps, four critiques, the right answer told"
    ),
    "capo-greedy": _capo({"critiques": 1}, "CAPO's single deterministic critique (secondary text)"),
    "capo-port": _capo(
        {"critiques": 4, "unread": "right"}, "a third-party port of CAPO: what cannot be read is no wrong step"
    ),
    "tp-grpo": Preset(
        {"question": "signals", "tell": "outcome", "missing_label": "previous"},
        "TP-GRPO (abstract and secondary text): signs inside the solution, the outcome told; a missing label is the "
        "one before it (suggested)",
        title="Good Learners Think Their Thinking: Generative PRM Makes Large Reasoning Model More Efficient Math "
        "Learner",
        paper="arXiv:2507.23317",
        bibtex=(
            "@misc{he2025tpgrpo, title={Good Learners Think Their Thinking: Generative PRM Makes Large Reasoning Model "
            "More Efficient Math Learner}, author={He, Tao and Mu, Rongchuan and Liao, Lizi and Cao, Yixin and Liu, "
            "Ming and Qin, Bing}, year={2025}, eprint={2507.23317}, archivePrefix={arXiv}}"
        ),
    ),
}


def judge_steps(
    batch: Batch,
    judge: Judge,
    *,
    question: Asking = "labels",
    critiques: int | None = None,
    tell: Tell = "nothing",
    reference: Reference = None,
    missing_label: Literal["not_judged", "previous"] = "not_judged",
    unread: Literal["not_judged", "right"] = "not_judged",
    observations: bool = True,
    retries: int = 0,
) -> Batch:
    """The batch with a judge's verdict on every step: `label` (+1, 0, -1), or `votes` of several critiques.

    Args:
        judge: sees one rollout at a time, its steps numbered.
        question: "labels": +1, 0 or -1 for each step. "wrong_steps": the numbers of the wrong ones, the others are
            right. "signals": right or wrong, by the signs that the solution itself gives.
        critiques: how often each rollout is judged, independently; the verdicts are the columns of `votes`. None: once,
            into `label`.
        tell: what the judge is told: the right answer ("reference"), whether the outcome is right (0.5 or more,
            "outcome"), both or neither. A rollout whose outcome is unknown is then not asked about.
        reference: what the right answer is: a field of the record, a mapping from group, a function of the record.
        missing_label: a step that the reply leaves out is not judged, or has the label before it.
        unread: a reply that failed or cannot be read: not judged, or all steps right.
        observations: whether the judge sees what the environment answered.
        retries: how often what failed or could not be read is asked again.

    Raises:
        StepCreditError: no texts. DataError: a right answer is to be told and there is none. MissingColumn: the
        outcome is to be told and there is none.
    """
    told = Told(batch, "judge_steps")
    asked = _questions(told, question, critiques, tell, reference, observations)
    found = ask(judge, [q for _, _, q in asked], retries=retries)
    votes = np.full((batch.layout.S, critiques or 1), np.nan)
    left_out = 0
    for (r, draw, _), verdict in zip(asked, found.answers, strict=True):
        rows, own = np.array(told.paths[r]), told.own(r)
        if verdict is None:
            votes[rows[own], draw] = 1.0 if unread == "right" else np.nan
            continue
        full = carried(verdict, rows.size) if missing_label == "previous" else verdict
        values = np.array([full.get(i, np.nan) for i in range(rows.size)])[own]
        votes[rows[own], draw] = values
        left_out += int(np.isnan(values).sum())
    note = found.note(f"judge_steps, {question}", "taken as right" if unread == "right" else "not judged")
    if left_out:
        note += f"; {left_out:,} steps left out of a reply"
    skipped = len(told.owned) - len({r for r, _, _ in asked})
    if skipped:
        note += f"; {skipped:,} rollouts of unknown outcome not asked about"
    if critiques is None:
        return batch.with_columns(label=votes[:, 0], note=note)
    return batch.with_columns(votes=votes, note=note)


def cost(batch: Batch, **options: Any) -> Cost:
    """What `judge_steps` with these options will ask."""
    o = options_of(judge_steps, options)
    told = Told(batch, "judge_steps")
    asked = _questions(told, o["question"], o["critiques"], o["tell"], o["reference"], o["observations"])
    return cost_of(len(asked), o["retries"])


def _questions(
    told: Told, question: Asking, critiques: int | None, tell: Tell, reference: Reference, observations: bool
) -> list[tuple[int, int, Question[dict[int, float]]]]:
    """(rollout, draw, question) of all that is to be asked."""
    batch = told.batch
    answers = references(batch, reference, told.who) if tell in ("reference", "both") else None
    outcomes = None
    if tell in ("outcome", "both"):
        if "outcome" not in batch:
            raise missing("outcome", batch, f"{told.who} with tell={tell!r}")
        outcomes = batch["outcome"]
    if critiques is not None and critiques < 1:
        raise StepCreditError(f"critiques={critiques}", hint="1 or more; None: one verdict, into `label`")
    made = []
    for r in told.owned:
        if outcomes is not None and np.isnan(outcomes[r]):
            continue
        rows = told.paths[r]
        story = Story(
            told.tasks[r],
            told.story(rows, results=observations),
            None if answers is None else str(answers[r]),
            None if outcomes is None else float(outcomes[r]),
        )
        prompt, draws = _PROMPT[question](story), critiques or 1
        read = partial(_READ[question], size=len(rows))
        made += [(r, d, Question(prompt + draw_of(d + 1, draws), read)) for d in range(draws)]
    return made
