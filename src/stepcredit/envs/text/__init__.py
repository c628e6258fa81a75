"""Worlds to act in by text: a file is a world, its function of the same name makes it with options.

What it gives has `name`, `tools`, `horizon` and `episode()`, an `stepcredit.protocols.Environment`.

    >>> lake = get("frozen_lake")(size=4)
    >>> episode = lake.episode()
    >>> print(episode.reset(seed=3)[0].splitlines()[-1])
    You are at row 1, column 1.
"""

from collections.abc import Callable
from typing import Any

from stepcredit.plugins import OpenSet

_SET = OpenSet("text world", __name__, "stepcredit.text_worlds")


def names() -> list[str]:
    """Every world, built-in and of installed plug-ins, sorted."""
    return _SET.names()


def get(name: str) -> Callable[..., Any]:
    """The function of this world; a built-in wins over a plug-in. Every option has a default.

    Raises:
        UnknownName: no such world.
    """
    function: Callable[..., Any] = _SET.function(name)
    return function
