"""Call a function on a module of another package once that module has run, without importing it now."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Call = Callable[[ModuleType], None]


def after_import(module: str, call: Call) -> None:
    """Have `call(module)` run as the last thing of the module's import; now, if it is imported already.

    A reload calls again. `call` must not raise: an error would become that of whoever imports the module.
    """
    if not any(f is _FINDER for f in sys.meta_path):
        sys.meta_path.insert(0, _FINDER)
    _FINDER.calls.setdefault(module, []).append(call)
    loaded = sys.modules.get(module)
    if loaded is not None and not _running(loaded):
        call(loaded)


def forget(call: Call) -> None:
    """Have it run no more."""
    for calls in _FINDER.calls.values():
        if call in calls:
            calls.remove(call)


def _running(module: ModuleType) -> bool:
    """Whether its import has begun and not ended."""
    return bool(getattr(module.__spec__, "_initializing", False))


class _Finder(MetaPathFinder):
    def __init__(self) -> None:
        self.calls: dict[str, list[Call]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        calls = self.calls.get(fullname)
        if not calls:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if finder is self or find is None else find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, calls)
                return spec
        return None


class _Loader(Loader):
    """The real loader, which everything but `exec_module` goes to."""

    def __init__(self, real: Any, calls: list[Call]) -> None:
        self._real, self._calls = real, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._real.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._real
        self._real.exec_module(module)
        for call in list(self._calls):
            call(module)


_FINDER = _Finder()
