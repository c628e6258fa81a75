"""The rules of Game of 24 in exact rationals: states, actions, and whether 24 can still be reached.

A state is the multiset of numbers left. An action replaces two of them by the result of one operation.
Negative and fractional results are legal, so `a - b` and `b - a` are two actions; division by zero is not an action.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import TypeAlias

from stepcredit.errors import StepCreditError

Numbers: TypeAlias = tuple[Fraction, ...]
State: TypeAlias = str | Iterable[int | str | Fraction]

TARGET = Fraction(24)
_NUMBER = re.compile(r"-?\d{1,18}(?:[./]\d{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Action:
    """`a op b = result`, and the numbers left `after` it."""

    a: Fraction
    op: str
    b: Fraction
    result: Fraction
    after: Numbers

    @property
    def key(self) -> str:
        return operation(self.a, self.op, self.b, self.result)


def operation(a: Fraction, op: str, b: Fraction, result: Fraction) -> str:
    """The text of one operation, which is also its action key: "10 - 4 = 6"."""
    return f"{a} {op} {b} = {result}"


def numbers(state: State) -> Numbers:
    """The numbers of a state in ascending order, from key text or from any iterable of exact numbers.

    Raises:
        StepCreditError: empty, or something that is no exact number (a float is none).

    >>> numbers("6 8/3 1") == numbers([1, 6, Fraction(8, 3)])
    True
    """
    parts = state.split() if isinstance(state, str) else list(state)
    try:
        exact = tuple(sorted(_exact(part) for part in parts))
    except (TypeError, ValueError, ZeroDivisionError):
        exact = ()
    if not exact:
        raise StepCreditError(f"not a state of Game of 24: {state!r}", hint='write the numbers left, like "1 5 8/3"')
    return exact


def _exact(part: int | str | Fraction) -> Fraction:
    if isinstance(part, str) and not _NUMBER.fullmatch(part):
        raise ValueError  # Fraction would also expand "1e999999999"
    if not isinstance(part, int | str | Fraction):
        raise TypeError
    return Fraction(part)


def key(state: State) -> str:
    """The one text of a state: ascending, fractions reduced. Equal exactly where states are equal.

    >>> key([6, 1, 5]), key("3 2.5 6/4")
    ('1 5 6', '3/2 5/2 3')
    """
    return " ".join(map(str, numbers(state)))


def actions(state: State) -> tuple[Action, ...]:
    """All distinct operations on two of the numbers, in a fixed order. `a + b` and `a * b` are written with a >= b.

    >>> [action.key for action in actions("2 0")]
    ['2 + 0 = 2', '2 * 0 = 0', '2 - 0 = 2', '0 - 2 = -2', '0 / 2 = 0']
    """
    return _actions(numbers(state))


@lru_cache(maxsize=1 << 16)
def _actions(exact: Numbers) -> tuple[Action, ...]:
    found: dict[tuple[Fraction, str, Fraction], Action] = {}
    for j in range(len(exact)):
        for i in range(j):
            rest = exact[:i] + exact[i + 1 : j] + exact[j + 1 :]
            for a, op, b, result in _operations(exact[j], exact[i]):
                if (a, op, b) not in found:
                    found[a, op, b] = Action(a, op, b, result, tuple(sorted((*rest, result))))
    return tuple(found.values())


def _operations(a: Fraction, b: Fraction) -> Iterator[tuple[Fraction, str, Fraction, Fraction]]:
    yield a, "+", b, a + b
    yield a, "*", b, a * b
    for x, y in ((a, b), (b, a)) if a != b else ((a, b),):
        yield x, "-", y, x - y
    for x, y in ((a, b), (b, a)) if a != b else ((a, b),):
        if y:
            yield x, "/", y, x / y


def solvable(state: State) -> bool:
    """Whether 24 can still be made from all the numbers left, each used once.

        exists a split of the numbers into A and B, x in values(A), y in values(B), x op y = 24

    where values(A) are all results of A. Results of parts are cached, so a puzzle costs about 0.1 ms.

    >>> solvable("3 3 8 8"), solvable("1 1 1 1"), solvable("24")
    (True, False, True)
    """
    return _solvable(numbers(state))


@lru_cache(maxsize=1 << 18)
def _solvable(exact: Numbers) -> bool:
    if len(exact) == 1:
        return exact[0] == TARGET
    for part, rest in _splits(exact):
        values = _values(rest)
        if any(y in values for x in _values(part) for y in _partners(x)):
            return True
    return False


def _partners(x: Fraction) -> Iterator[Fraction]:
    """Every y with x op y = 24 or y op x = 24."""
    yield from (TARGET - x, TARGET + x, x - TARGET)
    if x:
        yield from (TARGET / x, TARGET * x, x / TARGET)


@lru_cache(maxsize=1 << 16)
def _values(exact: Numbers) -> frozenset[Fraction]:
    if len(exact) == 1:
        return frozenset(exact)
    return frozenset(
        value
        for part, rest in _splits(exact)
        for x in _values(part)
        for y in _values(rest)
        for *_, value in _operations(x, y)
    )


def _splits(exact: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Each way to part the numbers in two, the smaller part first."""
    for mask in range(1, 1 << (len(exact) - 1)):
        part = tuple(x for i, x in enumerate(exact) if mask >> i & 1)
        rest = tuple(x for i, x in enumerate(exact) if not mask >> i & 1)
        yield (part, rest) if len(part) <= len(rest) else (rest, part)


def puzzles(highest: int = 13, cards: int = 4) -> tuple[str, ...]:
    """Keys of all solvable puzzles with that many cards of 1 to `highest`, in ascending order.

    >>> puzzles(highest=4, cards=3)
    ('2 3 4', '2 4 4', '3 3 4', '3 4 4')
    """
    hands = combinations_with_replacement(map(Fraction, range(1, highest + 1)), cards)
    return tuple(key(hand) for hand in hands if _solvable(hand))
