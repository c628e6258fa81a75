"""Where secrets stand in a text: only near their words, in time that grows with the text and no faster."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from stepcredit.data._redact_shapes import FOLDED, KINDS, SHAPES, TOKENS, WORDS, Shape
from stepcredit.data._redact_tables import columns

__all__ = ["Span", "found"]

_REACH = 700  # of `Shape.need`, behind the word
_TOKEN, _LONG = b"a" * 15, b"a" * 60
_LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_AS_TOKEN = bytes(97 if c in _LETTERS + b"_-" else 32 for c in range(256))
_AS_LONG = bytes(97 if c in _LETTERS + b"_-+/" else 32 for c in range(256))
_WIDEST = 200  # of the lines of a screen
_WORD = re.compile("[A-Za-z0-9]+|[_-](?=[A-Za-z0-9])")
_ON = re.compile(r"[\w.+/=-]*", re.ASCII)

_BASE64 = re.compile(
    r"(?:[A-Za-z0-9+/]{100,}+|[A-Za-z0-9_-]{100,}+|(?:[A-Za-z0-9+/]{60,76}\r?\n){2,}[A-Za-z0-9+/]+|"
    r"(?P<folded>[A-Za-z0-9+/]{60,128}(?:(?:\r?\n|(?:\\r)?\\n)[ \t>#*]{0,12}[A-Za-z0-9+/]{40,128})+"
    r"(?:(?:\r?\n|(?:\\r)?\\n)[ \t>#*]{0,12}[A-Za-z0-9+/]+(?==|[ \t]*[\r\n]|\Z))?))={0,2}"
)
_HOST = re.compile(r"://[\w.:@-]{0,90}\Z", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_BREAK = re.compile(r"(?:\\[rn]|[\s>#*=])+")
# A token that the edge of a screen broke: the next line is all of one piece, no longer, and has a digit in it.
_GOES_ON = re.compile(
    r"\r?\n[ \t]{0,8}(?=[A-Za-z_+/-]{0,200}[0-9])([A-Za-z0-9_+/-]{8,200}+={0,2})(?=[ \t]{0,9}(?:[\r\n]|\Z))"
)

# What stands inside a secret and is none of it, by the text it begins with.
_RUN = "[A-Za-z0-9+/=_-]"
_JOINS: tuple[tuple[bytes, re.Pattern[str]], ...] = (
    (b"\x1b[", re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")),
    (b"\\\n", re.compile(rf"(?<={_RUN}{{3}})\\\n[ \t]{{0,80}}(?={_RUN}{{3}})")),
    (b"\\\r\n", re.compile(rf"(?<={_RUN}{{3}})\\\r\n[ \t]{{0,80}}(?={_RUN}{{3}})")),
    (b"\\\\n", re.compile(rf"(?<={_RUN}{{8}})\\\\n[ \t]{{0,80}}(?={_RUN}{{8}})")),
    *(
        (begins, re.compile(rf"(?<={_RUN}{{8}})([\"'])[ \t]?[+.]?[ \t]?\\?(?:\r?\n)?[ \t]{{0,80}}\1(?={_RUN}{{4}})"))
        for begins in (b'"\n', b"'\n", b'" +', b"' +", b'"+', b"'+", b'" \\', b"' \\")
    ),
)
_UNSEEN = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]+")
_WIDE, _FORGED = ("".join(chr(c) for c in FOLDED if wide == (c > 0xFF00)) for wide in (True, False))
_ALIKE = re.compile(f"[{_WIDE}]{{1,500}}|(?<=[A-Za-z])[{_FORGED}]|[{_FORGED}](?=[A-Za-z])")
_ODD = frozenset(_WIDE + _FORGED + "\u200b\u200c\u200d\u2060\ufeff\u00ad")
_NEAR = 1000  # of a gap: where secrets are looked for across it
_BY_WORD = {w: [i for i, s in enumerate(SHAPES) if w in s.words] for w, _ in WORDS}


class Span(NamedTuple):
    """A secret: where it begins, where it ends (after its last character), of what kind."""

    start: int
    end: int
    kind: str


def found(text: str) -> list[Span]:
    """The secrets of a text from left to right. What overlaps is one, of the kind of the widest."""
    plain = _plain(text)
    spans = _spans(text, plain)
    if b"\n" in plain:
        spans += [Span(*where, "secret by its column") for where in columns(text, plain.lower())]
    gaps = _gaps(text, plain)
    if not text.isascii() and not _ODD.isdisjoint(set(text)):
        gaps += [odd.span() for odd in _UNSEEN.finditer(text)]
        gaps += [(odd.start(), odd.start()) for odd in _ALIKE.finditer(text)]
    if gaps:
        for near in _regions(sorted(gaps)):
            spans += _across(text, near)
    return _merged(spans) if spans else spans


def _plain(text: str) -> bytes:
    """One byte for one character: places are the same."""
    return text.encode("latin-1", "replace")


def _spans(text: str, plain: bytes) -> list[Span]:
    low = plain.lower()
    out = [*_tokens(text, plain), *_base64(text, plain)] if len(text) >= len(_TOKEN) else []
    at: dict[bytes, list[int]] = {}
    for word, part in WORDS:
        if (not part or part in at) and word in low:
            at[word] = _places(low, word)
    places: dict[int, list[list[int]]] = {}
    for word, listed in at.items():
        for i in _BY_WORD[word]:
            places.setdefault(i, []).append(listed)
    for i in sorted(places):
        shape, several = SHAPES[i], places[i]
        if not shape.need or shape.need in at:
            out += _at(shape, text, low, several[0] if len(several) == 1 else sorted({p for ps in several for p in ps}))
    return out


def _places(low: bytes, word: bytes) -> list[int]:
    out = []
    place = low.find(word)
    while place >= 0:
        out.append(place)
        place = low.find(word, place + 1)
    return out


def _at(shape: Shape, text: str, low: bytes, places: Sequence[int]) -> list[Span]:
    """Secrets of one shape that begin at these places."""
    out = []
    done = needed = -1
    head, value, before, need = shape.head.match, shape.value.match, shape.before, shape.need
    for place in places:
        if place < done:
            continue
        if need and needed < place:
            needed = low.find(need, place)
            if needed < 0:
                break
        if need and needed > place + _REACH:
            continue
        start = head(text, place)
        if start is None or (before is not None and before.search(text, max(0, place - shape.back), place) is None):
            continue
        secret = value(text, start.end())
        if secret is not None:
            done = secret.end()
            out.append(Span(start.end(), done, shape.kind))
    return out


def _runs(mapped: bytes, long: bytes) -> Iterator[int]:
    """Where letters stand together, `long` or more."""
    place = mapped.find(long)
    while place >= 0:
        yield place
        end = mapped.find(b" ", place)
        place = mapped.find(long, end) if end >= 0 else -1


def _tokens(text: str, plain: bytes) -> Iterator[Span]:
    done = 0
    for place in _runs(plain.translate(_AS_TOKEN), _TOKEN):
        if place < done:
            continue
        start, done = max(done, place - 20), _ON.match(text, place).end()  # type: ignore[union-attr]
        for word in _WORD.finditer(text, start, done):
            secret = TOKENS.match(text, word.start()) if word.start() >= start else None
            if secret is not None:
                start = _wrapped(text, secret.start(), secret.end())
                done = max(start, done)
                yield Span(secret.start(), start, KINDS[int((secret.lastgroup or "k0")[1:])])


def _wrapped(text: str, start: int, end: int) -> int:
    """Where a token ends that may go on in the next line."""
    more = _GOES_ON.match(text, end)
    width = end - max(text.rfind("\n", max(0, start - _WIDEST), end) + 1, start - _WIDEST)
    while more is not None and len(more[1]) <= width and TOKENS.match(text, more.start(1)) is None:
        end, width = more.end(), len(more[1])
        more = _GOES_ON.match(text, end)
    return end


def _base64(text: str, plain: bytes) -> Iterator[Span]:
    done = 0
    for place in _runs(plain.translate(_AS_LONG), _LONG):
        if place < done:
            continue
        secret = _BASE64.match(text, place)
        if secret is not None:
            done = secret.end()
            path = secret[0].count("/") > 4 and _HOST.search(text, max(0, place - 100), place) is not None
            if not path and _holds(secret[0], folded=secret["folded"] is not None):
                yield Span(place, done, "base64")


def _holds(text: str, *, folded: bool) -> bool:
    """Whether base64 holds something; a rule of dashes, one repeated letter or a hexadecimal digest does not."""
    if len(set(text)) < 12 or not re.search("[0-9]", text):
        return False
    if folded:
        return not all(_HEX.fullmatch(line) for line in _BREAK.split(text) if line)
    return len(text) > 128 or _HEX.fullmatch(text) is None


def _gaps(text: str, plain: bytes) -> list[tuple[int, int]]:
    """What to leave out so that secrets come together: ends of lines that go on, colors, quotes of texts in a row."""
    out = []
    for begins, gap in _JOINS:
        place = plain.find(begins) if begins in plain else -1
        while place >= 0:
            seen = gap.match(text, place)
            if seen is not None:
                out.append(seen.span())
            place = plain.find(begins, place + 1 if seen is None else seen.end())
    return out


def _regions(gaps: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The gaps in groups that are far from one another."""
    group: list[tuple[int, int]] = []
    for gap in gaps:
        if group and gap[0] > group[-1][1] + 2 * _NEAR:
            yield group
            group = []
        group.append(gap)
    if group:
        yield group


