"""Numbered steps: the text's own outermost numbering."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from stepcredit.segment._blocks import blocks, inside
from stepcredit.segment._spans import BLANK, LINE_START, Spans, between, trimmed

_CHINESE = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"两": 2, "兩": 2}
_NUMBER = r"(?:\d{1,6}+|[一二三四五六七八九]?十[一二三四五六七八九]?|[零一二两兩三四五六七八九])"
_STOP = rf"(?={BLANK}*+(?:\*\*|__|[:：)）、。{{}}]|[.．–—-](?!\d)|[\r\n]|\Z))"
_NARROW = str.maketrans("．）", ".)")


class _Marker(NamedTuple):
    start: int
    indent: int
    style: tuple[str, str]
    number: int


def numbered(
    text: str,
    *,
    words: Sequence[str] = ("step", "步骤", "步驟"),
    first: int | None = None,
    preamble: Literal["join", "own"] = "join",
) -> Spans:
    r"""[n, 2] numbered steps, each from its marker to the next, without the white space around them.

    Markers stand at the start of a line, in these styles, and may be bold, a heading, a bullet or quoted:

        a word and a number   "Step 3:", "**Step 1:** ...", "### Step 2", "步骤1：", "第1步：", "第一步，"
        a number              "1. ", "2) ", "3、", "**4.** ", "１．", "## 5. "

    The first marker fixes the style; then only the next number in the same style, indented no deeper (by two columns
    or more) than the first, begins a step. So a list inside Step 2, a line that starts with "3.14" or "2024. ", and a
    second list that starts over begin none. A number without a word must begin at 0 or 1 (or at `first`). Markers in
    fenced code and LaTeX displays do not count (see `paragraphs` for what those are). Gaps hold white space only.
    A text without a marker is one step. One step alone gives one span, given `first`.

    Args:
        words: what may stand before the number, in any case; "第N步" always counts.
        first: the number that the text must begin with, for text that goes on from earlier steps. None: any number
            after a word, else 0 or 1.
        preamble: "join": text before the first marker belongs to the first step, so that span k is the k-th numbered
            step. "own": it is a step of its own.

    What follows the last step, such as a closing sentence, belongs to it: nothing in the text says otherwise.
    Left out: letters, Roman and circled numbers, "(1)", and lists that repeat "1." for every item.

    >>> numbered("Plan.\nStep 1: add\n1. carry\nStep 2: halve\n").tolist()
    [[0, 26], [27, 40]]
    >>> numbered("3. so\n4. thus", first=3).tolist()
    [[0, 5], [6, 13]]
    """
    starts = _step_starts(text, words, first)
    if preamble == "join":
        starts = starts[1:]
    return trimmed(text, between(((start, start) for start in starts), len(text)))


def _step_starts(text: str, words: Sequence[str], first: int | None) -> list[int]:
    markers = list(_markers(text, words))
    hidden = inside((marker.start for marker in markers), blocks(text))
    top: _Marker | None = None
    starts: list[int] = []
    for marker, hide in zip(markers, hidden.tolist(), strict=True):
        if hide:
            continue
        if top is None:
            worded = marker.style[0] == "word"
            if (marker.number == first) if first is not None else (worded or marker.number <= 1):
                top = marker
                starts.append(marker.start)
        elif (
            marker.style == top.style and marker.number == top.number + len(starts) and marker.indent <= top.indent + 1
        ):
            starts.append(marker.start)
    return starts


def _markers(text: str, words: Sequence[str]) -> Iterator[_Marker]:
    for match in re.finditer(_pattern(words), text, re.IGNORECASE):
        style = ("word", "")
        if match["bare"]:
            stop = match["stop"].translate(_NARROW)
            style = (stop, (match["heading"] or "").strip() + (match["bold"] or ""))
        number = _value(match["worded"] or match["ordinal"] or match["bare"])
        yield _Marker(match.end("indent"), len(match["indent"].expandtabs(4)), style, number)


def _pattern(words: Sequence[str]) -> str:
    line = (
        rf"{LINE_START}(?P<indent>{BLANK}*+)(?:>{BLANK}*+|[-*+•]{BLANK}++){{0,3}}+"
        rf"(?P<heading>\#{{1,6}}{BLANK}*+)?+(?P<bold>\*\*|__)?+"
    )
    listed = "|".join(re.escape(word) for word in words) or "(?!)"
    # "Step 2 Compute" is a marker in a heading or in bold; elsewhere a stop or a line end must follow the number.
    titled = rf"(?(heading)(?={BLANK})|(?(bold)(?={BLANK})|(?!)))"
    worded = rf"(?:{listed}){BLANK}*+(?:[#№]{BLANK}*+)?(?P<worded>{_NUMBER})(?:{_STOP.format('')}|{titled})"
    ordinal = rf"第{BLANK}*+(?P<ordinal>{_NUMBER}){BLANK}*+[步歩](?:{_STOP.format(',，')}|{titled})"
    bare = r"(?P<bare>\d{1,6}+)(?P<stop>[.)](?=\s|\Z|[*_]|(?!\d)[^\x00-\x7f])|[．、](?!\d)|）)"
    return f"{line}(?:{worded}|{ordinal}|{bare})"


def _value(digits: str) -> int:
    if digits.isdecimal():
        return int(digits)
    tens, ten, ones = digits.rpartition("十")
    return (10 * _CHINESE.get(tens, 1) if ten else 0) + _CHINESE.get(ones, 0)
