"""Implicit rewards: the log-ratio of a reward model to its reference, per token, per step, and up to each step."""

from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence import _step_tokens
from stepcredit.evidence._texts import JOINER
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.ops import so_far
from stepcredit.protocols import Forcer

_PAPER: dict[str, Any] = {
    "title": "ImplicitPRM: Free Process Rewards without Process Labels",
    "paper": "arXiv:2412.01981",
    "bibtex": """@article{yuan2024implicitprm,
  title={Free Process Rewards without Process Labels},
  author={Yuan, Lifan and Li, Wendi and Chen, Huayu and Cui, Ganqu and Ding, Ning and Zhang, Kaiyan and others},
  journal={arXiv:2412.01981}, year={2024}}""",
}

CARD = EvidenceCard(
    **_PAPER,
    code="https://github.com/PRIME-RL/ImplicitPRM",
    evidence="official code executed",
    adds=("score", "logratio", "token_logratio"),
    needs="texts of the steps and two models, or the columns token_logp and token_ref_logp",
    cost="two forward passes per distinct step and what came before it (one without a reference); none from columns",
    departures="The score of a response (orm) stands on its last step. The official code writes 1000 where there is no "
    "step, so that its minimum over steps passes them by: here there is nothing to pass by.",
)

_OFFICIAL = {"coefficient": 0.001, "separators": True}
PRESETS = {
    "accumulative": Preset(
        {**_OFFICIAL, "reading": "accumulative"},
        "ImplicitPRM eval/prm_eval_utils.py get_reward, accumulative, as executed: q_t, coefficient 0.001",
        system="implicit_prm",
        **_PAPER,
    ),
    "single": Preset({**_OFFICIAL, "reading": "single"}, "the same, single: r_t = q_t - q_{t-1}"),
    "orm": Preset({**_OFFICIAL, "reading": "orm"}, "the same, orm: q at the last step is the response's score"),
    "no-reference": Preset(
        {**_OFFICIAL, "reading": "accumulative", "against": "uniform"}, "the same, w/o ref: raw log-probabilities"
    ),
}


def implicit_reward(
    batch: Batch,
    forcer: Forcer | None,
    reference_forcer: Forcer | None,
    *,
    reading: Literal["single", "accumulative", "orm"] = "single",
    coefficient: float = 0.05,
    against: Literal["reference", "uniform"] = "reference",
    separators: bool = False,
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with the log-ratio of two models, and the score of each step that follows from it.

        token_logratio_k = log pi(y_k | before) - log pi_ref(y_k | before)
        logratio_t       = sum over the tokens of step t
        score_t          = coefficient * logratio_t                            "single": the process reward r_t
                         = coefficient * (logratio_1 + ... + logratio_t)       "accumulative": the value q_t
                         = q_T on a rollout's last step, NaN elsewhere         "orm": the outcome reward

    Args:
        forcer: of the reward model; None: the column `token_logp` is read. reference_forcer: of its reference; None:
            `token_ref_logp`.
        reading: what `score` is.
        coefficient: beta: 0.05 in the paper's training, 0.001 where the official code scores.
        against: "uniform": a reference that finds all tokens alike; it is not asked, and log-ratios are
            log-probabilities.
        separators: the joiner after a step counts with the step, where the next one follows at once. Without, it is
            read as context.
        joiner, observations: how texts are written.

    Returns:
        score and logratio [S], NaN where a reply failed; token_logratio [K] where the batch holds as many tokens per
        step as the models read, or none yet.

    Raises:
        MissingColumn: no model, and no column in its place. StepCreditError: the models cut a text into different
            numbers of tokens.
    """
    who = "implicit_reward"

    def read(model: Forcer | None, column: str) -> list[Floats]:
        if model is None:
            return _step_tokens.of_column(batch, column, who)
        texts = _step_tokens.questions(batch, who, joiner=joiner, observations=observations, separators=separators)
        return _step_tokens.forced(model, texts, who)

    mine = read(forcer, "token_logp")
    theirs = read(reference_forcer, "token_ref_logp") if against == "reference" else [np.zeros(v.size) for v in mine]
    ratios = [_ratio(a, b, s) for s, (a, b) in enumerate(zip(mine, theirs, strict=True))]
    total = np.array([r.sum() for r in ratios], float)
    score = coefficient * (total if reading == "single" else so_far(batch.layout, total))
    if reading == "orm":
        ends = np.isin(np.arange(batch.layout.S), batch.layout.last)
        score = np.where(ends, score, np.nan)
    made, why_not = _step_tokens.with_column(batch, "token_logratio", ratios)
    note = f"logratio: {int(np.isnan(total).sum()):,} of {total.size:,} steps not judged{why_not}"
    return made.with_columns(logratio=total, score=score, note=note)


def cost(
    batch: Batch,
    *,
    against: Literal["reference", "uniform"] = "reference",
    separators: bool = False,
    joiner: str = JOINER,
    observations: bool = True,
) -> Cost:
    """A forward pass of each model per distinct step and what came before it; less where columns are read."""
    texts = _step_tokens.questions(
        batch, "implicit_reward", joiner=joiner, observations=observations, separators=separators
    )
    asked = {pair for pair in texts if pair[1]}
    return Cost({"force": len(asked) * (2 if against == "reference" else 1)}, at_most=True)


def _ratio(mine: Floats, theirs: Floats, step: int) -> Floats:
    if mine.size == theirs.size:
        return mine - theirs
    if np.isnan(mine).any() or np.isnan(theirs).any():
        return np.array([np.nan])
    raise StepCreditError(
        f"step row {step} is {mine.size} tokens to the reward model and {theirs.size} to its reference",
        hint="a log-ratio needs two models of one tokenizer",
    )
