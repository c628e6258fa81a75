"""What a search has spent, by kind, and what it may."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stepcredit.errors import UnknownName
from stepcredit.protocols import Sample

KINDS = ("calls", "prefill", "decode", "draft", "tool", "score", "judge")


@dataclass
class Ledger:
    """Counts by kind.

    calls: samples drawn from any model. prefill: tokens read for them. decode: tokens written by the model that is
    asked for solutions, draft: by a second, cheaper one. tool: actions taken in an environment. score: opinions of a
    scorer. judge: questions to a judge. `unknown` counts samples whose tokens nobody counted: then the token figures
    are lower bounds. limits: kind -> the most that may be spent; "tokens" limits decode and draft together.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    calls: int = 0
    prefill: int = 0
    decode: int = 0
    draft: int = 0
    tool: int = 0
    score: int = 0
    judge: int = 0
    unknown: int = 0

    def __post_init__(self) -> None:
        for kind in self.limits:
            if kind not in (*KINDS, "tokens"):
                raise UnknownName("kind of cost", kind, (*KINDS, "tokens"))

    @property
    def tokens(self) -> int:
        """Tokens written."""
        return self.decode + self.draft

    def charge(self, sample: Sample, to: str) -> None:
        """Count a sample. to: the model that was asked; any but "sampler" counts as draft."""
        tokens = written(sample)
        self.calls += 1
        self.unknown += tokens is None
        self.prefill += sample.read or 0
        if to == "sampler":
            self.decode += tokens or 0
        else:
            self.draft += tokens or 0

    def room(self, kind: str) -> float:
        """How much of this kind may still be spent; inf = no limit."""
        spent: int = getattr(self, kind)
        return self.limits.get(kind, float("inf")) - spent

    def left(self) -> float:
        """The smallest share of a limit that is left, 0 to 1; 1 where there are none."""
        shares = [max(self.room(k), 0.0) / most if most else 0.0 for k, most in self.limits.items()]
        return min(shares, default=1.0)

    def spent(self) -> dict[str, int]:
        """Counts by kind, those of nothing left out."""
        return {k: n for k in (*KINDS, "unknown") if (n := getattr(self, k))}


def written(sample: Sample) -> int | None:
    """Tokens of a sample; None = nobody counted them."""
    if sample.written is not None:
        return sample.written
    return len(sample.tokens) if sample.tokens or not sample.text else None
