"""Faithfulness to a reference chain: does what was thought so far make the rest of a good chain likelier?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.errors import DataError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._texts import JOINER, Reference
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Forcer

CARD = EvidenceCard(
    title="P2S: path faithfulness to a gold chain of thought",
    paper="arXiv:2601.20649",
    bibtex="""@inproceedings{zhong2026p2s,
  title={P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering},
  author={Zhong, Wenlin and Liu, Chengyuan and Wu, Yiquan and Tan, Bovin and Sun, Changlong and Wang, Yi and
    Liu, Xiaozhong and Kuang, Kun},
  booktitle={AAAI}, year={2026}}""",
    evidence="secondary text",
    adds=("gain",),
    needs="task and texts of the steps, the right answer and one or more reference chains per task",
    cost="steps x suffixes of the chain forward passes per rollout, as many again for the masked prefixes (one per "
    "suffix with mask='') and one for the answer; candidates: one each",
    departures="How the prefix is masked and whether suffixes of different lengths are normalized is not established: "
    "here the steps are left out (or replaced by `mask`), and log-probabilities are means. The weights over steps and "
    "the mixing with outcomes are a credit method's. Reference chains are given, not sampled here.",
)

PRESETS = {
    "sum": Preset({"length": "sum"}, "P2S's formula as printed: log-probabilities of whole suffixes"),
}

Chains = str | Mapping[Any, Any] | Callable[[Rollout], Any]


def chain_gain(
    batch: Batch,
    forcer: Forcer,
    *,
    chain: Chains = "chain",
    length: Literal["mean", "sum"] = "mean",
    mask: str = "",
    bridge: str = "\n",
    reference: Reference = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with a `gain` per step: how much likelier the rest of the chain is with the steps so far than without.

        gain_t = max_j [ l(s_j | task, steps up to t) - l(s_j | task, masked steps) ]      s_j: the chain from step j on
        gain_T = l(y | task, all steps)                                                    the last step: the answer y

    Args:
        chain: the reference chain of each task: a field of the records, a mapping from group, or a function of the
            record. A list of steps, or text that is cut at `joiner`, or a list of such lists: then the one after which
            y is likeliest is taken (P2S's gold chain). None = there is none: not judged.
        length: l is the mean or the sum of the log-probabilities.
        mask: what stands for the steps; "" = nothing, the task alone.
        bridge: put before the answer.
        reference: right answers, as elsewhere.
        joiner, observations: how prefixes are written.

    Returns:
        gain [S]; a step that rollouts share has the mean of its gains along them.

    Raises:
        DataError: no rollout has a chain; one without a right answer.
    """
    plan = _plan(batch, forcer, chain, length, mask, bridge, reference, joiner, observations)
    score = _scores(_queries.forced(forcer, [*plan.with_steps, *plan.without, *plan.answers], "chain_gain"), length)
    n = len(plan.with_steps)
    walked = np.full(batch.layout.paths.rows.size, np.nan)
    best = np.full(walked.size, -np.inf)
    gains = score[:n] - score[n : 2 * n]
    np.maximum.at(best, plan.places, np.where(np.isnan(gains), -np.inf, gains))
    np.copyto(walked, best, where=np.isfinite(best))
    walked[plan.lasts] = score[2 * n :]
    absent = sum(not c for c in plan.chains)
    note = f"gain: of the rest of a reference chain; {absent:,} of {len(plan.chains):,} rollouts have none"
    return batch.with_columns(gain=batch.layout.merge(walked), note=note)


