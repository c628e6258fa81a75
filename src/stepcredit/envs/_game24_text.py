"""Game of 24 as models write it: lines like `10 - 4 = 6 (left: 5 6 6)` and `Answer: (10 - 4) * 5 - 6 = 24`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple

from stepcredit.envs._game24_rules import TARGET, Numbers, State, numbers, solvable
from stepcredit.errors import StepCreditError

_SIGNS = str.maketrans("×·∙⋅✕✖＊÷⁄∕／−–—－≈＝＋（）０１２３４５６７８９．：", "*******////----==+()0123456789.:")
_LATEX = {r"\times": "*", r"\cdot": "*", r"\div": "/", r"\left": "", r"\right": "", "**": " ", "`": " ", "$": " "}
_BULLET = re.compile(r"\s*(?:[-*+•>#]+\s+)*(?:\(?[0-9]{1,3}[.):]\s+)?")
_TIMES = re.compile(r"(?<=[0-9)])[ \t]*[xX][ \t]*(?=[0-9(-])")
_ANSWER = re.compile(r"\W*(?:the\s+)?(?:final\s+)?answer\b(?:\s+is\b)?\s*:?", re.IGNORECASE)
_LEFT = re.compile(r"\b(?:left|remaining)\b(?:[ \t]+numbers)?[ \t]*[:=]?([-*0-9\s.,;/&]*)", re.IGNORECASE)
_RATIONAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15}|/0*[1-9][0-9]{0,14})?")
_TOKEN = re.compile(r"[ \t]*(?:([0-9]{1,15}(?:\.[0-9]{1,15})?)|([-+*/()]))")
_LITERAL = re.compile(r"[ \t]*(?<![0-9./])([0-9]{1,15}/0*[1-9][0-9]{0,14})(?![0-9./])")
_EXPRESSION = "0123456789.+-*/() \t"
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}
_MOST_OPERANDS = 16

Fault = Literal["arithmetic", "numbers", "left"]


class _Written(NamedTuple):
    """A number as it stands in a line: its value, and how many decimals it was written with."""

    value: Fraction
    places: int

    def means(self, exact: Fraction) -> bool:
        if self.value == exact:
            return True
        return self.places >= 2 and abs(self.value - exact) <= Fraction(1, 10**self.places)


@dataclass(frozen=True, slots=True)
class Line:
    """One step as written.

    numbers: the operands in order of writing; the exact numbers of the state where they were found in it.
    op: the operators in order of writing: "-" in most lines, "*/" in `7 * 10 / 7 = 10`.
    result: what the line claims (of a chain of equalities, the last).
    left: the numbers it says are left, ascending; None if it does not say.
    fault: why the step is an error, the first of: the equation does not hold ("arithmetic"), an operand is not
        among the numbers of the state ("numbers"), the list of numbers left is wrong ("left"). None if it is right.
    after: the exact state after a right step; None after an error, or if no state was given.
    """

    numbers: Numbers
    op: str
    result: Fraction
    left: Numbers | None
    fault: Fault | None
    after: Numbers | None


class Truth(NamedTuple):
    """Whether 24 could still be reached before a step, and after it."""

    before: bool
    after: bool


def parse(line: str, state: State | None = None) -> Line | None:
    """Read one line of a chain of thought as a step; None when it is no step (prose, a heading, an answer).

    A step is an equation with an operator on its left side. A bullet, a number or words ending in a colon may stand
    before it and remarks behind it; `×`, `÷`, `−`, full-width and LaTeX signs are read. `5/3` without spaces is one
    number where that leaves an operator (and, given a state, where the state has it). A decimal of two or more places
    stands for any exact value within one unit of its last place; `6.667 * 6 = 40.002` is right by its own numbers.
    A missing list of numbers left is no error.

    Args:
        line: one line of text.
        state: the numbers before the step, as key text or numbers. Without it only the equation is judged.

    Raises:
        StepCreditError: `state` is no state. Never because of `line`.

    >>> parse("10 - 4 = 6 (left: 5 6 6)", "4 5 6 10").fault is None
    True
    >>> parse("10 - 4 = 6 (left: 5 6)", "4 5 6 10").fault
    'left'
    >>> parse("There is no solution.") is None
    True
    """
    before = None if state is None else numbers(state)
    text = _plain(line)
    found = None if _ANSWER.match(text) else _equation(_BULLET.sub("", text, count=1), before)
    if found is None:
        return None
    side, claims, rest = found
    said = _LEFT.search(rest)
    left = [_written(number) for number in _RATIONAL.findall(said[1])] if said else []
    operands, kept = _take(side.operands, before)
    exact, written = side.value(operands), side.value([x.value for x in side.operands])
    holds = all(any(claim.means(x) for x in (exact, written) if x is not None) for claim in claims)
    step = Line(
        numbers=tuple(operands),
        op=side.ops,
        result=claims[-1].value,
        left=tuple(sorted(x.value for x in left)) or None,
        fault=None if holds else "arithmetic",
        after=None,
    )
    if exact is None or not holds or before is None:
        return step
    if kept is None:
        return replace(step, fault="numbers")
    if left and not any(_take(left, (*kept, result))[1] == () for result in (exact, step.result)):
        return replace(step, fault="left")
    return replace(step, after=tuple(sorted((*kept, exact))))


def truth(state_before: State | None, line: str) -> Truth:
    """Whether 24 can be reached before and after a line; an error ends it. None for the state: it was lost before.

    A step is a decision point if `before`, and then good if `after`.

    Raises:
        StepCreditError: the line is no step, or the state no state.

    >>> truth("4 5 6 10", "10 - 4 = 6 (left: 5 6 6)"), truth("5 6 6", "6 * 6 = 30 (left: 5 30)")
    (Truth(before=True, after=True), Truth(before=True, after=False))
    """
    step = parse(line, state_before)
    if step is None:
        raise StepCreditError(f"not a step of Game of 24: {line[:80]!r}", hint="parse(line) is None for such lines")
    if state_before is None:
        return Truth(False, False)
    return Truth(solvable(state_before), step.after is not None and solvable(step.after))


def answer(line: str) -> str | None:
    """What an answer line answers; None if the line is none.

    >>> answer("Answer: (10 - 4) * 5 - 6 = 24")
    '(10 - 4) * 5 - 6 = 24'
    """
    text = _plain(line)
    head = _ANSWER.match(text)
    return text[head.end() :].strip() if head else None


def solves(puzzle: State, expression: str) -> bool:
    """Whether an expression (what follows a `=` is ignored) uses every number of the puzzle once and makes 24.

    >>> solves("4 5 6 10", "(10 - 4) * 5 - 6 = 24"), solves("4 5 6 10", "(6 - 4) * (10 + 2)")
    (True, False)
    """
    cards, text = numbers(puzzle), _plain(expression).partition("=")[0]
    for side in (_side(text, literal=True), _side(text, literal=False)):
        if side and tuple(sorted(x.value for x in side.operands)) == cards:
            return side.value([x.value for x in side.operands]) == TARGET
    return False


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of an equation: operands in order of writing, postfix code (an int is an operand), operators."""

    operands: tuple[_Written, ...]
    code: tuple[int | str, ...]
    ops: str

    def value(self, operands: Sequence[Fraction]) -> Fraction | None:
        """Its value with these operands; None where it divides by zero."""
        stack: list[Fraction] = []
        for item in self.code:
            if isinstance(item, int):
                stack.append(operands[item])
                continue
            b, a = stack.pop(), stack.pop()
            if item == "/" and not b:
                return None
            stack.append(a + b if item == "+" else a - b if item == "-" else a * b if item == "*" else a / b)
        return stack[0]


