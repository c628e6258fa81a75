"""Which points no other one beats."""

import numpy as np

from stepcredit.data.layout import Bools, Floats


def pareto_front(points: Floats) -> Bools:
    """[n] whether no other row is at least as large everywhere and larger somewhere. Equal rows are beaten together
    or not at all.

    >>> pareto_front(np.array([[0.3, 2.0], [0.6, 1.4], [0.5, 1.0]]))
    array([ True,  True, False])
    """
    x = np.asarray(points, float)
    no_less = np.all(x[None, :, :] >= x[:, None, :], axis=2)
    more = np.any(x[None, :, :] > x[:, None, :], axis=2)
    return np.asarray(~np.any(no_less & more, axis=1))
