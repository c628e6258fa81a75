"""Entropy: how undecided the model was along each step, or at its first token."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.evidence import _step_tokens
from stepcredit.evidence._texts import JOINER
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Entropies

CARD = EvidenceCard(
    title="Token entropy per step",
    paper="arXiv:2506.01939",
    bibtex="""@misc{wang2025highentropy,
  title={Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning for LLM Reasoning},
  author={Wang, Shenzhi and Yu, Le and Gao, Chang and Zheng, Chujie and Liu, Shixuan and Lu, Rui and others},
  eprint={2506.01939}, archivePrefix={arXiv}, year={2025}}""",
    evidence="paper",
    adds=("entropy", "token_entropy"),
    needs="texts of the steps and their model, or the column token_entropy",
    cost="one forward pass per distinct step and what came before it; none from the column",
    departures="None. The entropy over the largest log-probabilities that a server gives is another number: "
    "`from_top`, with both readings of what is missing.",
)

PRESETS = {
    "first-token": Preset(
        {"of": "first"},
        "GlimpRouter: the entropy at a step's first token; over the 20 likeliest, renormalized: "
        "engine.top_entropies(20, renormalize=True)",
    ),
}


def entropy(
    batch: Batch,
    entropies: Entropies | None,
    *,
    of: Literal["mean", "first", "max"] = "mean",
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with the entropy of the model's next-token distribution along each step.

        token_entropy_k = -sum_v p(v | before k) log p(v | before k)        in nats
        entropy_t       = mean (or first, or largest) over the tokens of step t

    Args:
        entropies: of the model; None: the column `token_entropy` is read.
        of: which of the step's tokens count.
        joiner, observations: how texts are written.

    Returns:
        entropy [S], NaN for a step without tokens or with an unknown one that counts; token_entropy [K] where the batch
        holds as many tokens per step as the model reads, or none yet.

    Raises:
        MissingColumn: no model, and no column in its place.
    """
    made, why_not = batch, ""
    if entropies is None:
        values = _step_tokens.of_column(batch, "token_entropy", "entropy")
    else:
        texts = _step_tokens.questions(batch, "entropy", joiner=joiner, observations=observations)
        values = _step_tokens.per_step(entropies, texts, "entropy")
        made, why_not = _step_tokens.with_column(batch, "token_entropy", values)
    steps = np.array([_pooled(v, of) for v in values], float)
    note = f"entropy: {of} over tokens; {int(np.isnan(steps).sum()):,} of {steps.size:,} steps not judged{why_not}"
    return made.with_columns(entropy=steps, note=note)


def cost(batch: Batch, *, joiner: str = JOINER, observations: bool = True) -> Cost:
    """A forward pass per distinct step and what came before it; none where the column is read."""
    texts = _step_tokens.questions(batch, "entropy", joiner=joiner, observations=observations)
    return Cost({"entropies": len({pair for pair in texts if pair[1]})}, at_most=True)


def _pooled(x: Floats, of: str) -> float:
    if x.size == 0:
        return np.nan
    return float(x[0] if of == "first" else x.max() if of == "max" else x.mean())


def from_top(top_logp: Sequence[Floats], *, renormalize: bool) -> Floats:
    """[n] entropy over the largest log-probabilities of each token: of their own distribution, or -sum p log p as they
    stand (which is no entropy, but a lower bound of the whole one).

    >>> from_top([np.log([0.5, 0.25])], renormalize=False).round(4), from_top([np.log([0.5])], renormalize=True)
    (array([0.6931]), array([0.]))
    """
    out = []
    for logp in top_logp:
        p = np.exp(logp)
        total = p.sum() if renormalize else 1.0
        out.append(-(p / total * np.where(p > 0, logp - np.log(total), 0.0)).sum())
    return np.array(out, float) + 0.0
