"""Find rules by name. A file in `rules/` is a rule; entry points of group `stepcredit.lint` add more."""

import inspect
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import NamedTuple

from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.lint import rules as _folder
from stepcredit.lint.rule import Rule, RuleFunction

_GROUP = "stepcredit.lint"


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
    return sorted({*_files(), *(e.name for e in entry_points(group=_GROUP))})


def get(name: str) -> Found:
    """The rule of this name; a built-in wins over a plug-in.

    Raises:
        UnknownName: no such rule.
    """
    if name in _files():
        module = import_module(f"{_folder.__name__}.{name}")
        function = getattr(module, name)
    else:
        entry = next(iter(entry_points(group=_GROUP, name=name)), None)
        if entry is None:
            raise UnknownName("rule", name, names())
        function = entry.load()
        module = import_module(function.__module__)
    rule = getattr(module, "RULE", None)
    if not isinstance(rule, Rule):
        raise StepCreditError(f"{module.__name__} is no rule: it must define RULE (a stepcredit.lint.Rule)")
    return Found(name, rule, function)


def _files() -> list[str]:
    return sorted(m.name for m in iter_modules(_folder.__path__) if not m.name.startswith("_"))
