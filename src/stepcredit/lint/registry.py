"""Find rules by name. A file in `rules/` is a rule; entry points of group `stepcredit.lint` add more."""

import inspect
from importlib import import_module
from typing import NamedTuple

from stepcredit.errors import StepCreditError
from stepcredit.lint.rule import Rule, RuleFunction
from stepcredit.plugins import OpenSet

_SET = OpenSet("rule", "stepcredit.lint.rules", "stepcredit.lint")


class Found(NamedTuple):
    """A rule: its name, card and function."""

    name: str
    rule: Rule
    function: RuleFunction

    @property
    def needs(self) -> tuple[str, ...]:
        """Arrays without which it cannot run."""
        return tuple(n for n, p in inspect.signature(self.function).parameters.items() if p.default is p.empty)

    @property
    def uses(self) -> tuple[str, ...]:
        """Arrays that it takes where they are there."""
        return tuple(n for n, p in inspect.signature(self.function).parameters.items() if p.default is not p.empty)


def names() -> list[str]:
    """Every rule, built-in and of installed plug-ins, sorted."""
    return _SET.names()


def get(name: str) -> Found:
    """The rule of this name; a built-in wins over a plug-in.

    Raises:
        UnknownName: no such rule.
    """
    function = _SET.function(name)
    module = import_module(function.__module__)
    rule = getattr(module, "RULE", None)
    if not isinstance(rule, Rule):
        raise StepCreditError(f"{module.__name__} is no rule: it must define RULE (a stepcredit.lint.Rule)")
    return Found(name, rule, function)
