"""Tool calls against a reference's: how much of the reference did each turn do?"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import DataError, UnknownName
from stepcredit.evidence import _texts
from stepcredit.evidence._answers import between, token_f1
from stepcredit.evidence._calls import Call, read, read_gold
from stepcredit.evidence._match import Assign, best_pairs, greedy_pairs, transport
from stepcredit.evidence.card import EvidenceCard

CARD = EvidenceCard(
    title="MatchTIR: turn rewards by matching tool calls",
    paper="arXiv:2601.10712",
    bibtex="""@misc{qu2026matchtir,
  title={MatchTIR: Fine-Grained Supervision for Tool-Integrated Reasoning via Bipartite Matching},
  author={Qu, Changle and Dai, Sunhao and Cai, Hengyi and Xu, Jun and Wang, Shuaiqiang and Yin, Dawei},
  eprint={2601.10712}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/quchangle1/MatchTIR",
    evidence="official code executed",
    adds=("reward",),
    needs="the reference's tool calls per task (name and parameters, in any order), tool calls in the records, and "
    "(if it counts) the reference's final answer",
    departures="The official code calls its greedy pairing Hungarian; assign='hungarian' is the optimal one. A call "
    "whose arguments are no JSON object matches nothing; the official code stops there. No reference calls: every call "
    "is unmatched; the official transport divides by zero.",
)

PRESETS = {
    "hard": Preset({"assign": "greedy"}, "MatchTIR utils/reward_score/tool.py compute_process_KM, as trained"),
    "hard-penalty": Preset(
        {"assign": "greedy", "unmatched": -0.5}, "the same with the default of assign_rewards_hungarian"
    ),
    "hungarian": Preset({"assign": "hungarian"}, "the pairing of the largest total, which the official code names"),
    "soft": Preset({"assign": "transport"}, "MatchTIR utils/reward_score/tool.py compute_process_ot"),
}


def similarity(call: Call, gold: Call) -> float:
    """How much of a reference call another one is, 0 to 1.

        S = 0 where the names differ (case aside), else (1 + J + V) / (2 + n)

    J: shared share of the parameter names, 1 if there are none on either side; V: how many of the reference's n
    parameters have its value. A call whose parameters cannot be read has similarity 0 to all.

    >>> similarity(Call("search", {"q": "x", "n": 5}), Call("Search", {"q": "x", "n": 3}))
    0.75
    """
    if call.name.lower() != gold.name.lower() or call.parameters is None or gold.parameters is None:
        return 0.0
    mine, theirs = call.parameters, gold.parameters
    shared = len(mine.keys() & theirs.keys())
    either = len(mine.keys() | theirs.keys())
    names = shared / either if either else 1.0
    values = sum(k in mine and bool(mine[k] == v) for k, v in theirs.items())
    return (1 + names + values) / (2 + len(theirs))


def call_rewards(
    calls: Sequence[Call],
    gold: Sequence[Call],
    *,
    assign: Assign = "greedy",
    unmatched: float = 0.0,
    reg: float = 0.1,
) -> Floats:
    """[calls] reward of each call against the reference's calls. Options as in `tool_match`."""
    if assign not in _PAIRS and assign != "transport":
        raise UnknownName("assignment of calls", assign, (*_PAIRS, "transport"))
    if not calls or not gold:
        return np.full(len(calls), unmatched if assign != "transport" else 0.0)
    table = np.array([[similarity(c, g) for g in gold] for c in calls])
    if assign == "transport":
        planned: Floats = (transport(table, reg) * table).sum(axis=1)
        return planned
    to = _PAIRS[assign](table)
    return np.where(to < 0, unmatched, table[np.arange(len(calls)), to])


_PAIRS = {"greedy": greedy_pairs, "hungarian": best_pairs}


