"""Arithmetic in exact fractions."""

from fractions import Fraction

from stepcredit.label.checks._grammar import Tree
from stepcredit.label.checks._tokens import NotRead

_BITS = 4096


def value(tree: Tree) -> Fraction:
    """The number that a tree is.

    Raises:
        NotRead: it has names or functions, is no fraction, or is too large.

    >>> from stepcredit.label.checks._grammar import parse
    >>> value(parse("48 / 2 - 20%"))
    Fraction(119, 5)
    """
    kind, *rest = tree
    if kind == "num":
        found = Fraction(rest[0])
    elif kind == "neg":
        found = -value(rest[0])
    elif kind == "pct":
        found = value(rest[0]) / 100
    elif kind in ("add", "sub", "mul", "div"):
        left, right = value(rest[0]), value(rest[1])
        if kind == "div" and not right:
            raise NotRead("division by 0")
        found = left + right if kind == "add" else left - right if kind == "sub" else left * right
        found = left / right if kind == "div" else found
    elif kind == "pow":
        found = _power(value(rest[0]), value(rest[1]))
    else:
        raise NotRead(f"{rest[0] if kind in ('name', 'call') else kind} is no number")
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > _BITS:
        raise NotRead("a number too large")
    return found


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > 512:
        raise NotRead("a power that is no fraction, or too large")
    if not base and exponent < 0:
        raise NotRead("division by 0")
    if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(int(exponent)) > _BITS:
        raise NotRead("a number too large")
    return base ** int(exponent)


def places(tree: Tree) -> int:
    """Decimals that a number is shown with; 0 where it is no plain number."""
    kind, *rest = tree
    if kind in ("neg", "pct"):
        return places(rest[0]) + 2 * (kind == "pct" and rest[0][0] == "num" and "." in rest[0][1])
    return len(rest[0].partition(".")[2]) if kind == "num" and "e" not in rest[0].lower() else 0


def near(left: Fraction, right: Fraction, decimals: int) -> bool:
    """Equal, or one is the other rounded to the decimals that it is shown with; whole numbers must be equal.

    >>> near(Fraction(100, 3), Fraction("33.33"), 2), near(Fraction(100, 3), Fraction(33), 0)
    (True, False)
    """
    if left == right:
        return True
    if not decimals:
        return False
    off = abs(left - right)
    return off <= Fraction(1, 2 * 10 ** min(decimals, 60)) or off <= max(abs(left), abs(right)) / 10**9
