"""What a rule is, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import ArrayLike

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Rule:
    """The card of a rule: `RULE` in its file.

    Args:
        title: what is wrong, as a noun phrase.
        bug: the public bug it would have caught: repo#number, then what happened, in own words.
        why: why it matters. mend: how to mend it.
        severity: "error", the numbers are wrong; "warning", they are wrong unless meant so; "info", good to know.
    """

    title: str
    bug: str
    why: str
    mend: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found.

    Args:
        message: what, with numbers.
        count: how many places.
        where: "row", "position", "rollout", "group", "turn" -> their numbers, aligned with one another.
        severity: where it differs from the rule's.
    """

    message: str
    count: int = 1
    where: Mapping[str, ArrayLike] = field(default_factory=dict)
    severity: Severity | None = None


@dataclass(frozen=True)
class NotChecked:
    """The rule could not run; the reason completes "not checked: ..."."""

    reason: str


@dataclass(frozen=True)
class Declared:
    """What is known of the method that made the credit.

    Args:
        name: of the method or preset. reads: columns that its signature asks for; None: not known.
        options: what it ran with. waives: properties it breaks by design. holds: invariances.
        per: unit of its output.
    """

    name: str
    reads: frozenset[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    waives: Mapping[str, str] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()
    per: str = "step"

    @property
    def outcome_only(self) -> bool:
        """Credit is a function of outcomes alone, hence one number per rollout."""
        return self.reads is not None and self.reads <= {"layout", "outcome", "weight"}


def unless_declared(method: Declared | None, severity: Severity) -> Severity:
    """A property of a method's design is news only where no card stands for it: "info" for a declared method."""
    return severity if method is None else "info"


Outcome = list[Finding] | NotChecked
RuleFunction = Callable[..., Outcome]
