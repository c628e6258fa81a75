"""Systems that plan: label systems and search policies, found by name as credit methods are.

A member is a file with a CARD, a generator function of the file's name whose keyword-only parameters are its options,
and, where papers or code read it differently, PRESETS.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from stepcredit.credit.card import Evidence, Preset
from stepcredit.credit.registry import convert_options
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import OpenSet, load_module


@dataclass(frozen=True, kw_only=True)
class PlanCard:
    """The card of a system that spends model calls.

    Args:
        title: full name, as published. paper: "arXiv:...", or where it was published. bibtex: for `stepcredit.cite`.
        evidence: how the algorithm was established, as in `credit.Card`.
        asks: models that it asks, by the names they have in `drive`. may_ask: those that some of its options ask.
        needs: what must be known or given, in words.
        cost: what it spends, in words.
        departures: from the paper or the official code.
        code: official code, if there is any.
    """

    title: str
    paper: str
    bibtex: str
    evidence: Evidence
    asks: tuple[str, ...]
    may_ask: tuple[str, ...] = ()
    needs: str
    cost: str
    departures: str
    code: str | None = None


@dataclass(frozen=True)
class Planner:
    """A label system or a search policy as the house sees it. name: as asked for. base: the file it stands in."""

    kind: str
    name: str
    base: str
    function: Callable[..., Any]
    card: PlanCard
    presets: Mapping[str, Preset]
    preset: Preset | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults, the preset's applied."""
        given = dict(self.preset.options) if self.preset else {}
        parameters = inspect.signature(self.function).parameters
        return {n: given.get(n, p.default) for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}

    def check_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options to call with, the preset's included; numbers may be given as text ("0.95").

        Raises:
            UnknownName: no such option. StepCreditError: a value that the option does not take.
        """
        out = dict(self.preset.options) if self.preset else {}
        return {**out, **convert_options(self.name, self.function, self.options, given)}


@dataclass(frozen=True)
class PlannerShelf:
    """The members of one kind: files of `folder`, entry points of `group`, and presets that are published systems."""

    kind: str
    folder: str
    group: str

    @property
    def _set(self) -> OpenSet:
        return OpenSet(self.kind, self.folder, self.group)

    def names(self, *, presets: bool = False) -> list[str]:
        """Every member and every published system that is a preset of one; with `presets` every `name@preset`."""
        out = {*self._set.names(), *_systems(self)}
        if presets:
            out |= {f"{base}@{label}" for base in self._set.names() for label in self.get(base).presets}
        return sorted(out)

    def get(self, name: str) -> Planner:
        """The member of this name, "beam" or "beam@its-hub", or of a Python file, "my_policy.py", "my_policy.py@mine".

        Raises:
            UnknownName: no such member or preset. StepCreditError: no such file; a card or a function is not there.
        """
        base, _, label = name.partition("@")
        if not label and base in _systems(self):
            base, _, label = _systems(self)[base].partition("@")
        if base.endswith(".py"):
            module, base = load_module(base, self.kind), Path(base).stem
        elif base in self._set.names():
            module = self._set.load(base)
            if callable(module):  # an entry point that names the function; the card stands beside it
                module, base = sys.modules[module.__module__], module.__name__
        else:
            raise UnknownName(self.kind, base, [*self.names(), "FILE.py"])
        function, card = getattr(module, base, None), getattr(module, "CARD", None)
        if not callable(function) or not isinstance(card, PlanCard):
            lacking = "a function " + base if not callable(function) else "CARD, a stepcredit.shelf.PlanCard"
            raise StepCreditError(f"{getattr(module, '__file__', base)} is no {self.kind}: it has no {lacking}")
        found = Planner(self.kind, name, base, function, card, getattr(module, "PRESETS", {}))
        if not label:
            return found
        if label not in found.presets:
            raise UnknownName(f"preset of {base}", label, found.presets)
        return replace(found, preset=found.presets[label])

    def around(self, function: Callable[..., Any]) -> Planner:
        """A function of yours as a member."""
        none = "not said"
        card = PlanCard(
            title=function.__name__,
            paper="",
            bibtex="",
            evidence="derived",
            asks=(),
            needs=none,
            cost=none,
            departures=none,
        )
        return Planner(self.kind, function.__name__, function.__name__, function, card, {})


@cache
def _systems(shelf: PlannerShelf) -> dict[str, str]:
    """Presets that are published systems: their own name -> `base@preset`."""
    found = OpenSet(shelf.kind, shelf.folder, shelf.group)
    return {
        preset.system: f"{base}@{label}"
        for base in found.built_in()
        for label, preset in getattr(found.load(base), "PRESETS", {}).items()
        if preset.system
    }
