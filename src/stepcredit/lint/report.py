"""What came of a check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stepcredit.errors import UnknownName
from stepcredit.lint.rule import SEVERITIES, Rule, Severity


@dataclass(frozen=True)
class Reported:
    """A finding with its rule, and places by name. where: the first places; count: how many there are."""

    name: str
    rule: Rule
    severity: Severity
    message: str
    count: int
    where: Mapping[str, list[Any]]

    def __str__(self) -> str:
        lines = [f"{self.severity:<8}{self.name}: {self.message}"]
        if self.where:
            shown = next(len(v) for v in self.where.values())
            places = [", ".join(f"{k} {v[i]!r}" for k, v in self.where.items()) for i in range(min(shown, 5))]
            more = f"; {self.count - len(places)} more" if self.count > len(places) else ""
            lines.append(f"        at:   {'; '.join(places)}{more}")
        lines += [f"        why:  {self.rule.why}", f"        mend: {self.rule.mend}", f"        seen: {self.rule.bug}"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.name,
            "severity": self.severity,
            "title": self.rule.title,
            "message": self.message,
            "count": self.count,
            "where": dict(self.where),
            "why": self.rule.why,
            "mend": self.rule.mend,
            "bug": self.rule.bug,
        }


@dataclass(frozen=True)
class Report:
    """What came of a check.

    Args:
        findings: worst first. ok: rules that ran and found nothing. not_checked: rules that could not run, and why.
        notes: how the input was read. sizes: rows, rollouts, groups, sampled tokens.
    """

    findings: tuple[Reported, ...]
    ok: tuple[str, ...]
    not_checked: Mapping[str, str]
    notes: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def worst(self) -> Severity | None:
        """The gravest severity found; None: nothing found."""
        return next((s for s in SEVERITIES if any(f.severity == s for f in self.findings)), None)

    def exit_code(self, fail_on: Severity | Literal["never"] = "warning") -> int:
        """1 if there is a finding of severity `fail_on` or graver, else 0.

        Raises:
            UnknownName: no such severity.
        """
        if fail_on == "never":
            return 0
        if fail_on not in SEVERITIES:
            raise UnknownName("severity", fail_on, (*SEVERITIES, "never"))
        grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        return int(any(f.severity in grave for f in self.findings))

    def __str__(self) -> str:
        sizes = ", ".join(f"{n:,} {what}" for what, n in self.sizes.items())
        found = [f"{n} {s}{'s' if n > 1 and s != 'info' else ''}" for s in SEVERITIES if (n := self._number(s))]
        lines = [f"{sizes}: {', '.join(found) or 'nothing found'}"]
        lines += [f"note    {n}" for n in self.notes]
        lines += [str(f) for f in self.findings]
        if self.ok:
            lines.append(f"ok      {', '.join(self.ok)}")
        reasons: dict[str, list[str]] = {}
        for name, reason in self.not_checked.items():
            reasons.setdefault(reason, []).append(name)
        lines += [f"not checked: {reason}: {', '.join(names)}" for reason, names in reasons.items()]
        return "\n".join(lines)

    def _number(self, severity: Severity) -> int:
        return sum(f.severity == severity for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and text, for JSON."""
        return {
            "worst": self.worst,
            "sizes": dict(self.sizes),
            "notes": list(self.notes),
            "findings": [f.to_dict() for f in self.findings],
            "ok": list(self.ok),
            "not_checked": dict(self.not_checked),
        }
