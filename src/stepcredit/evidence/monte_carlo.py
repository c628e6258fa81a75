"""Monte Carlo: the chance of success from a prefix, by completing it many times."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._texts import JOINER, Reference
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.ops import best_of as chance_of_best
from stepcredit.ops import wilson
from stepcredit.protocols import Sample, Sampler, Verifier

CARD = EvidenceCard(
    title="Monte Carlo values of prefixes",
    paper="arXiv:2312.08935",
    bibtex="""@inproceedings{wang2024mathshepherd,
  title={Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations},
  author={Wang, Peiyi and Li, Lei and Shao, Zhihong and Xu, R. X. and Dai, Damai and Li, Yifei and others},
  booktitle={ACL}, year={2024}}""",
    evidence="secondary text",
    adds=("value", "next_value", "value_n", "next_value_n", "prover_value", "next_prover_value"),
    needs="task and texts of the steps, a reference answer per task, outcomes in 0..1 where they are known",
    cost="n continuations of every distinct prefix; a prefix that rollouts of a task share is completed once",
    departures="The value after a last step is its outcome where that is known, as published; Math-Shepherd's hard "
    "label is `next_value > 0`. A verdict that cannot be told is left out of the count, not taken for a failure. The "
    "rules that stop early are ours.",
)

PRESETS = {
    "math-shepherd": Preset({}, "Math-Shepherd, soft labels: the share of 8 completions of every prefix. The defaults"),
    "pav": Preset({"n": 20, "best_of": 4}, "PAV: 20 completions; the prover is the best of 4, plugged in"),
    "vsrm": Preset(
        {"n": 8, "suffix": "</think>\n\n"},
        "VSRM: thinking is ended after the step and the answer sampled; its number of answers is not published",
    ),
}

StopWhen = Literal["drawn", "narrow", "lookahead"]


def monte_carlo(
    batch: Batch,
    sampler: Sampler,
    verifier: Verifier,
    *,
    n: int = 8,
    stop_when: StopWhen = "drawn",
    most: int = 64,
    width: float = 0.1,
    price: float = 2e-4,
    max_tokens: int = 1024,
    temperature: float = 1.0,
    stop: str | tuple[str, ...] = (),
    suffix: str = "",
    end: Literal["outcome", "sample"] = "outcome",
    whole: bool = False,
    best_of: int | None = None,
    unbiased: bool = False,
    column: Literal["value", "prover_value"] = "value",
    reference: Reference = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with the chance of success before and after each step, and of how many completions it is the share.

        value_t = c / m      c of m completions of (task, steps before t) are right
        next_value_t         the same of (task, steps up to t)
        prover_value_t       the chance that the best of K completions is right, with best_of = K:
                             1 - (1 - c / m)^K, or unbiased 1 - C(m - c, K) / C(m, K)

    Args:
        sampler, verifier: who completes, and who says whether the completion is right (NaN = cannot tell: not counted).
        n: completions of each prefix; with an adaptive rule, of each round.
        stop_when: "drawn", after one round; "narrow", once half of Wilson's 95 % interval is at most `width`;
            "lookahead", once one more completion would lower the variance of the value (Beta(1 + c, 1 + m - c)) by no
            more than `price`: its one-step look-ahead. No prefix gets more than `most`.
        max_tokens, temperature, stop: of the sampler.
        suffix: put after each prefix: the end of thinking, to have the answer at once (VSRM).
        end: what stands after a last step: "outcome", the outcome, where it is known; "sample", completions as
            everywhere, for rollouts that were cut.
        whole: the verifier gets prefix and completion, not the completion alone.
        best_of: K; the columns prover_value and next_prover_value are added. unbiased: of the two formulas.
        column: "prover_value" writes the chances there: those of another policy than the one that is trained.
        reference: as in `evidence`: a field, a mapping from group, a function of the record.
        joiner, observations: how prefixes are written. A prefix ends with `joiner`, then `suffix`.

    Raises:
        StepCreditError: the batch holds no texts; K completions cannot be chosen from n; outcomes outside 0..1.
        DataError: a rollout without a reference.
    """
    if n < 1 or (best_of is not None and (best_of < 1 or (unbiased and best_of > n))):
        raise StepCreditError(f"n must be at least 1 and, to be unbiased, at least best_of; got {n}, {best_of}")
    states = _states(batch, end, reference, joiner + suffix, joiner, observations)
    sample = partial(sampler, max_tokens=max_tokens, temperature=temperature, stop=_listed(stop))
    enough = _rule(stop_when, width, price)
    limit = n if stop_when == "drawn" else most
    won, drawn, asked = _play(states, sample, verifier, enough, n, limit, whole)
    share = np.divide(won, drawn, out=np.full(won.size, np.nan), where=drawn > 0)
    known = states.known

    def put(values: Floats, at_end: Floats) -> tuple[Floats, Floats]:
        return values[states.before], np.where(known, at_end, np.append(values, np.nan)[states.after])

    value, after = put(share, states.outcome)
    made: dict[str, Any] = {column: value, f"next_{column}": after}
    if best_of is not None:
        best = chance_of_best(best_of, won, drawn, unbiased=unbiased)
        made["prover_value"], made["next_prover_value"] = put(best, 1 - (1 - states.outcome) ** best_of)
    made[f"{column}_n"], made[f"next_{column}_n"] = put(drawn, np.zeros(known.size))
    lost = int(asked.sum() - drawn.sum())
    note = f"{column}: {int(asked.sum()):,} completions of {won.size:,} prefixes; {lost:,} not judged"
    return batch.with_columns(note=note, **made)