def _across(text: str, gaps: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """Secrets around these gaps, as if the gaps were not there, at their places in the text."""
    first, last = max(0, gaps[0][0] - _NEAR), min(len(text), gaps[-1][1] + _NEAR)
    first = max(first - _NEAR, text.rfind("\n", max(0, first - _NEAR), first) + 1, 0)
    pieces, starts = [], []
    end = first
    for start, stop in gaps:
        if start > end:
            pieces.append(text[end:start])
            starts.append(end)
        end = max(end, stop)
    pieces.append(text[end:last])
    starts.append(end)
    edges = [0, *accumulate(map(len, pieces))]

    def place(i: int) -> int:
        piece = min(bisect_right(edges, i), len(starts)) - 1
        return starts[piece] + i - edges[piece]

    joined = "".join(pieces).translate(FOLDED)
    for span in _spans(joined, _plain(joined)):
        yield Span(place(span.start), place(span.end - 1) + 1, span.kind)


def _merged(spans: list[Span]) -> list[Span]:
    out: list[Span] = []
    widest = 0
    for span in sorted(spans, key=lambda s: s.start):
        size = span.end - span.start
        if out and span.start < out[-1].end:
            kind = span.kind if size > widest else out[-1].kind
            widest = max(size, widest)
            out[-1] = Span(out[-1].start, max(out[-1].end, span.end), kind)
        else:
            out.append(span)
            widest = size
    return out
