"""Arithmetic in exact fractions, and the claims of it that stand in plain text."""

import re
from fractions import Fraction
from functools import lru_cache

from stepcredit.label.checks._grammar import Tree
from stepcredit.label.checks._tokens import NotRead

_BITS = 4096
_LONGEST = 20_000
_NUMBER = r"(?:-\s?+)?(?:[$€£]\s?+)?+(?:(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?+|\.\d++)(?:\s?+%)?+"
_SIGN = r"(?:\*\*|[-+*/÷×·−–^]|[xX](?=\s?[$\d(.]))"
_TERM = rf"(?:[(]\s?+){{0,4}}{_NUMBER}(?:\s?+[)]){{0,4}}+"
_SIDE = rf"{_TERM}(?:\s*+{_SIGN}\s*+{_TERM}){{0,40}}+"
_CLAIM = re.compile(rf"{_SIDE}(?:\s*+=\s*+{_SIDE}){{1,12}}+")
_MARK = re.compile(r"<<([^<>]{1,200})>>")
_BEFORE = re.compile(
    r"(?:[\w.]|\d\s+|[*+/^=<>×÷(−–-]\s*|"
    r"\b(?:of|half|twice|double|triple|thrice|times|plus|minus|by|less|than|[^\W\d_])\s+)$",
    re.IGNORECASE,
)
_ITEM = re.compile(r"(?:^|\n)\s*$")
_AFTER = re.compile(r"\s*(?:[+*^×÷(]|[\d.,]\d|\s\d|[-−/–]\s*(?:[\d(]|[a-zA-Z]\b)|[xX]\b)")
_CALCULATES = re.compile(r"[\d)%]\s*(?:\*\*|[-+*/÷×·−–^])")
_TIMES = re.compile(r"(?<=[\d).%])\s*[xX]\s*(?=[$\d(.])")


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


@lru_cache(8192)
def marks(text: str) -> tuple[str, ...]:
    """What stands between << and >>.

    >>> marks("so 48 / 2 = <<48/2=24>>24 each")
    ('48/2=24',)
    """
    return tuple(_MARK.findall(text))


def unmarked(text: str) -> str:
    """A text without its marks.

    >>> unmarked("so 48 / 2 = <<48/2=24>>24 each")
    'so 48 / 2 = 24 each'
    """
    return _MARK.sub("", text)


@lru_cache(8192)
def claims(text: str) -> tuple[str, ...]:
    """Lines "a op b = c" in plain text, marks apart: those alone that surely begin and end where they seem to.

    >>> claims("She has 16 - 3 = 13 left, so $2 x 13 = $26; half of 4 + 6 = 8, 3 + y = 4, and y - 2 + 3 = 5.")
    ('16 - 3 = 13', '2 * 13 = 26')
    """
    text = unmarked(text)[:_LONGEST]
    out = []
    for found in _CLAIM.finditer(text):
        told, before = found[0], text[max(0, found.start() - 24) : found.start()]
        if told[0] == "-":
            if not _ITEM.search(before):
                continue  # "the price - 5 = 3" subtracts from the price
            if told[1] == " ":
                told = told[1:]  # the dash of a list
        told = _TIMES.sub(" * ", re.sub(r"[$€£]", "", told)).strip()
        alone = not _BEFORE.search(before) and not _AFTER.match(text, found.end())
        if alone and told.count("(") == told.count(")") and _CALCULATES.search(told):
            out.append(told)
    return tuple(out)
