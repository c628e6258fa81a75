"""Secrets in tables: below a line of names, in the columns whose name is that of a secret."""

import re
from collections.abc import Iterator

from stepcredit.data._redact_shapes import NAMES, NUMBERED

__all__ = ["columns"]

_HEAD = re.compile(
    rb"(?:pass|pass(?:word|wd|phrase|code|wort)|kennwort|pwd|pw|secret|token|key|credentials?|session_?id|auth|bearer|"
    rb"authorization|cookie|mnemonic|phrase)[\"'`* ]{0,40}(?:[|,;\t\r\n]|\Z)"
)
_LONGEST = 400  # of a line of names
_NAME = re.compile(r"[\"'`* ]{0,3}[A-Za-z_#][\w#./-]{0,39}(?: [\w#./-]{1,20}){0,2}[\"'`* ]{0,40}|\s*")
_QUOTED = r'"(?:[^"\n]|"")*"|'
_RULE = re.compile(r"[\s|+:=-]{3,}\Z")
_CELLS = {s: re.compile(rf"{quoted}[^{s}\n]+") for s, quoted in [("|", ""), ("\t", ""), *((s, _QUOTED) for s in ",;")]}
_SAID = re.compile(
    r"(?:str|string|text|varchar.*|char.*|bool|boolean|bytes|none|null|nil|true|false|yes|no|n/?a|unknown|undefined|"
    r"required|optional|hidden|redacted|\W+|x+|\[removed: .*)\Z",
    re.I,
)
_KEY = re.compile(r"(?=.*[0-9]).{8,}\Z", re.S)


def columns(text: str, low: bytes) -> Iterator[tuple[int, int]]:
    """Where the secrets of tables stand: `a | b`, `a,b`, `a;b`, or tabs between. low: the text in small letters, one
    byte a character."""
    done = 0
    for word in _HEAD.finditer(low):
        if word.start() < done:
            continue
        start, done = _start(low, word.start()), _end(low, word.start())
        if done - start > _LONGEST:
            continue
        before = text[_start(low, start - 1) : start - 1] if start else ""
        separator, named = _named(text[start:done], "" if _RULE.match(before) else before)
        if named:
            done, secrets = _rows(text, low, done + 1, text.count(separator, start, done), separator, named)
            yield from secrets


def _start(low: bytes, place: int) -> int:
    """Where the line of a place begins, or somewhere in it where it is too long for a line of names."""
    first = max(0, place - _LONGEST - 1)
    found = low.rfind(b"\n", first, place)
    return first if found < 0 else found + 1


def _end(low: bytes, place: int) -> int:
    end = low.find(b"\n", place)
    return len(low) if end < 0 else end


def _named(head: str, before: str) -> tuple[str, dict[int, bool]]:
    """What parts the cells of a line of names, and the columns that hold secrets -> whether all in them are. None where
    the line is no such line: the one before it has as many cells, or it is prose."""
    for separator in _CELLS:
        cells = head.rstrip("\r").split(separator)
        if len(cells) == 1 or len(cells) - 1 == before.count(separator):
            continue
        prose = separator in ",;" and any(c.startswith(" ") for c in cells[1:])
        if not prose and all(map(_NAME.fullmatch, cells)):
            names = [c.strip("\"'`* ") for c in cells]
            strong = [NUMBERED.search(n) is not None or n.lower() in ("pass", "pw") for n in names]
            return separator, {i: strong[i] for i, n in enumerate(names) if NAMES.search(n)}
    return "", {}


def _rows(
    text: str, low: bytes, place: int, many: int, separator: str, named: dict[int, bool]
) -> tuple[int, list[tuple[int, int]]]:
    """Where the table ends whose first row begins at a place, and its secrets. Rows have as many separators as the
    line of names."""
    secrets = []
    while place < len(text):
        end = _end(low, place)
        row = text[place:end].rstrip("\r")
        if not _RULE.match(row):
            found = _split(row, separator)
            if len(found) != many + 1:
                break
            for i, always in named.items():
                start, value = found[i]
                if " " not in value and len(value) >= 4 and not _SAID.match(value) and (always or _KEY.match(value)):
                    secrets.append((place + start, place + start + len(value)))
        place = end + 1
    return min(place, len(text)), secrets


def _split(row: str, separator: str) -> list[tuple[int, str]]:
    """The cells of a row: where what they say begins, and what they say. None where quotes do not fit."""
    out, place = [], 0
    while True:
        cell = _CELLS[separator].match(row, place)
        said, begins = ("", place) if cell is None else (cell[0], cell.start())
        inner = said.strip("\"'` \t")
        out.append((begins + said.index(inner), inner))
        place += len(said)
        if row[place : place + 1] != separator:
            return out if place == len(row) else []
        place += 1
