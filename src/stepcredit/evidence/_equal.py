"""Is an answer the reference? As text, as a number, as a quantity, as mathematics. NaN = cannot tell."""

import re
import threading
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Literal

from stepcredit.errors import UnknownName
from stepcredit.evidence._answers import choice, squad, token_f1
from stepcredit.plugins import extra

How = Literal["exact", "normalized", "f1", "number", "choice", "units", "math"]
NAN = float("nan")
LONGEST = 1000
"""Longer texts are no number, quantity or expression: they are not read as one."""

_UNICODE = str.maketrans({"−": "-", "–": "-", "⁄": "/", "×": "x", "\u00a0": " "})
_LATEX = (
    (r"\$", "$"),
    (r"\%", "%"),
    (r"\,", ""),
    (r"\!", ""),
    (r"\ ", " "),
    ("{,}", ","),
    (r"\times", "x"),
    (r"\cdot", "x"),
)
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}")
_PLAIN = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
_VALUE = re.compile(
    rf"(?P<sign>[-+])?\s*(?P<money>[$€£¥])?\s*(?P<inner>[-+])?(?:(?P<whole>\d+)\s+(?=\d+\s*/))?(?P<top>{_PLAIN})"
    rf"(?:\s*/\s*(?P<bottom>{_PLAIN}))?(?:[eE](?P<e>[-+]?\d{{1,3}})|\s*x\s*10\s*\^\s*\{{?(?P<power>[-+]?\d{{1,3}})\}}?)?"
)
_UNIT = re.compile(r"(?:[^\W\d_]|[°%/*·()\s]|(?:\^|\*\*)\s?[-+]?\d{1,2}(?!\d))*")
_LONGEST_UNIT = 60
_EXPLOSIVE = re.compile(r"\^[^=+,]*\^|\^\s*\{?\s*\d{4}|!")
_PERCENT = re.compile(r"\s*(?:%|percent|per cent)$", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """How answers are compared.

    Args:
        how: "exact": equal texts; "normalized": equal in the normal form of SQuAD's script (its exact match); "f1":
            F1 of the shared words; "number", "choice" (one letter of `letters`), "units" (a number with a unit), "math"
            (expressions, by math-verify).
        tolerance: largest relative error of a number, of the reference. Two whole numbers must be equal.
        loose_percent: "12%" also equals 12; without, only 0.12.
        letters: those that can be chosen.
    """

    how: How = "exact"
    tolerance: float = 1e-9
    loose_percent: bool = False
    letters: str = "ABCDE"

    def __post_init__(self) -> None:
        if self.how not in _COMPARE:
            raise UnknownName("way to compare answers", self.how, _COMPARE)

    def __call__(self, answer: str, reference: str) -> float:
        """1 right, 0 wrong, between for F1; NaN where either cannot be read."""
        return _COMPARE[self.how](answer, reference, self)

    def key(self, answer: str) -> Any:
        """What equal answers share; None where the answer cannot be read, or equality is no matter of one text alone
        ("math")."""
        if self.how == "exact":
            return answer
        if self.how in ("normalized", "f1"):
            return squad(answer)
        if self.how == "choice":
            return choice(answer, self.letters)
        return number(answer) if self.how == "number" else quantity(answer) if self.how == "units" else None


def number(text: str) -> Fraction | None:
    r"""The number that a text is, exactly: 1,299.5; $5; 3/4; 1 1/2; 12% (0.12); 1.2e-3; 3 x 10^4; \frac{1}{2}; None if
    it is none, or more than one.

    >>> number("-$1,250.50"), number("1 1/2"), number("12 %"), number("1,5")
    (Fraction(-2501, 2), Fraction(3, 2), Fraction(3, 25), None)
    """
    text = _cleaned(text)
    bare = _PERCENT.sub("", text)
    found = _VALUE.fullmatch(bare)
    if found is None:
        return None
    top, bottom = _decimal(found["top"]), _decimal(found["bottom"] or "1")
    if bottom == 0 or (found["sign"] and found["inner"]):
        return None
    value = Fraction(int(found["whole"] or 0)) + top / bottom
    value *= Fraction(10) ** int(found["e"] or found["power"] or 0)
    if "-" in (found["sign"], found["inner"]):
        value = -value
    return value / 100 if bare != text else value


def quantity(text: str) -> tuple[Fraction, Any] | None:
    """(amount in base units, dimension) of a number with a unit; None if it cannot be read.

    Raises:
        MissingExtra: pint is not installed.
    """
    units, text = _units(), _cleaned(text)
    found = _VALUE.match(text)
    value = None if found is None else number(found.group())
    unit = "" if found is None else text[found.end() :].strip()
    if value is None or len(unit) > _LONGEST_UNIT or not _UNIT.fullmatch(unit):
        return None
    try:
        amount = units.Quantity(value, unit or "dimensionless").to_base_units()
    except Exception:  # a unit that there is not: pint has errors of many kinds for it
        return None
    return Fraction(amount.magnitude), frozenset(amount.dimensionality.items())


def _text_equal(answer: str, reference: str, rule: Rule) -> float:
    return float(answer == reference)


def _squad_equal(answer: str, reference: str, rule: Rule) -> float:
    return float(squad(answer) == squad(reference))


def _f1(answer: str, reference: str, rule: Rule) -> float:
    return token_f1(answer, reference)


def _choice(answer: str, reference: str, rule: Rule) -> float:
    mine, gold = choice(answer, rule.letters), choice(reference, rule.letters)
    return NAN if mine is None or gold is None else float(mine == gold)


def _number(answer: str, reference: str, rule: Rule) -> float:
    mine, gold = number(answer), number(reference)
    if mine is None or gold is None:
        return NAN
    if _near(mine, gold, rule.tolerance):
        return 1.0
    percents = (bool(_PERCENT.search(_cleaned(t))) for t in (answer, reference))
    if rule.loose_percent and len(set(percents)) == 2:
        hundred = Fraction(100)
        return float(_near(mine * hundred, gold, rule.tolerance) or _near(mine, gold * hundred, rule.tolerance))
    return 0.0


def _quantity(answer: str, reference: str, rule: Rule) -> float:
    mine, gold = quantity(answer), quantity(reference)
    if mine is None or gold is None:
        return NAN
    return float(mine[1] == gold[1] and _near(mine[0], gold[0], rule.tolerance))


def _math(answer: str, reference: str, rule: Rule) -> float:
    library = _math_verify()
    mine, gold = _expression(answer), _expression(reference)
    if not mine or not gold:
        return NAN
    try:
        return float(library.verify(list(gold), list(mine), timeout_seconds=_patience(), raise_on_error=True))
    except (Exception, library.errors.TimeoutException):  # not comparable, or not in time
        return NAN


_COMPARE: Mapping[str, Callable[[str, str, Rule], float]] = {
    "exact": _text_equal,
    "normalized": _squad_equal,
    "f1": _f1,
    "number": _number,
    "choice": _choice,
    "units": _quantity,
    "math": _math,
}


def _near(mine: Fraction, gold: Fraction, tolerance: float) -> bool:
    if mine == gold:
        return True
    if mine.denominator == 1 == gold.denominator or tolerance == 0:
        return False
    return abs(mine - gold) <= Fraction(tolerance) * abs(gold)


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip("."))


