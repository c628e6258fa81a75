"""A judge's reflection on a rollout: from which step to try again, and how."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.evidence._ask import Asked, Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts import Part
from stepcredit.evidence._prompts.reflection import (
    Reflection,
    accept_prompt,
    read_accept,
    read_reflection,
    reflection_prompt,
)
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge

__all__ = ["CARD", "PRESETS", "Reflection", "cost", "reflect", "reflections"]

Asking = Literal["reflection", "accept"]

CARD = EvidenceCard(
    title="Reflection: the step to retry from",
    paper="several: R3L arXiv:2601.03715, Search-R2 arXiv:2602.03647",
    bibtex=(
        "@misc{shi2026r3l, title={R3L: Reflect-then-Retry Reinforcement Learning with Language-Guided Exploration, "
        "Pivotal Credit, and Positive Amplification}, author={Shi, Weijie and Chen, Yanxi and Li, Zexi and Pan, Xuchen "
        "and Sun, Yuchang and Xu, Jiajie and Zhou, Xiaofang and Li, Yaliang}, year={2026}, eprint={2601.03715}, "
        "archivePrefix={arXiv}}"
    ),
    evidence="official code executed",
    adds=("pivot",),
    needs="texts of rollouts",
    cost="one judge call per rollout",
    departures=(
        "The prompts ask for what R3L's asks, in our words and one message; Search-R2 asks for acceptance and cut in "
        "two, and its prompts are not known. A step of 1e999 crashes R3L's check; here it is not valid."
    ),
    code="https://github.com/shiweijiezero/R3L",
)

PRESETS = {
    "r3l": Preset(
        {"question": "reflection"},
        "R3L (official code executed: from the first brace to the last; which reports are valid)",
    ),
    "search-r2": Preset(
        {"question": "accept", "threshold": 0.5},
        "Search-R2 (derived): accepted if the chance is above the threshold, else cut at the first flawed step",
        title="Search-R2: Enhancing Search-Integrated Reasoning via Actor-Refiner Collaboration",
        paper="arXiv:2602.03647",
        bibtex=(
            "@misc{he2026searchr2, title={Search-R2: Enhancing Search-Integrated Reasoning via Actor-Refiner "
            "Collaboration}, author={He, Bowei and Hu, Minda and Xu, Zenan and Wang, Hongru and Zong, Licheng and "
            "Chen, Yankai and Ma, Chen and Liu, Xue and Zhou, Pluto and King, Irwin}, year={2026}, "
            "eprint={2602.03647}, archivePrefix={arXiv}}"
        ),
    ),
}


def reflect(
    batch: Batch, judge: Judge, *, question: Asking = "reflection", threshold: float = 0.5, retries: int = 0
) -> Batch:
    """The batch with `pivot`: the step from which each rollout is to be tried again; -1 = it is not.

    Steps before the pivot are kept. With "accept" the chance that the rollout is good is a column `accept` on [R].

    Args:
        judge: sees the task and all steps, numbered from 0, with what the environment answered.
        question: "reflection": root cause, lesson and step, as JSON. "accept": the chance that the rollout is good as
            it is, and its first flawed step.
        threshold: a chance above it accepts the rollout; one that is not accepted and names no step is tried again
            from the start.
        retries: how often what failed or could not be read is asked again.

    A rollout without steps is not asked about. For the texts of the reflections see `reflections`.

    Raises:
        StepCreditError: no texts.
    """
    found = _asked(batch, judge, question, retries)
    pivot, accept = np.full(batch.layout.R, -1), np.full(batch.layout.R, np.nan)
    for r, one in _answers(batch, found):
        if one is None:
            continue
        pivot[r] = -1 if one.pivot is None else one.pivot
        if one.accept is not None:
            accept[r] = one.accept
            pivot[r] = -1 if one.accept > threshold else one.pivot or 0
    retried = f"{int(np.sum(pivot >= 0)):,} rollouts to be tried again"
    made = batch.with_columns(pivot=pivot, note=f"{found.note(f'reflect, {question}')}; {retried}")
    return made.with_columns(axis="R", accept=accept) if question == "accept" else made


def reflections(
    batch: Batch, judge: Judge, *, question: Asking = "reflection", retries: int = 0
) -> list[Reflection | None]:
    """[R] the reflection on each rollout, with its suggestion and its text; None: not judged, or no step."""
    made: list[Reflection | None] = [None] * batch.layout.R
    for r, one in _answers(batch, _asked(batch, judge, question, retries)):
        made[r] = one
    return made


def cost(batch: Batch, **options: Any) -> Cost:
    """What `reflect` with these options will ask."""
    o = options_of(reflect, options)
    return cost_of(len(_rollouts(batch)), o["retries"])


def _rollouts(batch: Batch) -> list[int]:
    return np.flatnonzero(batch.layout.steps > 0).tolist()


def _answers(batch: Batch, found: Asked[Reflection]) -> list[tuple[int, Reflection | None]]:
    return list(zip(_rollouts(batch), found.answers, strict=True))


def _asked(batch: Batch, judge: Judge, question: Asking, retries: int) -> Asked[Reflection]:
    told = Told(batch, "reflect")
    prompt, read = (accept_prompt, read_accept) if question == "accept" else (reflection_prompt, read_reflection)
    asked = []
    for r in _rollouts(batch):
        rows = told.paths[r]
        story: Sequence[Part] = [("task", told.tasks[r]), *told.story(rows, first=0)]
        asked.append(Question(prompt(story, len(rows)), partial(read, steps=len(rows))))
    return ask(judge, asked, retries=retries)
