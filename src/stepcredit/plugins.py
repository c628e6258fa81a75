"""Open sets (a folder with one file a member, and entry points of other packages: no list to keep), functions in files
of yours, and packages that the core does without."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module, util
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from stepcredit.errors import MissingExtra, StepCreditError, UnknownName


@dataclass(frozen=True)
class OpenSet:
    """The members of one kind.

    Args:
        kind: what one member is called in errors.
        folder: package whose modules are the members; a leading underscore makes a module private.
        group: entry points that add members. A built-in wins over a plug-in of its name; plug-ins are imported only
            when they are asked for.

    >>> OpenSet("segmenter", "stepcredit.segment", "stepcredit.segment").built_in()[:2]
    ['assistant_turns', 'constituents']
    """

    kind: str
    folder: str
    group: str

    def built_in(self) -> list[str]:
        """Members of the folder, sorted."""
        return list(_members(self.folder))

    def names(self) -> list[str]:
        """All members, sorted."""
        return sorted({*self.built_in(), *(e.name for e in entry_points(group=self.group))})

    def load(self, name: str) -> Any:
        """The module of a built-in member; of a plug-in, what its entry point names.

        Raises:
            UnknownName: no such member.
        """
        if name in self.built_in():
            return import_module(f"{self.folder}.{name}")
        for entry in entry_points(group=self.group, name=name):
            return entry.load()
        raise UnknownName(self.kind, name, self.names())

    def function(self, name: str) -> Any:
        """The function of a built-in member that bears its name; of a plug-in, what its entry point names."""
        member = self.load(name)
        return getattr(member, name) if name in self.built_in() else member


@cache
def _members(folder: str) -> tuple[str, ...]:
    """Public modules of a package, sorted; looked for once, as a training loop asks at every batch."""
    found = (m.name for m in iter_modules(import_module(folder).__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load_module(file: str, wanted: str) -> Any:
    """The module of a Python file; it is run, as any Python file of yours would be.

    Args:
        wanted: what was to be there, for the error.

    Raises:
        StepCreditError: no such file.
    """
    spec = util.spec_from_file_location(Path(file).stem, file) if Path(file).is_file() else None
    if spec is None or spec.loader is None:
        raise StepCreditError(f"no Python file {file!r}", hint=wanted)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_function(source: str, option: str) -> Callable[..., Any]:
    """The function that `FILE.py:FUNCTION` names; its file is run, as any Python file of yours would be.

    Args:
        option: what it was given to, for errors.

    Raises:
        StepCreditError: no such file. UnknownName: no such function in it.
    """
    file, _, name = source.rpartition(":")
    module = load_module(file, f"{option} FILE.py:FUNCTION")
    function = getattr(module, name, None)
    if not callable(function):
        raise UnknownName(f"function in {file}", name, [n for n in vars(module) if not n.startswith("_")])
    return function  # type: ignore[no-any-return]


_PIP = {"sklearn": "scikit-learn"}  # packages whose name is not that of their module, "_" for "-" apart


def extra(module: str, need: str, *, name: str) -> Any:
    """A module of an optional package, imported now.

    Args:
        need: what for, for the error. name: the extra that installs it.

    Raises:
        MissingExtra: it is not installed.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise MissingExtra(_PIP.get(package, package.replace("_", "-")), name, need) from None
