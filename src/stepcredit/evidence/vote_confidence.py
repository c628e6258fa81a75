"""Outcomes without a verifier: does a rollout agree with the answer that most, or the surest, of its peers gave?"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats, Layout
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.evidence._answers import Answers, answers_of
from stepcredit.evidence.card import EvidenceCard
from stepcredit.ops import pareto_front, step_mean

Source = Literal["top_logp", "token_logp", "confidence"]

CARD = EvidenceCard(
    title="Pseudo-labels by vote: TTRL and SCOPE",
    paper="arXiv:2512.15146",
    bibtex=(
        "@misc{wang2025scope, title={Beyond Majority Voting: Towards Fine-grained and More Reliable Reward Signal for "
        "Test-Time Reinforcement Learning}, author={Wang, Weiqin and Wang, Yile and Chen, Kehao and Huang, Hui}, "
        "year={2025}, eprint={2512.15146}, archivePrefix={arXiv}}"
    ),
    evidence="official code executed",
    adds=("confidence", "outcome"),
    needs="several rollouts per task, their answers, the largest log-probabilities at each token (or `confidence`)",
    departures=(
        "In the official code answers are paired with confidences after rollouts without an answer were dropped from "
        "the one list alone, so later answers weigh with the wrong confidence; here each weighs with its own. Its "
        "sampler asks for the sampled token's log-probability only (logprobs=0), which makes unlikely text weigh more; "
        "that is source='token_logp'. An empty step makes its rollout's confidence NaN there; here it is left out. A "
        "vote in which nobody has an answer gives the label 'None' and reward 0 there; here such rollouts are not "
        "judged. Sizes must divide the group there; here the last subgroup is smaller."
    ),
    code="https://github.com/szu-tera/SCOPE",
)

PRESETS = {
    "scope": Preset(
        {"weigh": "confidence", "subgroup": "pareto", "draw": 32, "trade": 0.7},
        "SCOPE (official code executed): subgroups of the size that the batch picks, 32 votes drawn for each",
        "scope_ttrl",
        "SCOPE: subgroup-specific step-wise confidence-weighted pseudo-label estimation",
    ),
    "scope-code": Preset(
        {"weigh": "confidence", "subgroup": "pareto", "draw": 32, "trade": 0.7, "decimals": 3, "source": "token_logp"},
        "szu-tera/SCOPE 0c45ca7 as shipped: confidence of the sampled token alone, rounded to 3 decimals",
    ),
    "ttrl": Preset(
        {"weigh": "count", "subgroup": None, "draw": None},
        "TTRL: the majority answer of all rollouts of the task",
        "ttrl",
        "TTRL: Test-Time Reinforcement Learning",
        "arXiv:2504.16084",
        "@misc{zuo2025ttrl, title={TTRL: Test-Time Reinforcement Learning}, author={Zuo, Yuxin and others}, "
        "year={2025}, eprint={2504.16084}, archivePrefix={arXiv}}",
        evidence="paper",
    ),
}


def vote_confidence(
    batch: Batch,
    *,
    answers: Answers = None,
    simplify: Callable[[str], str] = str.strip,
    source: Source = "top_logp",
    top_logp: ArrayLike | Sequence[ArrayLike] | None = None,
    decimals: int | None = None,
    weigh: Literal["confidence", "count"] = "confidence",
    subgroup: int | Literal["pareto"] | None = None,
    sizes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    draw: int | None = None,
    trade: float = 0.7,
    seed: int = 0,
) -> Batch:
    """The batch with `outcome` by vote, 1 where a rollout's answer is its subgroup's pseudo-label, and `confidence`.

        c_k = -mean of the log-probabilities returned at token k; a token without any does not count
        c_t = mean of c_k over the step's tokens;  c_i = mean of c_t over the rollout's steps
        label = the answer with the largest sum of c_i (or the most votes) among the rollouts that vote

    Args:
        answers: final answers: a field of the record, one per rollout, a function of the record; None: from <answer>,
            \\boxed or "Answer:" in the last text. A rollout without one agrees with nothing.
        simplify: answers are the same if this makes them equal texts.
        source: what confidence is made of: "top_logp", the largest log-probabilities at each token; "token_logp", that
            of the sampled token (so that likely text weighs less); "confidence", the column that is there.
        top_logp: [K, k], NaN where fewer were returned, or one list per token; None: the column `token_top_logp`.
        decimals: round c_k to so many.
        weigh: "count" is the plain majority, and needs no confidence.
        subgroup: rollouts per label, in their order; None: one label per task; "pareto": of `sizes`, the one that is on
            the front of (mean outcome, mean number of different labels per task) and nearest to its best corner:
            smallest trade (1 - q)^2 + (1 - trade) (1 - d)^2, both scaled to 0..1 on the front. One size for the batch.
        draw: votes for each label, drawn without replacement from all rollouts of the task; None (or where there are
            not more): all.
        trade: weight of the mean outcome in the choice of a size.
        seed: of the draws.

    An outcome that was there stays as `reward.outcome`. Ties go to the answer that was met first. Where no rollout that
    votes has an answer (and a confidence, if it weighs), there is no label and nothing is judged.

    Raises:
        StepCreditError: no texts, or a size below 1. MissingColumn: no log-probabilities. LayoutError: not one list of
        log-probabilities per token.
    """
    lay = batch.layout
    given = [None if a is None else simplify(a) for a in answers_of(batch, answers, "vote_confidence")]
    made: dict[str, Any] = {"reward.outcome": batch["outcome"]} if "outcome" in batch else {}
    weight = np.ones(lay.R)
    if weigh == "confidence":
        steps = _confidence(batch, source, top_logp, decimals)
        weight = rollout_mean(lay, steps)
        made["confidence"] = steps
    rng = np.random.default_rng(seed)
    size, said = subgroup, ""
    if subgroup == "pareto":
        largest = int(np.bincount(lay.group).max(initial=0))
        tried = [s for s in sizes if s <= max(largest, 1)]
        votes = [_vote(lay, given, weight, s, draw, rng) for s in tried]
        size = tried[pareto_pick([v.quality for v in votes], [v.diversity for v in votes], trade)] if votes else None
        said = f", subgroups of {size} chosen from {', '.join(map(str, tried)) or 'none'}"
    elif subgroup is not None and subgroup < 1:
        raise StepCreditError(
            f"subgroup={subgroup}", hint='rollouts per label, 1 or more; "pareto"; None: one per task'
        )
    vote = _vote(lay, given, weight, None if size is None else int(size), draw, rng)
    made["outcome"] = vote.outcome
    note = f"vote_confidence: outcome by vote ({weigh}{said}); {sum(a is None for a in given):,} of {lay.R:,} rollouts"
    note += f" without an answer, {int(np.isnan(vote.outcome).sum()):,} not judged"
    return batch.with_columns(note=note, **made)


def rollout_mean(layout: Layout, steps: Floats) -> Floats:
    """[S] -> [R]: unweighted mean over the rollout's steps that have a number; NaN without any."""
    along = layout.along(steps)
    known = ~np.isnan(along)
    n = np.bincount(layout.paths.rollout[known], minlength=layout.R)
    total = np.bincount(layout.paths.rollout[known], weights=along[known], minlength=layout.R)
    mean: Floats = np.divide(total, n, out=np.full(layout.R, np.nan), where=n > 0)
    return mean


