"""Every published system that runs here, whatever it is: a credit method, a preset of one, a selector, evidence, a
label system ("label/omegaprm"), a search policy ("search/beam"), a diagnosis method ("diagnose/contrast")."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from stepcredit import evidence
from stepcredit.credit.registry import METHODS, SELECTORS, Method
from stepcredit.credit.run import Credit
from stepcredit.credit.selection import Selected
from stepcredit.errors import UnknownName
from stepcredit.evidence import Kind
from stepcredit.shelf import Planner, PlannerShelf

System = Method | Kind | Planner
KINDS = ("method", "preset", "selector", "evidence", "label", "search", "diagnose")


@cache
def planners() -> Mapping[str, PlannerShelf]:
    """Room -> its systems that ask models, or may."""
    from stepcredit.diagnose.run import METHODS as DIAGNOSES
    from stepcredit.label.run import SYSTEMS  # what they stand on is loaded when it is needed
    from stepcredit.search.run import POLICIES

    return {"label": SYSTEMS, "search": POLICIES, "diagnose": DIAGNOSES}


def names(*, presets: bool = False) -> list[str]:
    """Every credit method, selector, kind of evidence, label system, search policy and diagnosis method, and every
    published system that is a preset of one.

    Args:
        presets: every `name@preset` too.

    >>> {"gigpo", "rloo", "state"} <= set(names())
    True
    """
    kinds = evidence.names(presets=presets)
    planned = {f"{room}/{name}" for room, shelf in planners().items() for name in shelf.names(presets=presets)}
    return sorted({*METHODS.names(presets=presets), *SELECTORS.names(presets=presets), *kinds, *planned})


def get(name: str) -> System:
    """What bears this name. Credit methods may be paths to files too; the room of what asks models may be
    left out where nothing else bears its name.

    Raises:
        UnknownName: nothing does; a preset that is not there.
    """
    room, _, rest = name.partition("/")
    if rest and room in planners():
        return planners()[room].get(rest)
    base = name if name.endswith(".py") else name.partition("@")[0]
    for shelf in (METHODS, SELECTORS):
        if base in shelf.names() or (shelf is METHODS and (".py" in base)):
            return shelf.get(name)
    if base in evidence.names():
        return evidence.get(name)
    for planner_shelf in planners().values():
        if base in planner_shelf.names():
            return planner_shelf.get(name)
    raise UnknownName("system", base, names())


def kind_of(system: System) -> str:
    """One of `KINDS`: what it is. A preset of a selector is a selector."""
    return "preset" if system.kind == "preset" and isinstance(system, Method) and system.of == "method" else _of(system)


def _of(system: System) -> str:
    if isinstance(system, Planner):
        return next(room for room, shelf in planners().items() if shelf.kind == system.kind)
    return system.of if isinstance(system, Method) else "evidence"


def name_of(system: System) -> str:
    """The name among all systems."""
    return f"{_of(system)}/{system.name}" if isinstance(system, Planner) else system.name


def describe(system: System) -> dict[str, Any]:
    """A system as plain data: its card, what it asks for, options, presets."""
    preset = system.preset
    told: dict[str, Any] = {
        "name": name_of(system),
        "kind": kind_of(system),
        "base": system.base,
        "title": _own(system, "title"),
        "paper": _own(system, "paper"),
        "evidence": _own(system, "evidence"),
        "needs_in_words": _own(system, "needs"),
        "cost": _own(system, "cost"),
        "options": {n: _plain(v) for n, v in system.options.items()},
        "reading": preset.source if preset else None,
        "presets": {
            n: {"options": {k: _plain(v) for k, v in p.options.items()}, "source": p.source}
            for n, p in system.presets.items()
        },
        "departures": _own(system, "departures"),
        "code": _own(system, "code"),
        "doc": system.function.__doc__,
    }
    if isinstance(system, Kind):
        return {**told, "adds": list(system.card.adds), "models": list(system.models)}
    if isinstance(system, Planner):
        return {**told, "models": [*system.card.asks, *system.card.may_ask]}
    return {
        **told,
        "per": system.card.per,
        "needs": list(system.needs),
        "uses": list(system.uses),
        "holds": sorted(system.holds),
        "waives": system.waives,
        "bias": _own(system, "bias"),
    }


def _own(system: System, field: str) -> Any:
    """What the preset says of itself, else the card. The code of another paper is none of its own."""
    given = getattr(system.preset, field) if system.preset else None
    if given is None and field == "code" and system.preset and system.preset.paper not in (None, system.card.paper):
        return None
    return getattr(system.card, field) if given is None else given


def _plain(value: Any) -> Any:
    if callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def cite(*used: str | Credit | Selected) -> str:
    """BibTeX entries of what was used, each once: of a Credit its method and the evidence that it was given.

    >>> print(cite("gigpo").splitlines()[0])
    @inproceedings{feng2025gigpo,
    """
    entries: dict[str, str] = {}
    for name in (n for one in used for n in _names_in(one)):
        system = get(name)
        own = system.preset.bibtex if system.preset else None
        entry = (own or system.card.bibtex).strip()
        entries.setdefault(entry.partition("{")[2].partition(",")[0], entry)
    return "\n\n".join(e for e in entries.values() if e)


def _names_in(one: str | Credit | Selected) -> list[str]:
    if isinstance(one, str):
        return [one]
    origins: Mapping[str, str] = one.batch.origins
    name = one.method if isinstance(one, Credit) else one.selector
    found = get(name)
    asked = (*found.needs, *found.uses) if isinstance(found, Method) else ()
    return [name, *(origins[column] for column in asked if column in origins)]
