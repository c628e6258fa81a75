"""Families of enumerable worlds: a file is a family, its function of the same name makes one world from a seed.

A rollout's length, the places where something is at stake and how much are parameters; the values are exact.

    >>> from stepcredit.envs import tabular
    >>> family = get("stop")
    >>> batch = tabular.sample([family(seed=i) for i in range(3)], 2, seed=0)
    >>> batch.layout.G, batch.layout.R
    (3, 6)
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from stepcredit.envs.tabular import World
from stepcredit.errors import UnknownName

_GROUP = "stepcredit.worlds"


def names() -> list[str]:
    """Every family, built-in and of installed plug-ins, sorted."""
    return sorted({*_files(), *(e.name for e in entry_points(group=_GROUP))})


def get(name: str) -> Callable[..., World]:
    """The function of this family; a built-in wins over a plug-in. Every option has a default.

    Raises:
        UnknownName: no such family.
    """
    if name in _files():
        function: Callable[..., World] = getattr(import_module(f"{__name__}.{name}"), name)
        return function
    entry = next(iter(entry_points(group=_GROUP, name=name)), None)
    if entry is None:
        raise UnknownName("world", name, names())
    plugin: Callable[..., World] = entry.load()
    return plugin


def _files() -> list[str]:
    return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))
