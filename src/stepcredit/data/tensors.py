"""What trainers hold, tensors and series, as NumPy arrays; torch is not imported."""

from typing import Any

import numpy as np


def plain(values: Any) -> Any:
    """A torch tensor (known by its methods) or anything else that turns into an array as a NumPy array; a list with
    tensors in it as a list of arrays and numbers; the rest as it is."""
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    if isinstance(values, list | tuple) and any(hasattr(v, "detach") for v in values):
        return [_number(plain(v)) for v in values]
    return np.asarray(values) if hasattr(values, "__array__") else values


def _number(value: Any) -> Any:
    """A tensor without axes is a number: ids are compared by value."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
