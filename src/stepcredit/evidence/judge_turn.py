"""A judge's score of every step, one reply each."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.evidence._ask import Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts.turn import (
    passages_prompt,
    principles_prompt,
    read_fraction,
    read_useful,
    read_value,
    value_prompt,
)
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge

Asking = Literal["principles", "passages", "value"]
_HEADED = re.compile(r"^(?=(?:Doc(?:ument)?|Passage|Result)\s*\[?\d{1,6}\b)", re.MULTILINE | re.IGNORECASE)
_BLANK = re.compile(r"\n\s*\n")

CARD = EvidenceCard(
    title="Step scores by a judge, one call per step",
    paper="several: PPR arXiv:2509.25598, Search-R2 arXiv:2602.03647, WebSTAR arXiv:2512.10962",
    bibtex="@misc{judgeturn, title={Step scores by a judge, as in PPR, Search-R2 and WebSTAR}}",
    evidence="official code executed",
    adds=("score", "useful"),
    needs="texts of rollouts; for passages, observations that hold them",
    cost="one judge call per step that is asked about",
    departures=(
        "The prompts ask what PPR's and WebSTAR's official prompts ask, in our words; Search-R2's is not known. Of "
        "several verdicts the last counts, also where PPR's code gives up because the last tag holds no numbers, and "
        "where WebSTAR's takes the first. WebSTAR's code lets a number above 10 pass; here it is not judged. PPR's "
        "trainer turns a step that is not judged into 0 and then shifts it as if it had been, and WebSTAR drops a "
        "rollout of which one call failed; here such a step is NaN, and the others keep their numbers."
    ),
    code="https://github.com/Zhuohao-Li/ppr, https://github.com/yifei-he/CUAStepFiltering",
)

PRESETS = {
    "ppr": Preset(
        {
            "question": "principles",
            "skip_last": True,
            "retries": 10,
            "tags": ("think", "search", "information", "answer"),
        },
        "PPR (official code read, its parser executed): principles, S/M, the answering turn is not judged; ten tries",
        title="PPR: Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks",
        paper="arXiv:2509.25598",
        bibtex=(
            "@misc{xu2025hybrid, "
            "title={Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks}, "
            "author={Xu, Peiran and Li, Zhuohao and Xing, Xiaoying and Zhang, Guannan and Li, Debiao and Shi, Kunyu}, "
            "year={2025}, eprint={2509.25598}, archivePrefix={arXiv}}"
        ),
    ),
    "search-r2": Preset(
        {"question": "passages"},
        "Search-R2 (secondary text): the share of retrieved passages that help",
        title="Search-R2: Enhancing Search-Integrated Reasoning via Actor-Refiner Collaboration",
        paper="arXiv:2602.03647",
        bibtex=(
            "@misc{he2026searchr2, title={Search-R2: Enhancing Search-Integrated Reasoning via Actor-Refiner "
            "Collaboration}, author={He, Bowei and Hu, Minda and Xu, Zenan and Wang, Hongru and Zong, Licheng and "
            "Chen, Yankai and Ma, Chen and Liu, Xue and Zhou, Pluto and King, Irwin}, year={2026}, "
            "eprint={2602.03647}, archivePrefix={arXiv}}"
        ),
    ),
    "webstar": Preset(
        {"question": "value", "retries": 19},
        "WebSTAR (official code read, its pattern executed): 0..10 before the action is taken; 19 tries at most",
        title="WebSTAR: Scalable Data Synthesis for Computer Use Agents with Step-Level Filtering",
        paper="arXiv:2512.10962",
        bibtex=(
            "@misc{he2025webstar, title={WebSTAR: Scalable Data Synthesis for Computer Use Agents with Step-Level "
            "Filtering}, author={He, Yifei and Chawla, Pranit and Souri, Yaser and Som, Subhojit and Song, Xia}, "
            "year={2025}, eprint={2512.10962}, archivePrefix={arXiv}}"
        ),
    ),
}


def passages_of(observation: str) -> list[str]:
    """The passages of an observation: what begins with a heading such as "Doc 1", else what blank lines part.

    >>> passages_of("Doc 1(Title: A) a\\n\\nb\\nDoc 2(Title: B) c")
    ['Doc 1(Title: A) a\\n\\nb', 'Doc 2(Title: B) c']
    """
    headed = [piece for piece in _HEADED.split(observation) if piece.strip()]
    if len(headed) > 1 or _HEADED.match(observation.lstrip()):
        return [piece.strip() for piece in headed if _HEADED.match(piece)]
    return [piece.strip() for piece in _BLANK.split(observation) if piece.strip()]


def judge_turn(
    batch: Batch,
    judge: Judge,
    *,
    question: Asking = "principles",
    skip_last: bool = False,
    tags: Sequence[str] = (),
    passages: Callable[[str], Sequence[str]] = passages_of,
    retries: int = 0,
) -> Batch:
    """The batch with a judge's number for every step: `score`, or `useful` for the passages it retrieved.

        principles   score = S / M     S points of M on principles that the judge sets up, 0 to 1
        value        score = 0..10     expected value of the action, before it is taken
        passages     useful = n / m    n of the m retrieved passages help; NaN: none was retrieved

    Args:
        judge: sees the task, the steps before with what the environment answered, and the step: nothing after it.
        question: what it is asked.
        skip_last: steps that end a rollout, which answer, are not judged.
        tags: text of a turn outside of these tags makes the judge score it 0 (principles).
        passages: cuts an observation into passages.
        retries: how often what failed or could not be read is asked again.

    A step that rollouts share is judged once.

    Raises:
        StepCreditError: no texts.
    """
    asked = _questions(Told(batch, "judge_turn"), question, skip_last, tags, passages)
    found = ask(judge, [q for _, q in asked], retries=retries)
    values = np.full(batch.layout.S, np.nan)
    for (row, _), answer in zip(asked, found.answers, strict=True):
        if answer is not None:
            values[row] = answer
    note = found.note(f"judge_turn, {question}")
    if question == "passages":
        return batch.with_columns(useful=values, note=note)
    return batch.with_columns(score=values, note=note)


def cost(batch: Batch, **options: Any) -> Cost:
    """What `judge_turn` with these options will ask."""
    o = options_of(judge_turn, options)
    told = Told(batch, "judge_turn")
    return cost_of(len(_questions(told, o["question"], o["skip_last"], o["tags"], o["passages"])), o["retries"])


def _questions(
    told: Told, question: Asking, skip_last: bool, tags: Sequence[str], passages: Callable[[str], Sequence[str]]
) -> list[tuple[int, Question[float]]]:
    """(row, question) of every step that is to be judged."""
    ends = set(told.batch.layout.last.tolist()) if skip_last else set()
    made: list[tuple[int, Question[float]]] = []
    for row, step in enumerate(told.steps):
        if row in ends:
            continue
        context = [("task", told.task(row)), *told.story(told.before(row))]
        if question == "principles":
            made.append((row, Question(principles_prompt(context, step, tags=tags), read_fraction)))
        elif question == "value":
            made.append((row, Question(value_prompt(context, step), read_value)))
        elif found := passages(told.results[row] or ""):
            read = partial(read_useful, size=len(found))
            made.append((row, Question(passages_prompt(context, step, found), read)))
    return made
