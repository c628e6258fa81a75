"""Arithmetic, equations and logic as trees: a parser of our own, so that nothing of a model's text is ever executed.

    a + b * c^2, 2x, sqrt(x), 20%      relations = != < <= > >=, chains   LaTeX: \\frac{a}{b}, \\sqrt[3]{x}
    not & | -> <->   forall x: P(x)    P(a), {A}{a}, {A}x                          signs of logic: ¬ ∧ ∨ → ↔ ∀ ∃

A tree is a list: ["num", "1.5"], ["name", "x"], ["add", a, b], ["rel", ["=", "<"], [a, b, c]], ["forall", "x", body].
"""

from functools import lru_cache
from typing import Any

from stepcredit.label.checks._tokens import FUNCTIONS, GREEK, NotRead, tokens

Tree = list[Any]
LONGEST = 600
_DEEPEST = 60


_RELATIONS = ("=", "!=", "<", "<=", ">", ">=")


@lru_cache(8192)
def parse(text: str, latex: bool = False) -> Tree:
    """The tree of a whole text.

    Args:
        latex: braces group; else {A} is a name, as in the problems of FLD.

    Raises:
        NotRead: it is too long, too deep, or not of the grammar.

    >>> parse("2x + 4 = 10")
    ['rel', ['='], [['add', ['mul', ['num', '2'], ['name', 'x']], ['num', '4']], ['num', '10']]]
    >>> parse("A & (A -> B) -> B")[0], parse(r"\\frac{1}{2}", True)
    ('implies', ['div', ['num', '1'], ['num', '2']])
    """
    if len(text) > LONGEST:
        raise NotRead(f"longer than {LONGEST} characters")
    reader = _Reader(tokens(text, latex), latex)
    tree = reader.formula(0)
    if reader.at < len(reader.tokens):
        raise NotRead(f"cannot go on at {reader.tokens[reader.at][1]!r}")
    return tree


def names(tree: Tree) -> set[str]:
    """All names in a tree that no quantifier binds, those of functions and predicates apart."""
    kind, *rest = tree
    if kind == "name":
        return {rest[0]}
    if kind == "num":
        return set()
    if kind in ("forall", "exists"):
        return names(rest[1]) - {rest[0]}
    return set().union(*(names(part) for part in parts(tree)))


def parts(tree: Tree) -> list[Tree]:
    """The trees directly below a tree."""
    kind, *rest = tree
    if kind in ("num", "name"):
        return []
    if kind == "rel":
        return list(rest[1])
    if kind == "call":
        return list(rest[1])
    return [rest[1]] if kind in ("forall", "exists") else list(rest)


def shown(tree: Tree) -> str:
    """A tree as text.

    >>> shown(parse("2x+4=10"))
    '2*x + 4 = 10'
    """
    kind, *rest = tree
    if kind in ("num", "name"):
        return str(rest[0])
    if kind == "rel":
        told = [_inside(x, "rel") for x in rest[1]]
        return told[0] + "".join(f" {op} {x}" for op, x in zip(rest[0], told[1:], strict=True))
    if kind == "call":
        return f"{rest[0]}({', '.join(map(shown, rest[1]))})"
    if kind in ("forall", "exists"):
        return f"{kind} {rest[0]}: {shown(rest[1])}"
    if kind == "pct":
        return f"{_inside(rest[0], kind)}%"
    sign, one = _SHOWN[kind]
    return sign + _inside(rest[0], kind) if one else sign.join(_inside(x, kind) for x in rest)


_SHOWN = {
    "neg": ("-", True),
    "not": ("~", True),
    "add": (" + ", False),
    "sub": (" - ", False),
    "mul": ("*", False),
    "div": ("/", False),
    "pow": ("^", False),
    "and": (" & ", False),
    "or": (" | ", False),
    "implies": (" -> ", False),
    "iff": (" <-> ", False),
}
_ORDER = ("iff", "implies", "or", "and", "not", "rel", "add sub", "mul div", "neg", "pow", "pct")
_LEVEL = {kind: i for i, level in enumerate(_ORDER) for kind in level.split()}


