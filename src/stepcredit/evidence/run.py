"""Gather evidence by name: what it will cost, then the columns, with a record of where they came from."""

from collections.abc import Mapping
from typing import Any

from stepcredit.data.batch import Batch
from stepcredit.errors import StepCreditError
from stepcredit.evidence.card import Cost
from stepcredit.evidence.registry import Kind, get


def gather(batch: Batch, evidence: str, *models: Any, **options: Any) -> Batch:
    """The batch with the columns that a kind of evidence makes.

    Args:
        evidence: a name of `stepcredit methods` of the kind evidence: "tool_match", "rrm_rubric", "judge_steps@capo".
        models: what it asks, in the order of its card: a judge, a sampler, a verifier, ... (`stepcredit.protocols`);
            or by name among the options: judge=ask.
        options: its own.

    Raises:
        UnknownName: no such evidence or option. StepCreditError: a model is missing.
    """
    kind = get(evidence)
    names = (*kind.models, *kind.optional_models)
    named = {n: options.pop(n) for n in names[len(models) :] if n in options}
    if len(models) > len(names) or any(n not in named for n in kind.models[len(models) :]):
        asked = ", ".join(kind.models) or "no model"
        raise StepCreditError(
            f"{evidence} asks for {asked}; got {len(models) + len(named)} models",
            hint=f"gather(batch, {evidence!r}, {', '.join(kind.models)}) with functions as in stepcredit.protocols",
        )
    made: Batch = kind.function(batch, *models, **named, **kind.check_options(options))
    fresh = {n: evidence for n, v in made.columns.items() if n not in batch or v is not batch.columns[n]}
    return made.with_origins(fresh)


def cost(batch: Batch, evidence: str, **options: Any) -> Cost:
    """What `gather` would spend, without spending it.

    Raises:
        UnknownName: no such evidence or option.
    """
    kind = get(evidence)
    return Cost() if kind.cost is None else kind.cost(batch, **_known(kind, options))


def _known(kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the price depends on."""
    given = kind.check_options(options)
    return {n: v for n, v in given.items() if n in kind.priced}
