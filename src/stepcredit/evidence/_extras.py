"""Optional packages, imported where they are needed."""

from functools import cache
from importlib import import_module
from typing import Any

from stepcredit.errors import MissingExtra


@cache
def load(module: str, need: str, *, package: str | None = None) -> Any:
    """A module of an optional package.

    Raises:
        MissingExtra: it is not installed; need says what for.
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtra(package or module.partition(".")[0], "evidence", need) from None
