"""Packages that the core does without."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from stepcredit.errors import MissingExtra

_PIP = {"sklearn": "scikit-learn"}


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
        raise MissingExtra(_PIP.get(package.partition(".")[0], package), name, need) from None


@contextmanager
def seeded(torch: Any, seed: int) -> Iterator[None]:
    """PyTorch's random numbers from this seed on, and on one thread: small matrices are slower on several, and sums
    depend on how many there are. Afterwards all is as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
