"""Find a kind of evidence by name: files in this folder, entry points of the group `stepcredit.evidence`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from stepcredit.credit.card import Preset
from stepcredit.credit.registry import convert_options
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.plugins import OpenSet

_NOT_EVIDENCE = ("card", "registry", "run", "experience_library")
_SET = OpenSet("kind of evidence", "stepcredit.evidence", "stepcredit.evidence")


@dataclass(frozen=True)
class Kind:
    """A kind of evidence: a function from a Batch (and models as further positional arguments) to a Batch with columns
    added. name: as asked for. base: the kind that a preset belongs to."""

    name: str
    base: str
    function: Callable[..., Any]
    card: EvidenceCard
    presets: Mapping[str, Preset]
    cost: Callable[..., Cost] | None = None
    preset: Preset | None = None

    @property
    def kind(self) -> str:
        """Always "evidence": a system that is a preset of a kind of evidence is evidence too."""
        return "evidence"

    @property
    def models(self) -> tuple[str, ...]:
        """Protocols that it must be given, by parameter name: ("judge",), ("sampler", "verifier")."""
        return tuple(n for n, p in self._models.items() if p.default is p.empty)

    @property
    def optional_models(self) -> tuple[str, ...]:
        """Protocols that it may be given, after the others."""
        return tuple(n for n, p in self._models.items() if p.default is not p.empty)

    @property
    def _models(self) -> dict[str, inspect.Parameter]:
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return {p.name: p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults, the preset's applied."""
        given = dict(self.preset.options) if self.preset else {}
        parameters = inspect.signature(self.function).parameters
        return {n: given.get(n, p.default) for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}

    @property
    def priced(self) -> frozenset[str]:
        """Options that its price depends on."""
        parameters = () if self.cost is None else inspect.signature(self.cost).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(self.options)
        return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    def check_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options to call with, the preset's included; numbers may be given as text ("0.95").

        Raises:
            UnknownName: no such option. StepCreditError: a value that the option does not take.
        """
        out = dict(self.preset.options) if self.preset else {}
        return {**out, **convert_options(self.name, self.function, self.options, given)}


@cache
def systems() -> dict[str, str]:
    """Presets that are published systems: their own name -> `base@preset`."""
    out = {}
    for base in built_in():
        for label, preset in getattr(_SET.load(base), "PRESETS", {}).items():
            if preset.system:
                out[preset.system] = f"{base}@{label}"
    return out


def built_in() -> list[str]:
    """Kinds of evidence in this folder."""
    return [n for n in _SET.built_in() if n not in _NOT_EVIDENCE]


def names(*, presets: bool = False) -> list[str]:
    """Every kind of evidence and every published system that is a preset of one; with `presets` every `kind@preset`."""
    out = {*(n for n in _SET.names() if n not in _NOT_EVIDENCE), *systems()}
    if presets:
        out |= {f"{base}@{label}" for base in built_in() for label in get(base).presets}
    return sorted(out)


def get(name: str) -> Kind:
    """The kind of evidence of this name, "judge_steps" or "rrm_rubric" or "judge_steps@capo".

    Raises:
        UnknownName: no such kind or preset.
    """
    base, _, label = name.partition("@")
    if not label and base in systems():
        base, _, label = systems()[base].partition("@")
    if base not in names():
        raise UnknownName("kind of evidence", base, names())
    module = _SET.load(base)
    function, card = getattr(module, base, None), getattr(module, "CARD", None)
    if not callable(function) or not isinstance(card, EvidenceCard):
        raise StepCreditError(
            f"{base} is no kind of evidence: it must define CARD (an EvidenceCard) and a function {base}"
        )
    found = Kind(name, base, function, card, getattr(module, "PRESETS", {}), getattr(module, "cost", None))
    if not label:
        return found
    if label not in found.presets:
        raise UnknownName(f"preset of {base}", label, found.presets)
    return replace(found, preset=found.presets[label])
