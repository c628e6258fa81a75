"""Keys to ids, exactly: a dictionary, never a hash that may collide."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Ints
from stepcredit.errors import LayoutError


def encode(values: Iterable[Hashable]) -> tuple[Ints, list[Hashable]]:
    """Ids 0, 1, ... in order of first appearance, and the key of each id.

    None and NaN are missing: each gets an id of its own (its key is None), so that a missing state equals no other.
    Keys are equal as Python has it: 1 == 1.0 == True, "1" != 1.

    Returns:
        ids [n], keys [number of ids].

    Raises:
        LayoutError: a key that cannot be hashed (a list, a dict): make it text first.

    >>> encode(["a", None, "a", None])
    (array([0, 1, 0, 2]), ['a', None, None])
    """
    values = values.tolist() if isinstance(values, np.ndarray) else list(values)
    number: defaultdict[Hashable, int] = defaultdict(count().__next__)
    try:
        ids = np.fromiter(map(number.__getitem__, values), np.int64, len(values))
    except TypeError:
        at = next(i for i, v in enumerate(values) if not _hashable(v))
        raise LayoutError(
            f"key {at} is a {type(values[at]).__name__}, which cannot be compared exactly",
            hint="use text, a number or a tuple; for nested data json.dumps(x, sort_keys=True)",
        ) from None
    if not any(k is None or k != k for k in number):
        return ids, list(number)
    return _with_missing(values)


def _with_missing(values: list[Hashable]) -> tuple[Ints, list[Hashable]]:
    ids: dict[Hashable, int] = {}
    keys: list[Hashable] = []
    fresh = count()
    out = np.empty(len(values), np.int64)
    for i, key in enumerate(values):
        if key is None or key != key:
            out[i] = next(fresh)
            keys.append(None)
        elif key in ids:
            out[i] = ids[key]
        else:
            out[i] = ids[key] = next(fresh)
            keys.append(key)
    return out, keys


def dense(x: NDArray[np.integer]) -> Ints:
    """Integers to ids 0, 1, ... in ascending order of value.

    >>> dense(np.array([7, 3, 7]))
    array([1, 0, 1])
    """
    if x.size == 0:
        return np.zeros(0, np.int64)
    low, high = int(x.min()), int(x.max())
    if high - low > 8 * x.size + 1024:
        ids: Ints = np.unique(x, return_inverse=True)[1]
        return ids.astype(np.int64, copy=False)
    shifted = x - low if low else x
    seen = np.zeros(high - low + 1, bool)
    seen[shifted] = True
    number = np.cumsum(seen) - 1
    return np.asarray(number[shifted], np.int64)


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
