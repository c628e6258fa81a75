"""Packages that the core does without."""

from importlib import import_module
from typing import Any

from stepcredit.errors import MissingExtra


def extra(package: str, need: str, *, name: str = "llm") -> Any:
    """An optional package, imported now.

    Args:
        need: who asks for it, for the error. name: the extra that installs it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise MissingExtra(package, name, need) from None