def _plain(line: str) -> str:
    text = line.translate(_SIGNS)
    for mark, sign in _LATEX.items():
        text = text.replace(mark, sign)
    return _TIMES.sub(" * ", text)


def _written(text: str) -> _Written:
    return _Written(Fraction(text), len(text.partition(".")[2]))


def _equation(text: str, before: Numbers | None) -> tuple[_Side, list[_Written], str] | None:
    """The first equation whose left side has an operator: that side, what it is said to equal, the text after `=`."""
    parts = re.split("=+", text)
    for i, part in enumerate(parts[:-1]):
        start = len(part.rstrip(_EXPRESSION))
        glued = part[:start][-1:].isalnum() and not part[start : start + 1].isspace()
        side = None if glued else _reading(part[start:], before)
        if side:
            claims = _claims(parts[i + 1 :])
            return (side, claims, "=".join(parts[i + 1 :])) if claims else None
    return None


def _reading(text: str, before: Numbers | None) -> _Side | None:
    sides = [side for side in (_side(text, literal=True), _side(text, literal=False)) if side and side.ops]
    fits = [side for side in sides if before is not None and _take(side.operands, before)[1] is not None]
    return next(iter(fits or sides), None)


def _claims(parts: Sequence[str]) -> list[_Written]:
    """What follows each `=`, as far as the chain of equalities goes without a word between."""
    claims = []
    for part in parts:
        end = len(part) - len(part.lstrip(_EXPRESSION))
        side = _side(part[:end].rstrip("(+-*/. \t"), literal=False)
        first = None if side else _RATIONAL.match(part[:end].lstrip())
        if side and side.ops:
            value = side.value([x.value for x in side.operands])
            claims += [] if value is None else [_Written(value, 0)]
        elif side:
            claims.append(side.operands[0])
        elif first:
            claims.append(_written(first[0]))
        if side is None or end < len(part):
            break
    return claims


def _side(text: str, *, literal: bool) -> _Side | None:
    """Operator precedence by a stack; a minus before a number belongs to it. None if `text` is no expression."""
    operands: list[_Written] = []
    code: list[int | str] = []
    waiting: list[str] = []
    position, wants_operand, sign, ops = 0, True, "", ""
    text = text.rstrip()
    while position < len(text):
        token = (_LITERAL.match(text, position) if literal else None) or _TOKEN.match(text, position)
        if token is None or len(operands) > _MOST_OPERANDS:
            return None
        position = token.end()
        if token[1]:
            if not wants_operand:
                return None
            code.append(len(operands))
            operands.append(_written(sign + token[1]))
            wants_operand, sign = False, ""
            continue
        mark = token[2]
        if sign or (wants_operand != (mark == "(") and not (wants_operand and mark == "-")):
            return None
        if mark == "(":
            waiting.append(mark)
        elif wants_operand:
            sign = mark
        elif mark == ")":
            while waiting and waiting[-1] != "(":
                code.append(waiting.pop())
            if not waiting:
                return None
            waiting.pop()
        else:
            while waiting and _RANK.get(waiting[-1], 0) >= _RANK[mark]:
                code.append(waiting.pop())
            waiting.append(mark)
            ops, wants_operand = ops + mark, True
    if wants_operand or "(" in waiting:
        return None
    return _Side(tuple(operands), (*code, *reversed(waiting)), ops)


def _take(written: Sequence[_Written], available: Numbers | None) -> tuple[list[Fraction], tuple[Fraction, ...] | None]:
    """Find each written number among those available, exact matches first; and what then remains (None: one is not)."""
    pool: list[Fraction] = list(available or ())
    found, missing = [], False
    for number in written:
        match = number.value if number.value in pool else next((x for x in pool if number.means(x)), None)
        if match is None:
            missing = True
        else:
            pool.remove(match)
        found.append(number.value if match is None else match)
    return found, None if missing else tuple(pool)