def cost(
    batch: Batch,
    *,
    chain: Chains = "chain",
    mask: str = "",
    reference: Reference = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Cost:
    """One forward pass per distinct prefix and suffix, and per answer; candidates are at most one more each."""
    candidates = _candidates(batch, chain, joiner)
    several = [c for c in candidates if len(c) > 1]
    tried = len({(r, tuple(c)) for r, cs in enumerate(candidates) if len(cs) > 1 for c in cs})
    longest = [max(cs, key=len) if cs else [] for cs in candidates]
    plan = _pairs(batch, longest, mask, "", reference, joiner, observations)
    pairs = {*plan.with_steps, *plan.without, *plan.answers}
    return Cost({"force": len(pairs) + tried}, at_most=bool(several))


@dataclass(frozen=True)
class _Plan:
    """chains: [R]. with_steps, without: (prefix, suffix) pairs, those of the n-th place of a path and its n-th suffix
    side by side; places: which place. answers: (all steps, answer) of each last place; lasts: which."""

    chains: Sequence[Sequence[str]]
    with_steps: list[tuple[str, str]]
    without: list[tuple[str, str]]
    places: list[int]
    answers: list[tuple[str, str]]
    lasts: list[int]


def _plan(
    batch: Batch,
    forcer: Forcer,
    chain: Chains,
    length: str,
    mask: str,
    bridge: str,
    reference: Reference,
    joiner: str,
    observations: bool,
) -> _Plan:
    candidates = _candidates(batch, chain, joiner)
    answers = _queries.gold(batch, reference, "chain_gain")
    tasks = [r.task or "" for r in _texts.records(batch, "chain_gain")]
    asked = [
        (joiner.join((tasks[r], *one)) + bridge, answers[r])
        for r, several in enumerate(candidates)
        if len(several) > 1
        for one in several
    ]
    score = iter(_scores(_queries.forced(forcer, asked, "chain_gain"), length).tolist())
    chosen: list[Sequence[str]] = []
    for several in candidates:
        likely = [next(score) for _ in several] if len(several) > 1 else [0.0] * len(several)
        known = [i for i, x in enumerate(likely) if x == x]
        chosen.append(several[max(known, key=likely.__getitem__)] if known else [])
    return _pairs(batch, chosen, mask, bridge, reference, joiner, observations)


def _pairs(
    batch: Batch,
    chains: Sequence[Sequence[str]],
    mask: str,
    bridge: str,
    reference: Reference,
    joiner: str,
    observations: bool,
) -> _Plan:
    paths, who = batch.layout.paths, "chain_gain"
    answers = _queries.gold(batch, reference, who)
    tasks = [r.task or "" for r in _texts.records(batch, who)]
    _, after = _texts.prefixes(batch, who, joiner=joiner, observations=observations)
    plan = _Plan(chains, [], [], [], [], [])
    for p, (s, r, left) in enumerate(
        zip(paths.rows.tolist(), paths.rollout.tolist(), paths.left.tolist(), strict=True)
    ):
        if chains[r] and left == 0:
            plan.answers.append((after[s] + bridge, answers[r]))
            plan.lasts.append(p)
        elif chains[r]:
            blind = joiner.join(x for x in (tasks[r], mask) if x)
            for j in range(len(chains[r])):
                suffix = joiner.join(chains[r][j:])
                plan.with_steps.append((after[s] + joiner, suffix))
                plan.without.append((blind + joiner, suffix))
                plan.places.append(p)
    return plan


def _scores(logp: Sequence[Floats], length: str) -> Floats:
    return _queries.mean(logp) if length == "mean" else np.array([x.sum() for x in logp], float)


def _candidates(batch: Batch, chain: Chains, joiner: str) -> list[list[list[str]]]:
    """[R] the chains to choose from, each a list of steps.

    Raises:
        DataError: no rollout has one.
    """
    found = []
    for record in _texts.records(batch, "chain_gain"):
        if callable(chain):
            one = chain(record)
        else:
            one = chain.get(record.group) if isinstance(chain, Mapping) else record.extra.get(chain)
        listed = [one] if isinstance(one, str) or (one and isinstance(one[0], str)) else list(one or ())
        cut = [c.split(joiner) if isinstance(c, str) else [str(x) for x in c] for c in listed]
        found.append([[step for step in c if step] for c in cut])
    if found and not any(found):
        raise DataError("chain_gain needs a reference chain, and no rollout has one", hint="chain=FIELD")
    return [[c for c in several if c] for several in found]
