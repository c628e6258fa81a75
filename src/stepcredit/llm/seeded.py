"""PyTorch, seeded and on one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