def _inside(tree: Tree, outer: str) -> str:
    if tree[0] in ("forall", "exists"):
        return f"({shown(tree)})"
    bare = tree[0] not in _LEVEL or _LEVEL[tree[0]] > _LEVEL[outer]
    same = tree[0] == outer in ("add", "mul", "and", "or")
    return shown(tree) if bare or same else f"({shown(tree)})"


class _Reader:
    """Recursive descent, the loosest sign first."""

    def __init__(self, tokens: list[tuple[str, str]], latex: bool) -> None:
        self.tokens, self.latex, self.at = tokens, latex, 0

    def peek(self, *signs: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][0] == "sign" and self.tokens[self.at][1] in signs

    def take(self, *signs: str) -> str | None:
        if not self.peek(*signs):
            return None
        self.at += 1
        return self.tokens[self.at - 1][1]

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise NotRead(f"expected {sign!r}")

    def formula(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise NotRead("nested too deeply")
        left = self._implication(depth + 1)
        while self.take("<->"):
            left = ["iff", left, self._implication(depth + 1)]
        return left

    def _implication(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise NotRead("nested too deeply")
        left = self._joined(depth, "|", "or")
        return ["implies", left, self._implication(depth + 1)] if self.take("->") else left

    def _joined(self, depth: int, sign: str, kind: str) -> Tree:
        def following() -> Tree:
            return self._joined(depth, "&", "and") if sign == "|" else self._denial(depth)

        left = following()
        while self.take(sign):
            left = [kind, left, following()]
        return left

    def _denial(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise NotRead("nested too deeply")
        if self.take("~"):
            return ["not", self._denial(depth + 1)]
        if bound := self._quantifier():
            kind, name, all_ = bound
            return [kind, name, self.formula(depth + 1) if all_ else self._denial(depth + 1)]
        return self._relation(depth)

    def _quantifier(self) -> tuple[str, str, bool] | None:
        """forall x:, exists x., (x): and (Ex): of FLD. With a colon or point it holds of all that follows."""
        if kind := self.take("forall", "exists"):
            if self.at >= len(self.tokens) or self.tokens[self.at][0] != "name":
                raise NotRead(f"{kind} without a name")
            self.at += 1
            name = self.tokens[self.at - 1][1]
            return kind, name, self.take(":", ".", ",") is not None
        near = self.tokens[self.at : self.at + 4]
        if len(near) == 4 and [near[0], near[2], near[3]] == [("sign", "("), ("sign", ")"), ("sign", ":")]:
            kind, word = near[1]
            if kind == "name":
                self.at += 4
                exists = len(word) == 2 and word[0] == "E"
                return ("exists", word[1], True) if exists else ("forall", word, True)
        return None

    def _relation(self, depth: int) -> Tree:
        terms, signs = [self._sum(depth + 1)], []
        while sign := self.take(*_RELATIONS):
            signs.append(sign)
            terms.append(self._sum(depth + 1))
        return ["rel", signs, terms] if signs else terms[0]

    def _sum(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise NotRead("nested too deeply")
        left = self._product(depth)
        while sign := self.take("+", "-"):
            left = ["add" if sign == "+" else "sub", left, self._product(depth)]
        return left

    def _product(self, depth: int) -> Tree:
        left = self._signed(depth)
        while True:
            if sign := self.take("*", "/"):
                left = ["mul" if sign == "*" else "div", left, self._signed(depth)]
            elif self._goes_on(left):
                left = ["mul", left, self._power(depth)]
            else:
                return left

    def _goes_on(self, left: Tree) -> bool:
        """2x, 2(x + 1), (x + 1)(x - 1), 2\\sqrt{x}: but not two words, two numbers, or a unit."""
        if self.at >= len(self.tokens):
            return False
        kind, word = self.tokens[self.at]
        ends = left
        while ends[0] in ("mul", "div"):
            ends = ends[2]
        if kind == "num":
            return False
        if kind == "name":
            return (self.latex or ends[0] == "num") and (len(word) == 1 or word in (*FUNCTIONS, *GREEK))
        return kind == "tex" or ((kind, word) == ("sign", "(") and ends[0] != "name")

    def _signed(self, depth: int) -> Tree:
        if depth > _DEEPEST:
            raise NotRead("nested too deeply")
        if self.take("-"):
            return ["neg", self._signed(depth + 1)]
        if self.take("+"):
            return self._signed(depth + 1)
        return self._power(depth)

    def _power(self, depth: int) -> Tree:
        base = self._atom(depth)
        while self.take("%"):
            base = ["pct", base]
        if self.take("^"):
            if self.latex and self.peek("{"):
                return ["pow", base, self._group(depth)]
            return ["pow", base, self._signed(depth + 1)]
        return base

    def _group(self, depth: int) -> Tree:
        self.need("{")
        inner = self.formula(depth + 1)
        self.need("}")
        return inner

    def _atom(self, depth: int) -> Tree:
        if self.at >= len(self.tokens):
            raise NotRead("ends too early")
        kind, word = self.tokens[self.at]
        self.at += 1
        if kind == "num":
            return ["num", word]
        if kind == "name":
            return self._named(word, depth)
        if kind == "tex":
            return self._tex(word, depth)
        if word == "(" or (word == "{" and self.latex):
            inner = self.formula(depth + 1)
            self.need(")" if word == "(" else "}")
            return inner
        if word == "{":
            self.at -= 1
            return self._braced(depth)
        raise NotRead(f"cannot begin with {word!r}")

    def _braced(self, depth: int) -> Tree:
        """{A}, {A}{a}, {A}x, {A}{a}{b}: a name and what it is said of."""
        name, said = self._brace(), []
        while self.at < len(self.tokens):
            if self.peek("{"):
                said.append(["name", self._brace()])
            elif self.tokens[self.at][0] == "name" and len(self.tokens[self.at][1]) == 1:
                said.append(["name", self.tokens[self.at][1]])
                self.at += 1
            else:
                break
        return ["call", name, said] if said else ["name", name]

    def _brace(self) -> str:
        self.need("{")
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != "name":
            raise NotRead("expected a name in braces")
        self.at += 1
        name = self.tokens[self.at - 1][1]
        if name in FUNCTIONS:
            raise NotRead(f"{name} is no name")
        self.need("}")
        return name

    def _named(self, name: str, depth: int) -> Tree:
        if self.latex and name in FUNCTIONS and self.peek("{"):
            return ["call", name, [self._group(depth)]]
        if not self.peek("(") or (self.latex and name not in FUNCTIONS):
            if name in FUNCTIONS:
                return ["call", name, [self._power(depth + 1)]] if depth < _DEEPEST else ["name", name]
            return ["name", name]
        self.need("(")
        given = [self.formula(depth + 1)]
        while self.take(","):
            given.append(self.formula(depth + 1))
        self.need(")")
        return ["call", name, given]

    def _tex(self, word: str, depth: int) -> Tree:
        if word == "boxed":
            return self._group(depth)
        if word == "sqrt":
            if self.take("["):
                root = self._sum(depth + 1)
                self.need("]")
                return ["pow", self._argument(depth), ["div", ["num", "1"], root]]
            return ["call", "sqrt", [self._argument(depth)]]
        return ["div", self._argument(depth), self._argument(depth)]

    def _argument(self, depth: int) -> Tree:
        """A group, or one digit: \\frac12."""
        if self.peek("{"):
            return self._group(depth)
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "num":
            kind, word = self.tokens[self.at]
            self.tokens[self.at : self.at + 1] = [(kind, c) for c in word] if word.isdigit() else [(kind, word)]
        return self._atom(depth + 1)
