"""Chains of thought on the Game of 24: {"puzzle": "1 5 6 9", "rollouts": [text, ...], "correct": [0 or 1, ...]}.

- group: `puzzle`. rollout: position in `rollouts`. outcome: `correct`.
- step: one line that is not blank and not the heading "Steps:"; the answer line is a step.
- state: the numbers left before the step, ascending ("1 5 6", fractions as "8/3"), followed exactly from the
  puzzle. A line changes it if it is a true equation over numbers that are left, remarks behind it aside; a decimal
  of two or more places stands for any value within one unit of its last place. A line with an equation that is
  false, or cannot be read, or uses a number that is not left, or lists other numbers as left, loses the state: it
  is empty from there on. Other lines leave it as it is. final_state: the numbers left at the end; empty after an
  answer.
- action: the operation as "10 - 4", the smaller number of a sum or product first; for other lines the line itself.
- not known: rewards of steps, tokens.
"""

import ast
import operator
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from stepcredit.data.formats._fields import need, number, rest
from stepcredit.data.records import Rollout, Step
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = ("puzzle", "rollouts", "correct")

_EQUATION = re.compile(r"([-+*/().\d\s]{3,80})=\s*(-?[\d./]{1,20})(?:\s*\(left:([^)]*)\))?([^=]*)")
_RATIO = re.compile(r"(?<![\d.])(\d+)/(\d+)(?![\d.])")
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,9}|/\d{1,9})?")

_Left = Counter[Fraction]


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `puzzle`, `rollouts` and `correct`."""
    return set(FIELDS) <= first.keys()


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """As many rollouts a row as it lists."""
    for row in rows:
        with rows.guard(row):
            yield from _puzzle(row.value)


def _puzzle(row: dict[str, Any]) -> list[Rollout]:
    puzzle, texts, correct = need(row, "puzzle", str), need(row, "rollouts", list), need(row, "correct", list)
    if len(texts) != len(correct):
        raise DataError("one `correct` per rollout", got=len(correct), expected=len(texts))
    start = Counter(_numbers(puzzle))
    if not start:
        raise DataError("field 'puzzle' must list numbers", got=puzzle, expected="like '1 5 6 9'")
    extra = rest(row, FIELDS, Rollout.__struct_fields__)
    out = []
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"rollout {i} must be text", got=text, expected="text")
        steps, final = _steps(text, start)
        outcome = number(correct[i], f"correct[{i}]")
        out.append(
            Rollout(
                group=puzzle, rollout=i, outcome=outcome, task=puzzle, steps=steps, final_state=final, extra=dict(extra)
            )
        )
    return out


def _steps(text: str, start: _Left) -> tuple[list[Step], str | None]:
    """Steps of one chain, and the numbers left at its end."""
    left: _Left | None = start
    steps = []
    for line in filter(str.strip, text.splitlines()):
        if line.strip().casefold() == "steps:":
            continue
        answers = line.lstrip().casefold().startswith("answer")
        equation = None if answers else _EQUATION.fullmatch(line.strip())
        step = Step(state=_key(left), text=line, action=line.strip())
        steps.append(step)
        if answers:
            left = None
        elif equation:
            step.action = _operation(equation[1])
            left = None if left is None else _after(left, *equation.groups()[:3])
        elif "=" in line:
            left = None
    return steps, _key(left)


def _after(left: _Left, side: str, result: str, said: str | None) -> _Left | None:
    """The numbers left after a line; None where it is wrong. "4/3" without blanks is one number if it is left."""
    for text in (_RATIO.sub(r"(\1//\2)", side), side):
        after = left.copy()
        try:
            value = _value(ast.parse(text.strip(), mode="eval").body, after)
            if _means(result, value):
                after[value] += 1
                return after if _lists(said or "", after.copy()) else None
        except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
            continue
    return None


def _lists(said: str, left: _Left) -> bool:
    """Are these the numbers left? Saying nothing is no error."""
    listed = [_take(number, left) for number in _NUMBER.findall(said)]
    return not listed or (None not in listed and left.total() == 0)


def _value(node: ast.expr, left: _Left) -> Fraction:
    """The exact value of an expression; the numbers in it are taken from those left."""
    negative = (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    )
    ratio = isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv)
    if isinstance(node, ast.Constant) or negative or ratio:
        number = _take(ast.unparse(node).replace(" // ", "/"), left)
        if number is None:
            raise ValueError
        return number
    if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATORS:
        raise ValueError
    value: Fraction = _OPERATORS[type(node.op)](_value(node.left, left), _value(node.right, left))
    return value


def _take(text: str, left: _Left) -> Fraction | None:
    """Take the number that a text stands for from those left; None if there is none."""
    found = next((n for n in (Fraction(text), *left) if left[n] > 0 and _means(text, n)), None)
    if found is not None:
        left[found] -= 1
    return found


def _means(text: str, value: Fraction) -> bool:
    places = len(text.partition(".")[2])
    return abs(Fraction(text) - value) <= (Fraction(1, 10**places) if places >= 2 else 0)


def _operation(side: str) -> str:
    """Equal for equal operations: one blank around signs, 4 + 1 as 1 + 4."""
    parts = re.fullmatch(r"\s*([\d./]+)\s*([-+*/])\s*([\d./]+)\s*", side)
    if not parts:
        return " ".join(side.split())
    a, sign, b = parts.groups()
    if sign in "+*" and (len(b), b) < (len(a), a):
        a, b = b, a
    return f"{a} {sign} {b}"


def _numbers(text: str) -> list[Fraction]:
    try:
        return [Fraction(n) for n in _NUMBER.findall(text)]
    except ZeroDivisionError:
        return []


def _key(left: _Left | None) -> str | None:
    return None if left is None else " ".join(map(str, sorted(left.elements())))
