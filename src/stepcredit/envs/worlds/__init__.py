"""Families of enumerable worlds: a file is a family, its function of the same name makes one world from a seed.

A rollout's length, the places where something is at stake and how much are parameters; the values are exact.

    >>> from stepcredit.envs import tabular
    >>> family = get("stop")
    >>> batch = tabular.sample([family(seed=i) for i in range(3)], 2, seed=0)
    >>> batch.layout.G, batch.layout.R
    (3, 6)
"""

from collections.abc import Callable

from stepcredit.envs.tabular import World
from stepcredit.plugins import OpenSet

_SET = OpenSet("world", __name__, "stepcredit.worlds")


def names() -> list[str]:
    """Every family, built-in and of installed plug-ins, sorted."""
    return _SET.names()


def get(name: str) -> Callable[..., World]:
    """The function of this family; a built-in wins over a plug-in. Every option has a default.

    Raises:
        UnknownName: no such family.
    """
    function: Callable[..., World] = _SET.function(name)
    return function
