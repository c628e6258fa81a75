"""Probing: what would the model answer if it had to after this step, how surely, how probable is the right answer?"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._texts import JOINER, Reference
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.evidence.entropy import from_top
from stepcredit.protocols import Forcer, Sample, Sampler

OPENER = "**Final Answer**\n\\boxed{"

CARD = EvidenceCard(
    title="SPAE's probe: confidence and accuracy at every step",
    paper="arXiv:2601.03823",
    bibtex="""@article{wu2026step,
  title={Step Potential Advantage Estimation: Harnessing Intermediate Confidence and Correctness for Efficient
    Mathematical Reasoning},
  author={Wu, Fei and Zhang, Zhenrong and Chang, Qikai and Zhang, Jianshu and Liu, Quan and Du, Jun},
  journal={arXiv:2601.03823}, year={2026}}""",
    code="https://github.com/cii030/SPAE-RL",
    evidence="official code executed",
    adds=("answer_prob", "confidence"),
    needs="task and texts of the steps, the right answer of each task as text",
    cost="per step n short continuations and one forward pass over the right answer; equal prefixes are asked once",
    departures="The defaults are the paper's text; the official example reads the right answer's tokens off sampled "
    "continuations (only in the first position is that its probability), multiplies where the paper averages, divides "
    "by the number of tokens after that, and takes the entropy of the 20 likeliest tokens without renormalizing: "
    "preset official, executed. An answer is scored in full here, also where it is longer than the continuations.",
)

PRESETS = {
    "official": Preset(
        {"probability": "sampled", "over": "sum", "entropy": "top"},
        "SPAE-RL inference/probe_mechanism_example.py, as executed; it asks for 20 log-probabilities a token",
    ),
}


def probe(
    batch: Batch,
    sampler: Sampler,
    forcer: Forcer,
    *,
    n: int = 5,
    temperature: float = 0.6,
    max_tokens: int = 10,
    opener: str = OPENER,
    probability: Literal["forced", "sampled"] = "forced",
    over: Literal["mean", "sum"] = "mean",
    entropy: Literal["full", "top"] = "full",
    pieces: Callable[[str], Sequence[str]] | None = None,
    missing: float = -10.0,
    reference: Reference = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with what the model would answer after each step.

        answer_prob_t = mean_m p(y_m | prefix_t, opener, y_{<m})      y the right answer, token by token
        confidence_t  = mean_j exp(-mean_l H_jl)                      over n short continuations of (prefix_t, opener)

    Args:
        sampler, forcer: of one model. n, temperature, max_tokens: of the continuations.
        opener: what forces an answer, put after the prefix.
        probability: "forced", the right answer is read token by token; "sampled", its m-th token's probability is read
            where a continuation has its m-th token, exp(`missing`) if that is not among the largest, mean over the
            continuations. The forcer is not asked then.
        over: "mean", as above; "sum": exp(sum_m log p_m) / M and exp(-sum_{l <= M} H_jl) / M, M the tokens of the
            right answer (as many as the continuation has of them).
        entropy: H of the whole next-token distribution ("full", `Sample.entropy`), or -sum p log p of the largest
            log-probabilities that the sampler gives ("top", `Sample.top_logp`).
        pieces: a text as the texts of its tokens, for "sampled": `engine.pieces` of a local model.
        reference: as elsewhere; of several right answers, the first.
        joiner, observations: how prefixes are written.

    Returns:
        answer_prob and confidence after each step; NaN where the model failed, or no continuation has a token.

    Raises:
        StepCreditError: the sampler gives no entropies (or largest log-probabilities); "sampled" without `pieces`.
        DataError: a rollout without a right answer.
    """
    if probability == "sampled" and pieces is None:
        raise StepCreditError(
            "probability='sampled' compares tokens, and there is nothing that cuts the answer into tokens",
            hint="pieces=engine.pieces of a local model",
        )
    asked, which = _questions(batch, opener, reference, joiner, observations)
    prompts, texts, of_prompt = _prompts(asked)
    replies = _queries.answered(
        sampler(prompts, n=n, max_tokens=max_tokens, temperature=temperature) if prompts else [], len(prompts), "probe"
    )
    samples = [[s for s in replies[p] if s is not None] for p in of_prompt.tolist()]
    if probability == "forced":
        logp = [[x] for x in _queries.forced(forcer, asked, "probe")]
        lengths = [len(x[0]) for x in logp]
    else:
        answers = [list(pieces(t)) for t in texts]  # type: ignore[misc]
        logp = [[_read(s, a, missing) for s in row] for row, a in zip(samples, answers, strict=True)]
        lengths = [len(a) for a in answers]
    spread = [[_entropy(s, entropy) for s in row] for row in samples]
    if over == "sum":
        spread = [[h[:m] for h in row] for row, m in zip(spread, lengths, strict=True)]
    acc = np.array([_mean([_chance(x, over) for x in row]) for row in logp], float)
    sure = np.array([_mean([_pooled(-h, over) for h in row]) for row in spread], float)
    note = f"answer_prob, confidence: {len(prompts):,} prefixes probed with {n} continuations each"
    return batch.with_columns(answer_prob=acc[which], confidence=sure[which], note=note)


