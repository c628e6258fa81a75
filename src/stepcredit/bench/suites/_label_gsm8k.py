"""GSM8K: do checks that read the plain text of a step say what the calculator marks beside it say?"""

import ast
import gzip
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.bench.paired import interval, weights
from stepcredit.bench.suite import Table
from stepcredit.bench.suites._label_counts import ratio
from stepcredit.errors import DataError
from stepcredit.label.checks import Known, get

FILE = Path("gsm8k/model_solutions.jsonl.gz")
CHECKS = ("calculator", "symbolic")
SAID = ("right", "wrong", "not judged")
_MARK = re.compile(r"<<([^<>]*)>>")
_BESIDE = re.compile(r"<<[^<>]*=([^<>=]*)>>\s*([-\d.,]*)")
_DO: Mapping[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def file(data: str | None) -> Path | None:
    """The file of solutions, if the data has one."""
    path = None if data is None else Path(data) / FILE
    return path if path is not None and path.is_file() else None


def problems(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Question and lines of all of its solutions.

    Raises:
        DataError: a row that is none.
    """
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for i, text in enumerate(lines):
            row = json.loads(text)
            if "question" not in row:
                raise DataError("a row without a question", file=path, row=i)
            made = [one["solution"] for one in row.values() if isinstance(one, dict) and "solution" in one]
            yield row["question"], [line for solution in made for line in solution.splitlines()]


def gsm8k_cell(data: str, every: int) -> dict[str, Any]:
    """Per problem and check, [the text says another number than the mark, the same] x [mark right, mark wrong] x
    [said right, said wrong, not judged]."""
    path = file(data)
    programs = {name: get(name) for name in CHECKS}
    counts: dict[str, list[Any]] = {name: [] for name in CHECKS}
    for question, lines in list(problems(path))[::every] if path else []:
        tables = {name: np.zeros((2, 2, 3), int) for name in CHECKS}
        for line in lines:
            by_marks = [holds(mark) for mark in _MARK.findall(line)]
            if not by_marks or None in by_marks:
                continue
            text = _MARK.sub("", line)
            for name, program in programs.items():
                said = program(text, Known(question)).right
                tables[name][int(same(line)), int(not all(by_marks)), 2 if said is None else int(not said)] += 1
        for name in CHECKS:
            counts[name].append(tables[name].tolist())
    return counts


def holds(mark: str) -> bool | None:
    """Whether a mark's own arithmetic is true, by Python's parser and fractions and none of our checks; a result with
    decimals may be rounded. None where it is no plain arithmetic.

    >>> holds("48/2=24"), holds("16-3=14"), holds("x=3")
    (True, False, None)
    """
    left, _, right = mark.replace(",", "").rpartition("=")
    if not re.fullmatch(r"-?(?:\d+\.?\d*|\.\d+)", right.strip()):
        return None
    try:
        found = _value(ast.parse(left.strip(), mode="eval").body, left.strip())
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None
    decimals = len(right.strip().partition(".")[2])
    slack = max(Fraction(1, 2 * 10**decimals), abs(found) / 10**9) if decimals else 0  # some are floats, written out
    return abs(found - Fraction(right.strip())) <= slack


def same(line: str) -> bool:
    """Whether the text behind each mark is the mark's result.

    >>> same("15/4 = <<15/4=3.75>>3.75 left"), same("15/4 = <<15/4=3.75>>3 women")
    (True, False)
    """
    return all(_near(result, text) for result, text in _BESIDE.findall(line))


def _near(result: str, text: str) -> bool:
    try:
        a, b = (float(x.replace(",", "").rstrip(".")) for x in (result, text))
    except ValueError:
        return False
    decimals = len(text.rstrip(".").partition(".")[2])
    return abs(a - b) <= max(1e-9 * abs(a), 0.5 * 10**-decimals if decimals else 0)


def _value(node: ast.expr, text: str) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(ast.get_source_segment(text, node) or "")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, text)
    if isinstance(node, ast.BinOp) and type(node.op) in _DO:
        return _DO[type(node.op)](_value(node.left, text), _value(node.right, text))
    raise ValueError("no plain arithmetic")


def rows(value: Mapping[str, Any], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row per check: counts, the share judged, the agreement of those with the marks, what is found of wrong ones."""
    out = []
    for name in CHECKS:
        table = np.array(value[name], float)
        weight = weights(len(table), draws, seed)
        each = np.einsum("bp,psij->bsij", weight, table)
        drawn, alike = each.sum(1), each[:, 1]
        judged = drawn[:, :, :2].sum((1, 2))
        parts = {
            "agreement": ratio(drawn[:, 0, 0] + drawn[:, 1, 1], judged),
            "agreement_same_text": ratio(alike[:, 0, 0] + alike[:, 1, 1], alike[:, :, :2].sum((1, 2))),
            "judged": ratio(judged, drawn.sum((1, 2))),
            "wrong_found": ratio(drawn[:, 1, 1], drawn[:, 1].sum(1)),
        }
        row: dict[str, Any] = {"part": "gsm8k", "source": name, "steps": int(table.sum())}
        row["counts"] = {
            m: dict(zip(SAID, map(int, t), strict=True))
            for m, t in zip(("right", "wrong"), table.sum((0, 1)), strict=True)
        }
        out.append(
            row
            | {k: float(v[0]) for k, v in parts.items()}
            | {f"{k}_interval": interval(v[1:]) for k, v in parts.items()}
        )
    return out


def table(found: list[dict[str, Any]]) -> Table:
    """For people."""
    columns = (
        "check",
        "steps",
        "agree",
        "90%",
        "agree, same text",
        "judged",
        "wrong found",
        "mark right: r/w/-",
        "mark wrong: r/w/-",
    )
    shown = [
        [
            *(r[name] for name in ("source", "steps", "agreement")),
            "[{:.3f}, {:.3f}]".format(*r["agreement_interval"]),
            *(r[name] for name in ("agreement_same_text", "judged", "wrong_found")),
            *("/".join(str(r["counts"][m][s]) for s in SAID) for m in ("right", "wrong")),
        ]
        for r in found
    ]
    note = (
        "Steps of models' solutions whose calculator marks <<...>> are plain arithmetic; the check reads the text "
        "without them. agree: of the steps that it judges. r/w/-: steps it calls right, wrong, does not judge. Text "
        "and mark may say different things (rounded, a slip): same text, of the steps where the number behind the mark "
        "is its result."
    )
    return Table("GSM8K: programs that read the text, against the calculator marks", columns, shown, note)