def tool_match(
    batch: Batch,
    *,
    reference: _texts.Reference = "gold_calls",
    answer: _texts.Reference = "answer",
    assign: Assign = "greedy",
    unmatched: float = 0.0,
    reg: float = 0.1,
    answer_tag: str = "answer",
) -> Batch:
    """The batch with a `reward` per turn: the mean of what its tool calls match of the reference's.

        greedy, hungarian:  r_call = S(call, its partner), or `unmatched`
        transport:          r_call = sum_q T_q S(call, q), T by Sinkhorn with masses 1/|calls| and 1/|reference|
        r_turn = mean of its calls; 0 without any; F1 of the words with the answer where the turn answers

    All calls of a rollout are matched with the reference at once, in any order.

    Args:
        reference: the reference's calls: a field of the rollouts (a list of {"name", "arguments"}), a mapping from
            group, or a function of the record.
        answer: the reference's answer, alike; None: a turn that answers is like any other without calls.
        assign: "greedy", the most similar free pair first (the official code); "hungarian", the largest total;
            "transport", soft.
        unmatched: reward of a call without a partner.
        reg: entropy of the transport.
        answer_tag: a turn with <answer>...</answer> in its text answers; its calls do not count. F1 is of lower-case
            words, each once, with the first such answer.

    Raises:
        StepCreditError: the batch has no records. DataError: a rollout without a reference, or one that is no list of
        calls. MissingExtra: "hungarian" without scipy.
    """
    gold = [read_gold(g, "tool_match") for g in _texts.references(batch, reference, "tool_match")]
    steps = _texts.steps(batch, "tool_match")
    said = [_tagged(s.text or "", answer_tag) for s in steps]
    answers = _answers(batch, answer, any(text is not None for text in said))
    calls = [[] if said[i] is not None else [read(c) for c in s.tool_calls] for i, s in enumerate(steps)]
    paths = batch.layout.paths
    walked = np.zeros(paths.rows.size)
    for r in range(batch.layout.R):
        start, end = int(paths.start[r]), int(paths.start[r + 1])
        rows = paths.rows[start:end].tolist()
        mine = [c for row in rows for c in calls[row]]
        rewards = call_rewards(mine, gold[r], assign=assign, unmatched=unmatched, reg=reg)
        walked[start:end] = _per_turn(rewards, [len(calls[row]) for row in rows])
        for at, row in enumerate(rows):
            text = said[row]
            if text is not None and answers[r] is not None:
                walked[start + at] = token_f1(text, str(answers[r]), unique=True)
    return batch.with_columns(reward=batch.layout.merge(walked), note=_note(batch, assign, calls))


def _tagged(text: str, tag: str) -> str | None:
    """What the first <tag>...</tag> holds."""
    found = between(text, re.compile(re.escape(f"<{tag}>")), re.compile(re.escape(f"</{tag}>")))
    return next((text[start:end] for start, end in found), None)


def _answers(batch: Batch, answer: _texts.Reference, needed: bool) -> list[Any]:
    if answer is None or not needed:
        return [None] * batch.layout.R
    try:
        return _texts.references(batch, answer, "tool_match")
    except DataError as error:
        hint = "answer=FIELD names it; answer=None: a turn that answers earns nothing of its own"
        raise DataError(error.what, rollout=error.rollout, got=error.got, hint=hint) from None


def _per_turn(rewards: Floats, counts: Sequence[int]) -> Floats:
    """Mean of the rewards of each turn; 0 for a turn without calls."""
    turn = np.repeat(np.arange(len(counts)), counts)
    total = np.bincount(turn, weights=rewards, minlength=len(counts))
    return total / np.maximum(counts, 1)


def _note(batch: Batch, assign: str, calls: Sequence[Sequence[Call]]) -> str:
    n = sum(map(len, calls))
    unread = sum(c.parameters is None for one in calls for c in one)
    note = f"reward: {n} tool calls matched with the reference's ({assign})"
    note += f", {unread} of them unreadable: their arguments are no JSON object" if unread else ""
    return note + ("; it replaces the rewards that were there" if "reward" in batch else "")
