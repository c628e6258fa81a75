"""Arithmetic, by exact fractions: calculator marks <<48/2=24>>, and lines "48 / 2 = 24" of plain text."""

from fractions import Fraction

from stepcredit.label.checks import Known, Verdict, together
from stepcredit.label.checks._claims import claims, marks
from stepcredit.label.checks._exact import near, places, value
from stepcredit.label.checks._grammar import Tree, parse
from stepcredit.label.checks._tokens import NotRead


def calculator(step: str, known: Known) -> Verdict:
    """Right if every equation of numbers in the step holds, wrong if one does not.

    A number with decimals may be the exact one rounded to them; whole numbers must be equal. 25% is 0.25, and what
    stands behind = may mean 25 too. Nothing is executed: the sides are read by a parser and computed in fractions.

    >>> calculator("She has 16 - 3 = <<16-3=14>>14 left.", Known())
    Verdict(right=False, why='16-3=14: it is 13; 16 - 3 = 14: it is 13')
    """
    return together([v for text in (*marks(step), *claims(step)) for v in judged(text)], "no arithmetic")


def judged(text: str) -> list[Verdict]:
    """The verdict on each = of a chain.

    >>> judged("2 + 3 = 5 = 6")
    [Verdict(right=True, why='2 + 3 = 5'), Verdict(right=False, why='2 + 3 = 5 = 6: it is 5')]
    """
    try:
        tree = parse(text)
    except NotRead as error:
        return [Verdict(None, f"{text}: {error}")]
    if tree[0] != "rel" or set(tree[1]) != {"="}:
        return [Verdict(None, f"{text}: no equation")]
    pairs = list(zip(tree[2], tree[2][1:], strict=False))
    return [
        _equal(left, right, text if len(pairs) == 1 or i else _begin(text)) for i, (left, right) in enumerate(pairs)
    ]


def _begin(text: str) -> str:
    return "=".join(text.split("=")[:2]).strip()


def _equal(left: Tree, right: Tree, text: str) -> Verdict:
    try:
        a, b = value(left), value(right)
    except NotRead as error:
        return Verdict(None, f"{text}: {error}")
    percent = right[0] == "pct" and (a, b * 100)
    if near(a, b, max(places(left), places(right))) or (percent and near(*percent, places(right[1]))):
        return Verdict(True, text)
    return Verdict(False, f"{text}: it is {_told(a)}")


def _told(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"{float(number):.10g}"
