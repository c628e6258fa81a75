"""Blend-ASC: the next samples of a self-consistency vote go to the questions that are settled least."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.ops import cells, chance_above, log_beta, nth

Confidence = Literal["blend", "asc", "ppr", "streak"]

CARD = Card(
    title="Blend-ASC: Optimal Self-Consistency for Efficient Reasoning with Large Language Models",
    paper="arXiv:2511.12309",
    bibtex="""@article{feng2025optimal,
  title={Optimal Self-Consistency for Efficient Reasoning with Large Language Models},
  author={Feng, Austin and Alonso, Marius and Odonnat, Ambroise},
  journal={arXiv:2511.12309}, year={2025}}""",
    evidence="derived",
    per="task",
    needs="the final answer of each rollout (`answer`)",
    bias="The most frequent answer is taken for the right one: a question whose mode is wrong takes samples too, and "
    "settles on it. Two answers of nearly equal chance never settle: such a question takes all that is left of the "
    "budget unless `most` or rule='threshold' stops it.",
    departures="That the two scores are blended, early ASC and late PPR, without thresholds and for any budget, is in "
    "the abstract and in reviews; the linear weight t / budget and handing out several samples at once are ours.",
    pools={"rule": "lowest", "confidence": "blend"},
)

_STOP = {"rule": "threshold"}
PRESETS = {
    "threshold": Preset(_STOP, "sampling goes on in turn for every question that is not settled: no question starves"),
    "asc": Preset(
        {**_STOP, "confidence": "asc"},
        "Adaptive-Consistency, its beta criterion at 0.95",
        system="adaptive_consistency",
        title="Adaptive-Consistency: Let's Sample Step by Step",
        paper="arXiv:2305.11860",
        bibtex="""@inproceedings{aggarwal2023lets,
  title={Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning and Coding with LLMs},
  author={Aggarwal, Pranjal and Madaan, Aman and Yang, Yiming and {Mausam}},
  booktitle={EMNLP}, year={2023}}""",
        evidence="derived",
    ),
    "ppr": Preset(
        {**_STOP, "confidence": "ppr", "settled": 0.9, "least": 4},
        "PPR-1v1, prior-posterior ratio of the two leading answers, at 0.1 and from four samples on",
        system="ppr_1v1",
        title="PPR-1v1: PAC Mode Estimation using PPR Martingale Confidence Sequences",
        paper="arXiv:2109.05047",
        bibtex="""@inproceedings{jain2022pac,
  title={PAC Mode Estimation using PPR Martingale Confidence Sequences},
  author={Jain, Shubham Anand and Shah, Rohan and Gupta, Sanit and Mehta, Denil and Nair, Inderjeet J. and others},
  booktitle={AISTATS}, year={2022}}""",
        evidence="derived",
    ),
    "esc": Preset(
        {**_STOP, "confidence": "streak", "settled": 1.0},
        "early-stopping self-consistency, a window of five",
        system="esc",
        title="ESC: Escape Sky-high Cost, Early-stopping Self-Consistency for Multi-step Reasoning",
        paper="arXiv:2401.10480",
        bibtex="""@inproceedings{li2024escape,
  title={Escape Sky-high Cost: Early-stopping Self-Consistency for Multi-step Reasoning},
  author={Li, Yiwei and Yuan, Peiwen and Feng, Shaoxiong and Pan, Boyuan and Wang, Xinglin and Sun, Bin and others},
  booktitle={ICLR}, year={2024}}""",
        waives={"permutation": "only the last answers count, in the order in which they were drawn"},
        evidence="derived",
    ),
}


def blend_asc(
    layout: Layout,
    answer: Ints,
    *,
    confidence: Confidence = "blend",
    rule: Literal["lowest", "threshold"] = "lowest",
    budget: int = 8,
    draws: int = 1,
    settled: float = 0.95,
    least: int = 1,
    most: int | None = None,
    categories: int = 2,
    window: int = 5,
) -> Selection:
    """Which questions get the next samples. No rollout is left out.

        asc    = chance that Beta(a + 1, b + 1) is above 1/2      a, b: samples of the two most frequent answers
        ppr    = 1 - min(1, (categories - 1) * density of Beta(a + 1, b + 1) at 1/2)
        blend  = (1 - t) asc + t ppr,   t = samples drawn / (budget * questions), at most 1
        streak = equal answers at the end, over `window`, at most 1

    Args:
        answer: [R] final answer; equal ids are equal answers. A missing one has an id of its own: it speaks for itself.
        confidence: which of the four.
        rule: one more sample for each of the `draws` questions of "lowest" confidence (ties: those of fewer samples)
            while the budget lasts; or for every question below the "threshold" `settled`, without a budget.
        budget: samples per question of the training batch, on average.
        draws: samples to hand out, one per question.
        settled: confidence from which a question is settled.
        least, most: samples per question: all get `least` before any gets more; None = no upper bound.
        categories: answers that there can be.
        window: length of a streak.

    Returns:
        Selection with more [G] and priority [G], 1 - confidence. A rollout without steps is no sample: it stands for a
        question that was not asked yet.

    >>> two = Layout(group=np.array([0, 0, 0, 0, 1, 1, 1, 1]), rollout=np.arange(8))
    >>> made = blend_asc(two, np.array([5, 5, 5, 5, 3, 3, 4, 4]), confidence="asc")
    >>> made.more, made.priority
    (array([0, 1]), array([0.03125, 0.5    ]))
    """
    drawn = np.flatnonzero(layout.steps > 0)
    question, batch = layout.group[drawn], np.zeros(layout.G, np.int64)
    batch[layout.group] = layout.batches
    there = np.bincount(layout.group, minlength=layout.G) > 0
    n = np.bincount(question, minlength=layout.G)
    total = budget * np.bincount(batch[there], minlength=int(batch.max(initial=0)) + 1)
    spent = np.bincount(batch, weights=n, minlength=total.size)
    sure = _confidence(
        confidence, question, answer[drawn], n, np.minimum(spent / np.maximum(total, 1), 1)[batch], categories, window
    )
    more = np.where(there & (n < least), least - n, 0)
    open_ = there & (more == 0) & (n < (np.inf if most is None else most))
    if rule == "threshold":
        more[open_ & (sure < settled)] = 1
    else:
        first = np.bincount(batch, weights=more, minlength=total.size) > 0
        left = np.where(first, 0, np.minimum(draws, total - spent))
        # Equal chances differ by the dust of the beta function.
        more[open_ & (nth(batch, ~open_, sure.round(9), n) < left[batch])] = 1
    return Selection(np.zeros(layout.R, np.int64), more=more, priority=np.where(there, 1.0 - sure, np.nan))


def _confidence(
    kind: Confidence, question: Ints, answer: Ints, n: Ints, t: Floats, categories: int, window: int
) -> Floats:
    """[G] how settled each question is. question, answer: per sample, in the order drawn."""
    same = cells(question, answer)
    if kind == "streak":
        # The answers after the last that differs from its question's latest.
        latest, turn = np.zeros(n.size, np.int64), nth(question)
        last = turn == n[question] - 1
        latest[question[last]] = same[last]
        broken = np.full(n.size, -1)
        np.maximum.at(broken, question, np.where(same == latest[question], -1, turn))
        return np.asarray(np.minimum((n - 1 - broken) / window, 1.0))
    count = np.bincount(same)
    holder = np.zeros(count.size, np.int64)
    holder[same] = question
    rank = nth(holder, -count)
    a, b = np.zeros(n.size, np.int64), np.zeros(n.size, np.int64)
    a[holder[rank == 0]], b[holder[rank == 1]] = count[rank == 0], count[rank == 1]
    asc = chance_above(0.5, a + 1, b + 1)
    density = np.exp(-(a + b) * np.log(2.0) - log_beta(a + 1, b + 1))
    ppr = 1.0 - np.minimum(1.0, (categories - 1) * density)
    return asc if kind == "asc" else ppr if kind == "ppr" else (1 - t) * asc + t * ppr
