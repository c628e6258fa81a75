"""Steps in the language of logic and linear arithmetic, by Z3: does the conclusion follow from the premises?"""

import re
from functools import lru_cache
from importlib.util import find_spec

from stepcredit.label.checks import Known, Verdict, together
from stepcredit.label.checks._grammar import LONGEST, Tree, names, parse, shown
from stepcredit.label.checks._tokens import NotRead
from stepcredit.label.checks._worker import worker
from stepcredit.plugins import extra
from stepcredit.sandbox.process import SandboxError

SECONDS = 10.0
MEMORY = 1024 * 2**20
_LINES = 60
_TURN = re.compile(r"\|-|⊢|\\vdash\b")
_NAMED = re.compile(r"^\s*(?P<name>(?:fact|int|assump|sent|premise)\w{0,8}|hypothesis|H)\s*[:=]\s*(?P<what>.+)$", re.I)
_PROOF = re.compile(
    r"^(?P<left>.+?)\s*->\s*(?P<name>(?:int|assump)\w{0,8}|hypothesis)\s*(?:[:=]\s*(?P<what>.+))?$", re.I
)
_SUPPOSED = re.compile(r"\bvoid\b|\[assump|\bassump\w*\s*[:=]", re.I)
Entailed = tuple[tuple[Tree, ...], Tree, str]


def z3_check(step: str, known: Known) -> Verdict:
    """Right if A and not c is unsatisfiable for each "A -> c" of the step, wrong if it is satisfiable for one.

    A step is judged by the premises that it states, right or wrong: "A & (A -> B) -> B", "A, A -> B |- B",
    "x = 3 & y = x + 1 -> y > 3", "3 + 4 = 7" without premises. fact1 & int2 -> int3: {B}{a}, as in the proofs of FLD,
    takes the formulas of these names from the task and the steps before. Names are truth values, numbers or things, as
    they stand. What is no formula of this kind is not judged, nor what Z3 cannot tell in time.

    Raises:
        MissingExtra: Z3 is not installed.
    """
    found = entailments(step, known)
    asked = [one for one in found if not isinstance(one, str)]
    verdicts = [Verdict(None, one) for one in found if isinstance(one, str)]
    if not asked:
        return together(verdicts, "no formula")
    if find_spec("z3") is None:
        extra("z3", "the check z3_check", name="label")
    given = {"asked": [one[:2] for one in asked], "seconds": SECONDS / len(asked)}
    try:
        told = worker("_z3_child.py", MEMORY).ask(given, SECONDS + 5)
    except SandboxError as error:
        return Verdict(None, error.message)
    verdicts += [Verdict(right, _told(text, right, why)) for (*_, text), (right, why) in zip(asked, told, strict=True)]
    return together(verdicts, "no formula")


def _told(text: str, right: bool | None, why: str) -> str:
    return f"{text}: {'not where ' if right is False else ''}{why}" if why else text


def entailments(step: str, known: Known) -> list[Entailed | str]:
    """(premises, conclusion, as text) of each line of a step that is one; why not, in words, where it should be.

    >>> [told for *_, told in entailments("A & (A -> B) -> B", Known())]
    ['A & (A -> B) -> B']
    """
    defined = _defined("\n".join((known.task, *known.before)))
    out: list[Entailed | str] = []
    for line in step.splitlines()[:_LINES]:
        made = (_entailed(part.strip().rstrip("."), defined) for part in line.strip().split(";"))
        out += [one for one in made if one is not None]
    return out


def _entailed(text: str, defined: dict[str, Tree]) -> Entailed | str | None:
    if len(text) > LONGEST:
        return None
    if _SUPPOSED.search(text):
        return f"{text}: an assumption, as in a proof by contradiction"
    try:
        if found := _PROOF.match(text):
            conclusion = _filled(parse(found["what"] or found["name"]), defined)
            defined[found["name"].lower()] = conclusion
            return (_filled(parse(found["left"]), defined),), conclusion, text
        sides = _TURN.split(text)
        if len(sides) == 2:
            premises = tuple(_filled(parse(p), defined) for p in _apart(sides[0]))
            return premises, _filled(parse(sides[1]), defined), text
        tree = _filled(parse(text), defined)
    except NotRead as error:
        wanted = "->" in text or _TURN.search(text) or "→" in text
        return f"{text[:80]}: {error}" if wanted else None
    if tree[0] == "implies":
        return (tree[1],), tree[2], shown(tree)
    return ((), tree, shown(tree)) if tree[0] == "rel" and not names(tree) else None


@lru_cache(256)
def _read(text: str) -> tuple[tuple[str, Tree], ...]:
    out: list[tuple[str, Tree]] = []
    for line in text.splitlines():
        for part in line.rstrip(".").split(";"):
            if len(part) > LONGEST:
                continue
            proof = _PROOF.match(part.strip())
            found = proof if proof and proof["what"] else _NAMED.match(part)
            if found is None:
                continue
            try:
                out.append((found["name"].lower(), parse(found["what"].strip().rstrip("."))))
            except NotRead:
                continue
    return tuple(out)


def _defined(text: str) -> dict[str, Tree]:
    """The formulas that have a name."""
    return dict(_read(text))


def _filled(tree: Tree, defined: dict[str, Tree]) -> Tree:
    """A tree with the formulas in place of their names."""
    kind, *rest = tree
    if kind == "name":
        name = rest[0].lower()
        if name in defined:
            return defined[name]
        if re.fullmatch(r"(?:fact|int|assump)\d+|hypothesis", name):
            raise NotRead(f"{rest[0]} is nowhere given")
        return tree
    if kind == "num":
        return tree
    if kind == "rel":
        return ["rel", rest[0], [_filled(t, defined) for t in rest[1]]]
    if kind == "call":
        return ["call", rest[0], [_filled(t, defined) for t in rest[1]]]
    if kind in ("forall", "exists"):
        return [kind, rest[0], _filled(rest[1], {k: v for k, v in defined.items() if k != rest[0].lower()})]
    return [kind, *(_filled(t, defined) for t in rest)]


def _apart(text: str) -> list[str]:
    """Premises, apart by commas outside of brackets."""
    out, depth, begin = [], 0, 0
    for i, sign in enumerate(text):
        depth += (sign in "({[") - (sign in ")}]")
        if sign == "," and depth == 0:
            out.append(text[begin:i])
            begin = i + 1
    return [one.strip() for one in (*out, text[begin:]) if one.strip()]