def cost(
    batch: Batch,
    *,
    n: int = 5,
    probability: Literal["forced", "sampled"] = "forced",
    reference: Reference = None,
    joiner: str = JOINER,
    observations: bool = True,
) -> Cost:
    """n continuations of each distinct prefix, and a forced answer."""
    asked, _ = _questions(batch, "", reference, joiner, observations)
    return Cost({"sample": n * len(_prompts(asked)[0]), "force": len(asked) if probability == "forced" else 0})


def _questions(
    batch: Batch, opener: str, reference: Reference, joiner: str, observations: bool
) -> tuple[list[tuple[str, str]], Ints]:
    """(distinct (prefix, right answer), [S] which of them each step asks)."""
    answers = _queries.gold(batch, reference, "probe")
    _, after = _texts.prefixes(batch, "probe", joiner=joiner, observations=observations)
    own = [answers[r] for r in batch.layout.rollout.tolist()]
    return _queries.once([(text + joiner + opener, a) for text, a in zip(after, own, strict=True)])


def _prompts(asked: Sequence[tuple[str, str]]) -> tuple[list[str], list[str], Ints]:
    prompts, which = _queries.once([p for p, _ in asked])
    return prompts, [a for _, a in asked], which


def _read(sample: Sample, answer: Sequence[str], missing: float) -> Floats:
    """Log-probability of the answer's m-th token where the sample has its m-th."""
    _needs(sample, sample.top_logp, sample.top_tokens)
    tables = [
        dict(zip(tokens, logp.tolist(), strict=True))
        for tokens, logp in zip(sample.top_tokens, sample.top_logp, strict=True)
    ]
    return np.array([table.get(piece, missing) for piece, table in zip(answer, tables, strict=False)], float)


def _entropy(sample: Sample, entropy: str) -> Floats:
    if entropy == "full":
        if sample.entropy is None and (sample.tokens or sample.text):
            raise StepCreditError(
                "probe reads the entropy of every token, and the sampler gives none",
                hint="entropy='top' reads it off the largest log-probabilities; a local engine gives both",
            )
        return np.zeros(0) if sample.entropy is None else np.asarray(sample.entropy, float)
    _needs(sample, sample.top_logp)
    return from_top(sample.top_logp, renormalize=False)


def _needs(sample: Sample, *given: Sequence[object]) -> None:
    if (sample.tokens or sample.text) and not all(given):
        raise StepCreditError(
            "probe reads the largest log-probabilities of every token, and the sampler gives none",
            hint="ask the server for them, or local.load(path, top=20)",
        )


def _chance(logp: Floats, over: str) -> float:
    """Of an answer, from the log-probabilities of its tokens."""
    if over == "sum":
        return _pooled(logp, over)
    return float(np.exp(logp).mean()) if logp.size else np.nan


def _pooled(x: Floats, over: str) -> float:
    if over == "sum":
        return float(np.exp(x.sum()) / x.size) if x.size else 0.0
    return float(np.exp(x.mean())) if x.size else np.nan


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if v == v]
    return sum(known) / len(known) if known else np.nan