def _cleaned(text: str) -> str:
    """One line of plain text: Unicode made plain, LaTeX of numbers taken out; empty where it is too long."""
    if len(text) > LONGEST:
        return ""
    text = _FRACTION.sub(r" \1/\2", text)
    text = _TEXT.sub(r" \1", text.strip().strip("$") if text.count("$") == 2 else text)
    for old, new in _LATEX:
        text = text.replace(old, new)
    # NFKC would glue "1½" into "11⁄2".
    text = re.sub(r"(\d)(?=[¼-¾⅐-⅞])", r"\1 ", text)
    text = text.replace("²", "^2").replace("³", "^3")
    text = unicodedata.normalize("NFKC", text).translate(_UNICODE)
    return " ".join(text.split()).rstrip(".").rstrip()


@lru_cache(4096)
def _expression(text: str) -> tuple[Any, ...]:
    """What math-verify reads in a text: expressions; empty where it reads none."""
    library = _math_verify()
    endless = _patience() is None and _EXPLOSIVE.search(text)
    if len(text) > LONGEST or not text.strip() or endless:
        return ()
    marked = any(mark in text for mark in ("$", "\\boxed", "\\(", "\\["))
    try:
        read = library.parse(text if marked else f"${text}$", parsing_timeout=_patience(), raise_on_error=True)
    except (Exception, library.errors.TimeoutException):  # not readable, or not in time
        return ()
    return tuple(e for e in read if not isinstance(e, str))


def _patience() -> int | None:
    """Seconds for one expression. math-verify keeps time by an alarm, which only the main thread can set; elsewhere,
    towers of powers and factorials are not read at all."""
    return 5 if threading.current_thread() is threading.main_thread() else None


def _math_verify() -> Any:
    extra("math_verify.errors", 'how="math"', name="evidence")
    return extra("math_verify", 'how="math"', name="evidence")


@cache
def _units() -> Any:
    return extra("pint", 'how="units"', name="evidence").UnitRegistry(non_int_type=Fraction)
