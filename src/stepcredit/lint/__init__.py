"""Is this advantage tensor sane? Each rule would have caught a public bug. A file in `rules/` is a rule.

>>> from stepcredit import lint
>>> report = lint.check([[0.5, 0.5], [-0.5]], group=["p", "p"], outcome=[1, 0])
>>> report.worst, report.exit_code()
(None, 0)
>>> lint.check([[0.5, 0.5], [float("nan")]]).findings[0].name
'non_finite'

A rule is a card and a function whose parameters name the arrays it needs (`arrays.TABLE`):

    RULE = Rule(title="...", bug="repo#number: what happened", why="...", mend="...", severity="warning")

    def my_rule(credit, rollout_group, method=None):
        return [Finding("3 rollouts ...", 3, {"rollout": [1, 4, 7]})]      # [] where all is well

Plug-ins offer such a function as an entry point of group `stepcredit.lint`.
"""

from stepcredit.lint.arrays import TABLE, Array
from stepcredit.lint.registry import get, names
from stepcredit.lint.report import Report, Reported
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule, Severity
from stepcredit.lint.run import check, check_batch

__all__ = [
    "TABLE",
    "Array",
    "Declared",
    "Finding",
    "NotChecked",
    "Report",
    "Reported",
    "Rule",
    "Severity",
    "check",
    "check_batch",
    "get",
    "names",
]
