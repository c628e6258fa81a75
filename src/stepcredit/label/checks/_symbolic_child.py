"""The process in which SymPy works. Run as a file: a line of JSON in, a line out. It is given trees, never text."""

import json
import resource
import sys
from fractions import Fraction
from typing import Any

import sympy

_FUNCTIONS = {
    "sqrt": sympy.sqrt,
    "abs": sympy.Abs,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "exp": sympy.exp,
    "ln": sympy.log,
    "floor": sympy.floor,
    "ceil": sympy.ceiling,
}
_CONSTANTS = {"pi": sympy.pi}
_MOST_SYMBOLS, _MOST_KNOWN, _LARGEST_POWER = 4, 8, 64


class _Refused(ValueError):
    pass


def _built(tree: list[Any]) -> Any:
    kind, *rest = tree
    if kind == "num":
        found = Fraction(rest[0])
        return sympy.Rational(found.numerator, found.denominator)
    if kind == "name":
        return _CONSTANTS.get(rest[0]) or sympy.Symbol(rest[0], real=True)
    if kind == "neg":
        return -_built(rest[0])
    if kind == "pct":
        return _built(rest[0]) / 100
    if kind in ("add", "sub", "mul", "div"):
        left, right = _built(rest[0]), _built(rest[1])
        if kind == "div" and right == 0:
            raise _Refused("division by 0")
        if kind in ("add", "sub"):
            return left + right if kind == "add" else left - right
        return left * right if kind == "mul" else left / right
    if kind == "pow":
        base, exponent = _built(rest[0]), _built(rest[1])
        if exponent.is_number and abs(exponent) > _LARGEST_POWER:
            raise _Refused("a power too large")
        if exponent.atoms(sympy.Pow) and base.is_number:
            raise _Refused("a tower of powers")
        return base**exponent
    if kind == "call" and rest[0] in _FUNCTIONS and len(rest[1]) == 1:
        return _FUNCTIONS[rest[0]](_built(rest[1][0]))
    raise _Refused(f"{rest[0] if kind == 'call' else kind} is not known here")


def _zero(gap: Any) -> bool | None:
    """Whether an expression without symbols is 0; None = cannot be told."""
    if gap == 0:
        return True
    if not gap.is_finite:
        return None
    told = gap.equals(0)
    return None if told is None else bool(told)


def _near(left: Any, right: Any, places: int) -> bool | None:
    gap = sympy.nsimplify(left - right) if left.is_Rational and right.is_Rational else left - right
    same = _zero(gap)
    if same is not False or not places:
        return same
    off, noise = abs(sympy.N(gap, 40)), abs(sympy.N(right, 40)) * sympy.Rational(1, 10**9)
    return bool(off <= sympy.Rational(1, 2 * 10**places)) or bool(off <= noise)


def _order(sign: str, gap: Any) -> bool | None:
    same = _zero(gap)
    if same is None:
        return None
    if same:
        return sign in ("<=", ">=")
    number = sympy.N(gap, 40)
    return None if not number.is_real else bool(number < 0) == (sign in ("<", "<="))


def _solutions(known: list[list[Any]], symbols: set[Any]) -> list[dict[Any, Any]] | str:
    """What the equations that stand before say of these symbols; in words where they say nothing."""
    equations: list[Any] = []
    reached = set(symbols)
    built = [_built(a) - _built(b) for a, b in known[-4 * _MOST_KNOWN :]]
    grown = True
    while grown:
        grown = False
        for one in built:
            if one not in equations and one.free_symbols & reached and len(equations) < _MOST_KNOWN:
                equations.append(one)
                reached |= one.free_symbols
                grown = True
    if not equations:
        return "nothing before says what it is"
    if len(reached) > _MOST_SYMBOLS:
        return "too many unknowns"
    found = sympy.solve(equations, sorted(reached, key=str), dict=True)
    return found or "what stands before has no solution"


def _judge(sign: str, left: Any, right: Any, places: int, known: list[list[Any]]) -> tuple[bool | None, str]:
    a, b = _built(left), _built(right)
    gap = a - b
    symbols = gap.free_symbols
    if not symbols:
        if sign in ("=", "!="):
            same = _near(a, b, places)
            return (None if same is None else same == (sign == "="), "")
        return _order(sign, gap), ""
    if sign != "=":
        return None, "an inequality of unknowns"
    plain = sympy.simplify(gap)
    if not plain.free_symbols:
        same = _zero(plain)
        return same, "for all values" if same else "for no value"
    if not known:
        return None, "nothing before says what it is"
    solutions = _solutions(known, symbols)
    if isinstance(solutions, str):
        return None, solutions
    told = []
    for one in solutions:
        at = sympy.simplify(plain.subs(one))
        if at.free_symbols:
            return None, "what stands before does not settle it"
        told.append(_near(at, sympy.Integer(0), places))
    if any(told):
        return True, "it follows from what stands before" if all(told) else "one of several solutions"
    return (None, "cannot be told") if None in told else (False, f"what stands before says {_said(solutions)}")


def _said(solutions: list[dict[Any, Any]]) -> str:
    return " or ".join(", ".join(f"{k} = {v}" for k, v in one.items()) for one in solutions[:3])[:200]


def _answered(given: dict[str, Any]) -> list[Any]:
    known = list(given["known"])
    out = []
    for sign, left, right, places, other in given["pairs"]:
        try:
            right_, why = _judge(sign, left, right, places, known)
            if right_ is False and other is not None:
                right_, why = _judge(sign, left, other, max(places - 2, 0), known)
        except MemoryError:
            raise
        except Exception as error:  # SymPy has errors of many kinds for what it cannot do
            right_, why = None, str(error)[:200] or type(error).__name__
        out.append([right_, why])
        if sign == "=" and right_ is not False:
            known.append([left, right])
    return out


def main() -> None:
    """Answer line after line."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sys.setrecursionlimit(2000)
    for line in sys.stdin.buffer:
        try:
            told = json.dumps(_answered(json.loads(line)))
        except MemoryError:
            return
        sys.stdout.buffer.write(told.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