def cost(
    batch: Batch,
    *,
    n: int = 8,
    stop_when: StopWhen = "drawn",
    most: int = 64,
    end: Literal["outcome", "sample"] = "outcome",
    reference: Reference = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Cost:
    """Completions: n of each distinct prefix, at most `most` by a rule that may stop early."""
    prefixes = len(_states(batch, end, reference, "", joiner, observations).prompts)
    each = n if stop_when == "drawn" else most
    return Cost({"sample": prefixes * each}, at_most=stop_when != "drawn")


@dataclass(frozen=True)
class _States:
    """prompts, references: [U] distinct prefixes to be completed. before, after: [S] which of them stands before and
    after each step (U = none). outcome: [S] what is known after a last step. known: [S] where."""

    prompts: Sequence[str]
    references: Sequence[str]
    before: Ints
    after: Ints
    outcome: Floats
    known: Bools


def _states(batch: Batch, end: str, reference: Reference, tail: str, joiner: str, observations: bool) -> _States:
    who, lay = "monte_carlo", batch.layout
    right = [str(a) if isinstance(a, int | float) else a for a in _texts.references(batch, reference, who)]
    before, after = _texts.prefixes(batch, who, joiner=joiner, observations=observations)
    outcome = _ends(batch) if end == "outcome" else np.full(lay.S, np.nan)
    known = ~np.isnan(outcome)
    group, rollout = lay.step_group.tolist(), lay.rollout.tolist()
    asked = [*zip(group, before, strict=True), *((group[s], after[s]) for s in np.flatnonzero(~known).tolist())]
    distinct, which = _queries.once(asked)
    of_group = {group[s]: right[rollout[s]] for s in range(lay.S)}
    place = np.full(lay.S, len(distinct))
    place[~known] = which[lay.S :]
    return _States(
        [text + tail for _, text in distinct], [of_group[g] for g, _ in distinct], which[: lay.S], place, outcome, known
    )


def _ends(batch: Batch) -> Floats:
    """[S] outcome after each step that no rollout goes on from, NaN elsewhere; the mean where several end there.

    Raises:
        DataError: an outcome that is no chance.
    """
    lay = batch.layout
    if "outcome" not in batch:
        return np.full(lay.S, np.nan)
    outcome = batch["outcome"]
    bad = (outcome < 0) | (outcome > 1)
    if bad.any():
        r = int(np.argmax(bad))
        raise DataError(
            "the outcome is the value after a last step, and values are chances of success",
            rollout=batch.rollout_name(r),
            got=float(outcome[r]),
            expected="0..1",
            hint="end='sample' completes last steps too; or scale the outcomes",
        )
    goes_on = np.zeros(lay.S, bool)
    goes_on[lay.previous[lay.previous >= 0]] = True
    ends = (lay.last >= 0) & ~np.isnan(outcome)
    last = lay.last[ends]
    count = np.bincount(last, minlength=lay.S)
    total = np.bincount(last, weights=outcome[ends], minlength=lay.S)
    mean: Floats = np.divide(total, count, out=np.full(lay.S, np.nan), where=(count > 0) & ~goes_on)
    return mean


def _play(
    states: _States,
    sample: Callable[..., Sequence[Sequence[Sample | None]]],
    verifier: Verifier,
    enough: Callable[[Floats, Floats], Bools],
    n: int,
    most: int,
    whole: bool,
) -> tuple[Floats, Floats, Floats]:
    """([U] completions that are right, [U] that were judged, [U] that were asked for), round after round."""
    size = len(states.prompts)
    won, drawn, asked = np.zeros(size), np.zeros(size), np.zeros(size)
    open_, done = np.arange(size), 0
    while open_.size and done < most:
        now = min(n, most - done)
        prompts = [states.prompts[u] for u in open_.tolist()]
        replies = _queries.answered(sample(prompts, n=now), len(prompts), "monte_carlo")
        pairs = [(u, s.text) for u, row in zip(open_.tolist(), replies, strict=True) for s in row if s is not None]
        texts = [states.prompts[u] + t if whole else t for u, t in pairs]
        right = _queries.verified(verifier, texts, [states.references[u] for u, _ in pairs], "monte_carlo")
        rows, judged = np.array([u for u, _ in pairs], np.int64), ~np.isnan(right)
        won += np.bincount(rows[judged], weights=right[judged], minlength=size)
        drawn += np.bincount(rows[judged], minlength=size)
        asked[open_] += now
        done += now
        open_ = open_[~enough(won[open_], drawn[open_])]
    return won, drawn, asked


def _rule(stop_when: StopWhen, width: float, price: float) -> Callable[[Floats, Floats], Bools]:
    """Of (right, judged), where no more completions are needed."""
    if stop_when == "drawn":
        return lambda won, drawn: np.ones(won.size, bool)
    if stop_when == "narrow":

        def narrow(won: Floats, drawn: Floats) -> Bools:
            low, high = wilson(won, drawn)
            return (high - low) / 2 <= width

        return narrow

    def lookahead(won: Floats, drawn: Floats) -> Bools:
        a, b = 1 + won, 1 + drawn - won
        variance = a * b / ((a + b) ** 2 * (a + b + 1))
        return variance / (a + b + 1) <= price

    return lookahead


def _listed(stop: str | tuple[str, ...]) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop)
