"""Stretches of text that no blank line and no marker inside them may cut: fenced code and LaTeX displays."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stepcredit.segment._spans import BLANK, LINE_START, Spans, as_spans

_FENCE = re.compile(
    LINE_START
    + rf"(?P<prefix>{BLANK}*+(?:(?:>|[-*+]{BLANK}|\d{{1,9}}[.)]{BLANK}){BLANK}*+){{0,4}}+)"
    # A backtick after a run of backticks makes it inline code: ```x``` opens nothing.
    + r"(?P<run>`{3,}+(?![^`\r\n]*+`)|~{3,}+)(?P<info>[^\r\n]*+)"
)
_ENVIRONMENTS = (
    "equation|align|alignat|flalign|gather|multline|eqnarray|displaymath|math|aligned|alignedat|gathered|split|cases"
    "|array|[bBpvV]?matrix|smallmatrix|tabular|tikzpicture|verbatim|lstlisting|minted"
)
# The last branch of the backslash eats an escaped character, so `\\[2pt]` opens no display and `\$$x$` holds no `$$`.
_TEX = re.compile(rf"\\(?:[\[\]]|(?:begin|end)\{{(?:{_ENVIRONMENTS})\*?\}}|.)|\$+", re.DOTALL)


def fences(text: str, *, open_to_end: bool) -> Spans:
    """Fenced code, from the opening run to the end of the closing line.

    As in CommonMark: three or more backticks or tildes at the start of a line, closed by a line that holds nothing but
    a run of the same character that is no shorter. Unlike CommonMark, any indentation will do, since models indent
    code inside list items as they like. An opening run without a closing one reaches to the end of the text if
    `open_to_end`, else it opens nothing.
    """
    if "```" not in text and "~~~" not in text:
        return as_spans([])
    runs = list(_FENCE.finditer(text))
    # closable[i]: the longest closing run of each character at or after run i; no search for a close can be in vain.
    longest, closable = {"`": 0, "~": 0}, []
    for run in reversed(runs):
        if _may_close(run):
            longest = {**longest, run["run"][0]: max(longest[run["run"][0]], len(run["run"]))}
        closable.append(longest)
    closable.reverse()
    rows, opening = [], None
    for i, run in enumerate(runs):
        if opening is None:
            if i + 1 < len(runs) and closable[i + 1][run["run"][0]] >= len(run["run"]):
                opening = run
            elif open_to_end:
                rows.append((run.start("run"), len(text)))
                break
        elif _may_close(run) and run["run"].startswith(opening["run"]):
            rows.append((opening.start("run"), run.end()))
            opening = None
    return as_spans(rows)


def _may_close(run: re.Match[str]) -> bool:
    return not run["info"].strip() and not run["prefix"].strip().strip("> \t")


def blocks(text: str) -> Spans:
    r"""Fenced code and LaTeX displays: \[..\], $$..$$, and environments such as align or cases.

    A display without its closing half opens nothing, so one stray $$ does not swallow the rest of the text; no
    display reaches across a fence. Inline mathematics and indented code are not blocks.
    """
    code = fences(text, open_to_end=True)
    if "\\[" not in text and "$$" not in text and "\\begin{" not in text:
        return code
    rows = [(start, end) for start, end in code.tolist()]
    marks = _outside(list(_TEX.finditer(text)), code)
    closing = defaultdict(list)
    for mark in marks:
        closing[mark[0]].append(mark.start())
    walls = code[:, 0].tolist()
    done = 0
    for mark in marks:
        close = _closed_by(mark[0])
        if close is None or mark.start() < done:
            continue
        at = bisect_left(closing[close], mark.end())
        if at == len(closing[close]):
            continue
        end = closing[close][at] + len(close)
        if bisect_left(walls, mark.start()) == bisect_left(walls, end):
            rows.append((mark.start(), end))
            done = end
    return as_spans(sorted(rows))


def _closed_by(mark: str) -> str | None:
    if mark.startswith("\\begin{"):
        return mark.replace("begin", "end", 1)
    return {"\\[": "\\]", "$$": "$$"}.get(mark)


def _outside(marks: list[re.Match[str]], code: Spans) -> list[re.Match[str]]:
    hidden = inside((mark.start() for mark in marks), code)
    return [mark for mark, hide in zip(marks, hidden.tolist(), strict=True) if not hide]


def inside(positions: Iterable[int], ranges: Spans) -> NDArray[np.bool_]:
    """[n] whether each position lies in one of the ordered ranges."""
    at = np.fromiter(positions, dtype=np.int64)
    row = np.searchsorted(ranges[:, 1], at, side="right")
    return (row < len(ranges)) & (np.append(ranges[:, 0], 0)[row] <= at)
