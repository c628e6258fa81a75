"""Equations, by SymPy: numbers, identities, and what follows from the equations that stand before."""

import re
from functools import lru_cache
from importlib.util import find_spec

from stepcredit.label.checks import Known, Verdict, together
from stepcredit.label.checks._claims import claims, unmarked
from stepcredit.label.checks._exact import places
from stepcredit.label.checks._grammar import Tree, names, parse, shown
from stepcredit.label.checks._tokens import NotRead
from stepcredit.label.checks._worker import worker
from stepcredit.plugins import extra
from stepcredit.sandbox.process import SandboxError

SECONDS = 5.0
MEMORY = 1536 * 2**20
_TEX = re.compile(r"\$\$([^$]{1,600})\$\$|\$([^$\n]{1,600})\$|\\\((.{1,600}?)\\\)|\\\[(.{1,600}?)\\\]", re.DOTALL)
_LEAD = re.compile(
    r"^\s*(?:[-*•>]\s+|\(?\d{1,2}[.)]\s+|step\s+\d+\s*[:.]\s*|(?:so|then|thus|hence|therefore|now|and|we (?:get|have)|"
    r"this gives|let|which gives)\b[,:]?\s*|answer\s*:\s*)*",
    re.IGNORECASE,
)
_LINES, _LONGEST = 60, 20_000
Pair = tuple[str, Tree, Tree]


def symbolic(step: str, known: Known) -> Verdict:
    """Right if every equation of the step that can be judged holds, wrong if one does not.

    Equations are lines of their own, LaTeX between dollars or brackets, and "a op b = c" in plain text. One of numbers
    holds or not, rounded to the decimals that are shown; one of unknowns is right if it holds for all values, or at a
    solution of the equations in the task, in the steps before and before it in the step; wrong at none. What nothing
    before settles is not judged.

    Raises:
        MissingExtra: SymPy is not installed.
    """
    pairs = equations(step)
    if not pairs:
        return Verdict(None, "no equation")
    if find_spec("sympy") is None:
        extra("sympy", "the check symbolic", name="label")
    before = [(a, b) for text in (known.task, *known.before) for sign, a, b in equations(text) if sign == "="]
    stated = [one for one in before if names(one[0]) | names(one[1])]
    # 25% may mean 0.25 or, behind =, the number 25 with a unit.
    asked = [(sign, a, b, max(places(a), places(b)), b[1] if b[0] == "pct" else None) for sign, a, b in pairs]
    try:
        told = worker("_symbolic_child.py", MEMORY).ask({"pairs": asked, "known": stated[-40:]}, SECONDS)
    except SandboxError as error:
        return Verdict(None, error.message)
    found = [
        Verdict(right, f"{_shown(pair)}: {why}" if why else _shown(pair))
        for pair, (right, why) in zip(pairs, told, strict=True)
    ]
    return together(found, "no equation")


@lru_cache(8192)
def equations(text: str) -> tuple[Pair, ...]:
    """(sign, left, right) of each equation and inequality in a text.

    >>> [_shown(one) for one in equations("So 2x + 4 = 10, $x = \\\\frac{6}{2} = 3$")]
    ['2*x + 4 = 10', 'x = 6/2', '6/2 = 3']
    """
    formulas: list[list[Pair]] = []
    plain = _TEX.sub(lambda found: _formula(found, formulas), unmarked(text)[:_LONGEST].replace("\0", " "))
    out: list[Pair] = []
    for line in plain.splitlines()[:_LINES]:
        out += formulas[int(line[1:])] if line.startswith("\0") else _plain(line)
    return tuple(out[:_LINES])


def _formula(found: re.Match[str], into: list[list[Pair]]) -> str:
    """Read LaTeX and leave a line for it; what is none stays to be read as plain text ("$2 and $3")."""
    read: list[Pair] = []
    _read(next(group for group in found.groups() if group is not None), True, read)
    if not read:
        return found[0]
    into.append(read)
    return f"\n\0{len(into) - 1}\n"


def _plain(line: str) -> list[Pair]:
    """A line that is an equation, or equations between commas; else what is surely arithmetic in it."""
    told = _LEAD.sub("", line).rstrip(" .,;:")
    read: list[Pair] = []
    _read(told, False, read)
    for part in () if read else told.split(", "):
        _read(part, False, read)
    for claim in () if read else claims(line):
        _read(claim, False, read)
    return read


def _read(text: str, latex: bool, into: list[Pair]) -> None:
    try:
        tree = parse(text.replace("&", " ").strip(), latex)
    except NotRead:
        return
    if tree[0] == "rel":
        into += [(sign, a, b) for sign, a, b in zip(tree[1], tree[2], tree[2][1:], strict=False)]


def _shown(pair: Pair) -> str:
    sign, left, right = pair
    return f"{shown(left)} {sign} {shown(right)}"