def weighted_vote(answers: Sequence[str | None], weights: Sequence[float]) -> str | None:
    """The answer with the largest sum of weights; of equals, the one met first. None without answers that weigh.

    >>> weighted_vote(["7", "7", "7", "5", "5"], [1, 1.1, 0.9, 2, 2.2]), weighted_vote(["7", "7", "5"], [1, 1, 1])
    ('5', '7')
    """
    total: dict[str, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None and weight == weight:
            total[answer] = total.get(answer, 0.0) + weight
    return max(total, key=total.__getitem__) if total else None


def pareto_pick(quality: Sequence[float], diversity: Sequence[float], trade: float) -> int:
    """Index of the point on the front of (quality, diversity) that is nearest to its best corner; of equals the first.

    >>> pareto_pick([0.30, 0.55, 0.60, 0.58], [2.0, 1.8, 1.4, 1.0], 0.7)
    1
    """
    points = np.stack([np.asarray(quality, float), np.asarray(diversity, float)], axis=1)
    front = np.flatnonzero(pareto_front(points))
    low, high = points[front].min(axis=0), points[front].max(axis=0)
    scaled = (points[front] - low) / (high - low + 1e-8)
    distance = np.sqrt(((1 - scaled) ** 2) @ [trade, 1 - trade])
    return int(front[int(np.argmin(distance))])


class _Vote(NamedTuple):
    """outcome: [R]. quality: mean outcome of a task, diversity: number of different labels of a task, over tasks."""

    outcome: Floats
    quality: float
    diversity: float


def _vote(
    lay: Layout, answers: list[str | None], weight: Floats, size: int | None, draw: int | None, rng: np.random.Generator
) -> _Vote:
    outcome = np.full(lay.R, np.nan)
    means, kinds = [], []
    for g in np.unique(lay.group).tolist():
        mine = np.flatnonzero(lay.group == g)
        labels = set()
        for start in range(0, mine.size, size or mine.size):
            members = mine[start : start + (size or mine.size)]
            voters = mine if draw is None or draw >= mine.size else rng.permutation(mine)[:draw]
            label = weighted_vote([answers[r] for r in voters.tolist()], weight[voters].tolist())
            if label is not None:
                labels.add(label)
                outcome[members] = [float(answers[r] == label) for r in members.tolist()]
        judged = outcome[mine][~np.isnan(outcome[mine])]
        means.append(judged.mean() if judged.size else 0.0)
        kinds.append(len(labels))
    return _Vote(outcome, float(np.mean(means)) if means else 0.0, float(np.mean(kinds)) if kinds else 0.0)


def _confidence(batch: Batch, source: Source, top_logp: Any, decimals: int | None) -> Floats:
    """[S] confidence of each step."""
    if source == "confidence":
        found: Floats = batch["confidence"]
        return found
    if source == "token_logp":
        token = -batch["token_logp"]
    else:
        if top_logp is None and "token_top_logp" not in batch:
            raise missing("token_top_logp", batch, "vote_confidence without top_logp")
        token = -_row_means(batch["token_top_logp"] if top_logp is None else top_logp, batch.layout.K)
    if decimals is not None:
        token = np.round(token, decimals)
    known = ~np.isnan(token)
    step = np.where(known, batch.layout.tokens, -1)
    return step_mean(batch.layout.with_tokens(step), token)


def _row_means(top_logp: Any, tokens: int) -> Floats:
    rows = [np.atleast_1d(np.asarray(row, float)) for row in top_logp]
    if len(rows) != tokens:
        raise LayoutError(f"top_logp holds {len(rows)} lists for {tokens} tokens")
    flat = np.concatenate(rows) if rows else np.zeros(0)
    at = np.repeat(np.arange(tokens), [row.size for row in rows])
    known = ~np.isnan(flat)
    n = np.bincount(at[known], minlength=tokens)
    total = np.bincount(at[known], weights=flat[known], minlength=tokens)
    mean: Floats = np.divide(total, n, out=np.full(tokens, np.nan), where=n > 0)
    return mean
