"""What a method or selector says of itself: card, presets, and what it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Floats

Evidence = Literal["official code executed", "official code read", "paper", "secondary text", "derived"]
Per = Literal["step", "segment", "token", "rollout", "task"]
Holds = Literal["scale", "shift", "centered"]


@dataclass(frozen=True)
class Preset:
    """A named reading of a formula: `gigpo@verl-agent`.

    options: what it sets. source: whose reading, and where it was seen. system: the preset is a published system with a
    name of its own ("rloo"), under which it is found too. title, paper, bibtex, evidence, code, needs, bias,
    departures, cost: the system's own, where the card's are not true of it. columns: what fills a parameter that
    another column than its own fills: {"score": "useful"}. waives, holds: as in Card; a preset holds nothing that it
    does not declare itself.
    """

    options: Mapping[str, Any]
    source: str
    system: str | None = None
    title: str | None = None
    paper: str | None = None
    bibtex: str | None = None
    evidence: Evidence | None = None
    code: str | None = None
    needs: str | None = None
    bias: str | None = None
    departures: str | None = None
    cost: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    waives: Mapping[str, str] = field(default_factory=dict)
    holds: frozenset[Holds] = frozenset()


@dataclass(frozen=True)
class Card:
    """The card of a credit method, or of a selector (`per` "rollout" or "task").

    Args:
        title: full name, as published.
        paper: "arXiv:...", or where it was published.
        bibtex: entry for `stepcredit.cite`.
        evidence: how the formula was established. "secondary text": from summaries or reviews of the paper; "derived":
            from its abstract, or by us.
        per: "step", "segment" (both [S]) or "token" ([K]); of a selector "rollout" (which to keep) or "task" (how many
            more to draw).
        needs: what must be known, in words.
        bias: is the baseline action-dependent? does it reward length?
        departures: from the paper or the official code.
        code: official code, if there is any.
        cost: what it needs beyond the rollouts, in model calls, forward passes, labels.
        holds: invariances of the defaults, for the contract to measure. "scale": outcomes and rewards in larger units
            give the same credit; "shift": outcomes plus a constant give the same credit; "centered": credit averages 0
            over the rollouts of a prompt, each counted once with the mean of its steps.
        pools: values of options at which credit depends on the other prompts of the batch: {"whiten": True}. They
            waive "other_prompts" wherever they are set.
        waives: properties of the contract (`stepcredit.testing.CHECKS`; of a selector
            `stepcredit.testing.selectors.SELECT_CHECKS`) that are false by design, with the reason; the contract
            checks that they really are. "other_prompts": credit depends on other groups, so the method runs
            per batch and never streamed; "equal_rollouts": equal rollouts need not get 0; "permutation": the order of
            rollouts matters.
    """

    title: str
    paper: str
    bibtex: str
    evidence: Evidence
    needs: str
    bias: str
    departures: str
    per: Per = "step"
    code: str | None = None
    cost: str = "nothing beyond the rollouts"
    holds: frozenset[Holds] = frozenset()
    pools: Mapping[str, Any] = field(default_factory=dict)
    waives: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result:
    """Credit with more than one number per step. The names are fixed; each extra has the axis of `credit`.

    sd: standard error. clip_scale: multiplies the policy's clip range. train_mask: False leaves the loss.
    loss_weight: multiplies the loss. `np.asarray(result)` is the credit.
    """

    credit: Floats
    sd: Floats | None = None
    clip_scale: Floats | None = None
    train_mask: NDArray[np.bool_] | None = None
    loss_weight: Floats | None = None

    def extras(self) -> dict[str, NDArray[Any]]:
        """The extra outputs that are there, by name."""
        names = ("sd", "clip_scale", "train_mask", "loss_weight")
        return {n: v for n in names if (v := getattr(self, n)) is not None}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.credit, dtype=dtype, copy=copy)
