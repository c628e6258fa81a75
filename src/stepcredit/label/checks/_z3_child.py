"""The process in which Z3 works. Run as a file: a line of JSON in, a line out. It is given trees, never text.

A name is a truth value, a number (real) or a thing, by where it stands.
"""

import json
import resource
import sys
from fractions import Fraction
from typing import Any

import z3

_LOGIC = ("not", "and", "or", "implies", "iff")
_SUMS = ("add", "sub", "mul", "div", "neg", "pow", "pct")
_THING = z3.DeclareSort("Thing")
_SORTS = {"truth": z3.BoolSort(), "number": z3.RealSort(), "thing": _THING}
_LARGEST_POWER = 8


class _Refused(ValueError):
    pass


class _Kinds:
    """What kind each name is; equal names of one bound scope are one name."""

    def __init__(self) -> None:
        self.kind: dict[str, str] = {}
        self.calls: dict[tuple[str, int], tuple[list[str], str]] = {}
        self.changed = True

    def settle(self, tree: list[Any]) -> None:
        while self.changed:
            self.changed = False
            self.see(tree, "truth")

    def say(self, name: str, kind: str | None) -> str | None:
        known = self.kind.get(name)
        if kind is not None and known is None:
            self.kind[name], self.changed = kind, True
        elif kind is not None and known != kind:
            raise _Refused(f"{name} is used as a {known} and as a {kind}")
        return self.kind.get(name)

    def see(self, tree: list[Any], kind: str | None) -> str | None:
        """The kind of a tree, where `kind` is what its place wants (None: anything)."""
        head, *rest = tree
        if head == "num" or head in _SUMS:
            for part in rest if head != "num" else ():
                self.see(part, "number")
            return self._same(kind, "number")
        if head in _LOGIC:
            for part in rest:
                self.see(part, "truth")
            return self._same(kind, "truth")
        if head in ("forall", "exists"):
            self.see(rest[1], "truth")
            return self._same(kind, "truth")
        if head == "rel":
            self._relation(*rest)
            return self._same(kind, "truth")
        return self.say(rest[0], kind) if head == "name" else self._call(rest[0], rest[1], kind)

    def _same(self, wanted: str | None, is_: str) -> str:
        if wanted not in (None, is_):
            raise _Refused(f"a {is_} where a {wanted} is wanted")
        return is_

    def _relation(self, signs: list[str], terms: list[Any]) -> None:
        ordered = any(sign not in ("=", "!=") for sign in signs)
        kinds = {self.see(t, "number" if ordered else None) for t in terms} - {None}
        if len(kinds) > 1:
            raise _Refused(f"a {' and a '.join(sorted(map(str, kinds)))} cannot be compared")
        for t in terms if kinds else ():
            self.see(t, next(iter(kinds)))

    def _call(self, name: str, given: list[Any], kind: str | None) -> str | None:
        seen, result = self.calls.setdefault((name, len(given)), ([""] * len(given), ""))
        for i, part in enumerate(given):
            told = self.see(part, seen[i] or None)
            if told and not seen[i]:
                seen[i], self.changed = told, True
        if kind and not result:
            self.calls[name, len(given)] = (seen, kind)
            self.changed = True
        elif kind and result != kind:
            raise _Refused(f"{name} is used as a {result} and as a {kind}")
        return self.calls[name, len(given)][1] or None


def _built(tree: list[Any], kinds: _Kinds) -> Any:
    head, *rest = tree
    if head == "num":
        found = Fraction(rest[0])
        return z3.Q(found.numerator, found.denominator)
    if head == "name":
        return z3.Const(rest[0], _SORTS[kinds.kind.get(rest[0], "thing")])
    if head in ("forall", "exists"):
        bound = z3.Const(rest[0], _SORTS[kinds.kind.get(rest[0], "thing")])
        return (z3.ForAll if head == "forall" else z3.Exists)([bound], _built(rest[1], kinds))
    if head == "rel":
        terms = [_built(t, kinds) for t in rest[1]]
        return z3.And([_compared(s, a, b) for s, a, b in zip(rest[0], terms, terms[1:], strict=False)])
    if head == "call":
        seen, result = kinds.calls[rest[0], len(rest[1])]
        sorts = [_SORTS[k or "thing"] for k in seen]
        function = z3.Function(f"{rest[0]}/{len(seen)}", *sorts, _SORTS[result or "thing"])
        return function(*[_built(t, kinds) for t in rest[1]])
    return _operated(head, [_built(t, kinds) for t in rest], rest)


def _compared(sign: str, a: Any, b: Any) -> Any:
    return {
        "=": lambda: a == b,
        "!=": lambda: a != b,
        "<": lambda: a < b,
        "<=": lambda: a <= b,
        ">": lambda: a > b,
        ">=": lambda: a >= b,
    }[sign]()


def _operated(head: str, given: list[Any], rest: list[Any]) -> Any:
    if head == "pow":
        if rest[1][0] != "num" or not rest[1][1].isdigit() or int(rest[1][1]) > _LARGEST_POWER:
            raise _Refused(f"a power that is no whole number up to {_LARGEST_POWER}")
        out = z3.RealVal(1)
        for _ in range(int(rest[1][1])):
            out = out * given[0]
        return out
    a, b = given[0], given[-1]
    return {
        "not": lambda: z3.Not(a),
        "and": lambda: z3.And(a, b),
        "or": lambda: z3.Or(a, b),
        "implies": lambda: z3.Implies(a, b),
        "iff": lambda: a == b,
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "div": lambda: a / b,
        "neg": lambda: -a,
        "pct": lambda: a / 100,
    }[head]()


def _divisors(tree: list[Any]) -> list[Any]:
    head, *rest = tree
    if head in ("num", "name"):
        return []
    below = rest[1] if head in ("rel", "call") else [rest[1]] if head in ("forall", "exists") else rest
    return ([rest[1]] if head == "div" else []) + [d for part in below for d in _divisors(part)]


def _entails(premises: list[Any], conclusion: list[Any], seconds: float) -> tuple[bool | None, str]:
    """Whether premises and not conclusion cannot both be."""
    kinds = _Kinds()
    whole = ["implies", premises[0], conclusion] if premises else conclusion
    for one in premises[1:]:
        whole = ["implies", one, whole]
    kinds.settle(whole)
    if any(d[0] != "num" or not float(d[1]) for d in _divisors(whole)):
        raise _Refused("division by something that may be 0")
    solver = z3.Solver()
    solver.set("timeout", int(1000 * seconds))
    for one in premises:
        solver.add(_built(one, kinds))
    solver.add(z3.Not(_built(conclusion, kinds)))
    found = solver.check()
    if found == z3.unsat:
        return True, ""
    if found == z3.sat:
        return False, _said(solver.model())
    return None, f"Z3 cannot tell: {solver.reason_unknown()}"


def _said(model: Any) -> str:
    told = [f"{d.name()} = {model[d]}" for d in model.decls() if d.arity() == 0]
    return ", ".join(sorted(told))[:200]


def main() -> None:
    """Answer line after line."""
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for line in sys.stdin.buffer:
        given = json.loads(line)
        out: list[Any] = []
        for premises, conclusion in given["asked"]:
            try:
                out.append(_entails(premises, conclusion, given["seconds"]))
            except MemoryError:
                return
            except (_Refused, z3.Z3Exception, RecursionError) as error:
                out.append((None, str(error)[:200]))
        sys.stdout.buffer.write(json.dumps(out).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
