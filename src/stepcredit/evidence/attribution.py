"""Attribution: a regressor of outcomes whose parts sum to its prediction says what each step is worth."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats
from stepcredit.data.records import Step
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence import _step_tokens, _texts
from stepcredit.evidence._regress import Fit, Loss, contributions
from stepcredit.evidence._texts import JOINER
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import HiddenStates

CARD = EvidenceCard(
    title="SPA-RL: stepwise progress attribution",
    paper="arXiv:2505.20732",
    bibtex="""@article{wang2025spa,
  title={SPA-RL: Reinforcing LLM Agents via Stepwise Progress Attribution},
  author={Wang, Hanlin and Leong, Chak Tou and Wang, Jiashuo and Wang, Jian and Li, Wenjie},
  journal={arXiv:2505.20732}, year={2025}}""",
    code="https://github.com/WangHanLinHenry/SPA-RL-Agent",
    evidence="official code read",
    adds=("contribution",),
    needs="several prompts with rollouts of known outcome; texts and a model's hidden states, or features of the steps",
    cost="one forward pass per distinct step and what came before it, and a small fit; no pass with features alone",
    departures="The published estimator trains the whole model with a head on its logits at a turn's last token; here "
    "the model stays as it is and a head is fitted to its hidden states. Rollouts are read by a regressor that saw no "
    "outcome of their prompt (folds); the official code reads those that it learned from (preset spa-rl). Its released "
    "pipeline then overwrites the contributions: that is not reproduced.",
)

PRESETS = {
    "spa-rl": Preset(
        {"folds": 1}, "SPA-RL prm/train_our_progress_model.py: squared error of the sum; the same rollouts are read"
    ),
}


def attribution(
    batch: Batch,
    hidden_states: HiddenStates | None,
    *,
    features: Callable[[Step], Sequence[float]] | None = None,
    columns: str | tuple[str, ...] = (),
    model: Literal["ridge", "mlp"] = "ridge",
    loss: Loss = "sum",
    folds: int = 5,
    residual: Literal["left", "spread"] = "left",
    penalty: float = 1.0,
    sampled: int = 64,
    width: int = 64,
    layers: int = 2,
    epochs: int = 200,
    batch_size: int = 32,
    lr: float = 3e-3,
    seed: int = 0,
    joiner: str = JOINER,
    observations: bool = True,
) -> Batch:
    """The batch with what each step contributes to the outcome, by a regressor g fitted to outcomes alone.

        contribution_t = g(x_t)                     x_t: features of step t
        g minimizes mean_i (sum_t g(x_t) - R_i)^2                     loss "sum"
                    mean_i (mean_t g(x_t) - R_i / T_i)^2              loss "rd": return decomposition
                    the same over K random steps of each rollout      loss "rrd", "rrd-unbiased"

    Args:
        hidden_states: read at each step's last token; None: `features` and `columns` alone.
        features: of a step record. columns: of the batch, [S] or [S, m].
        model: "ridge", linear and in closed form; "mlp", a network (PyTorch) by Adam.
        folds: parts of the prompts; a step is read by a regressor that saw no outcome of its part. 1: of all.
        residual: "spread": what the parts of a rollout miss of its outcome is shared equally by its steps, so that
            they sum to it.
        penalty: of ridge, on features in units of their spread. sampled: K. width, layers, epochs, batch_size (in
            rollouts), lr, seed: of the network.
        joiner, observations: how texts are written.

    Returns:
        contribution [S]; NaN where a reply failed, a feature is unknown, or nothing could be learned.

    Raises:
        StepCreditError: no features; one prompt alone with folds > 1. MissingColumn: no outcome, or a column that is
            not there. MissingExtra: "mlp" without PyTorch.
    """
    how = Fit(model, loss, penalty, sampled, width, layers, epochs, batch_size, lr, seed, folds)
    names = (columns,) if isinstance(columns, str) else tuple(columns)
    parts = [_column(batch, n) for n in names]
    if features is not None:
        parts.append(_of_steps(batch, features))
    if hidden_states is not None:
        parts.append(_hidden(batch, hidden_states, joiner, observations))
    if not parts:
        raise StepCreditError(
            "attribution needs features of the steps", hint="hidden states of a model, features=, or columns="
        )
    return contribute(batch, np.column_stack(parts), how, residual)


def cost(batch: Batch, *, joiner: str = JOINER, observations: bool = True) -> Cost:
    """A forward pass per distinct step and what came before it; none without a model."""
    texts = _step_tokens.questions(batch, "attribution", joiner=joiner, observations=observations)
    return Cost({"hidden states": len({pair for pair in texts if pair[1]})}, at_most=True)


def contribute(batch: Batch, features: Floats, how: Fit, residual: str) -> Batch:
    """The batch with a `contribution`, from features [S, d]."""
    if "outcome" not in batch:
        raise missing("outcome", batch, "attribution")
    lay, outcome = batch.layout, batch["outcome"]
    value = contributions(lay, features, outcome, how)
    if residual == "spread":
        missed = (outcome - lay.total(value)) / np.maximum(lay.steps, 1)
        value = lay.merge(lay.along(value) + missed[lay.paths.rollout])
    error = lay.total(value) - outcome
    known = ~np.isnan(error)
    off = float(np.sqrt(np.mean(error[known] ** 2))) if known.any() else np.nan
    note = (
        f"contribution: {how.model} on {features.shape[1]} features, {how.folds} folds; sums miss outcomes by "
        f"{off:.3g} (root mean square); {int(np.isnan(value).sum()):,} steps not judged"
    )
    return batch.with_columns(contribution=value, note=note)


def _column(batch: Batch, name: str) -> Floats:
    if name not in batch:
        raise missing(name, batch, "attribution")
    if batch.axis(name) != "S":
        raise StepCreditError(f"attribution takes columns of steps, and {name!r} stands on [{batch.axis(name)}]")
    return np.asarray(batch[name], float).reshape(batch.layout.S, -1)


def _of_steps(batch: Batch, features: Callable[[Step], Sequence[float]]) -> Floats:
    made: list[Any] = [list(features(step)) for step in _texts.steps(batch, "attribution")]
    if len({len(one) for one in made}) > 1:
        raise DataError(
            "features must be as many for every step", got=sorted({len(one) for one in made}), expected="one length"
        )
    return np.array(made, float).reshape(batch.layout.S, -1)


def _hidden(batch: Batch, hidden_states: HiddenStates, joiner: str, observations: bool) -> Floats:
    """[S, width] at each step's last token, NaN for a step without text or with a failed reply."""
    texts = _step_tokens.questions(batch, "attribution", joiner=joiner, observations=observations)
    states = _step_tokens.per_step(hidden_states, texts, "attribution")
    found = [z[-1] if z.ndim == 2 and len(z) else None for z in states]
    width = next((z.size for z in found if z is not None), 1)
    return np.array([np.full(width, np.nan) if z is None else z for z in found], float).reshape(len(found), width)
