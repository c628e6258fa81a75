"""What a kind of evidence says of itself, and what it will cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stepcredit.credit.card import Evidence


@dataclass(frozen=True, kw_only=True)
class EvidenceCard:
    """The card of a kind of evidence.

    Args:
        title: what it is called, as published where it was published.
        paper: "arXiv:...", or where it was published. bibtex: entry for `stepcredit.cite`.
        evidence: how the formula was established, as in `credit.Card`.
        adds: columns that it makes.
        needs: what must be known, in words.
        cost: what it spends, in words: model calls, forward passes.
        departures: from the paper or the official code.
        code: official code, if there is any.
    """

    title: str
    paper: str
    bibtex: str
    evidence: Evidence
    adds: tuple[str, ...]
    needs: str
    cost: str = "nothing: no model is asked"
    departures: str
    code: str | None = None


@dataclass(frozen=True)
class Cost:
    """What gathering evidence will spend, known before it is spent.

    calls: requests to a model by kind ("judge", "sample", "force", "hidden states", "embed"); a `sample` is one
    continuation. at_most: the numbers are upper bounds (a search may stop early).
    """

    calls: Mapping[str, int] = field(default_factory=dict)
    at_most: bool = False

    def __str__(self) -> str:
        said = ", ".join(f"{n:,} {kind} calls" for kind, n in self.calls.items() if n)
        return f"{'at most ' * (self.at_most and bool(said))}{said or 'no model calls'}"
