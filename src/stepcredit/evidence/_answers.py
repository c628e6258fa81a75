"""What a text answers: what is boxed, tagged, after a marker, the last number; and how texts compare."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout
from stepcredit.errors import LayoutError, UnknownName
from stepcredit.evidence._texts import records

Extract = Literal["whole", "boxed", "tag", "marker", "last_number", "last_line"]
Answers: TypeAlias = str | Sequence[str | None] | Callable[[Rollout], str | None] | None

_LINE = re.compile(r"^[^\S\n]*+(?:####|(?:Final )?Answer:|A:)[ \t]*+(\S.*)", re.MULTILINE | re.IGNORECASE)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_TO_BLANK = str.maketrans(dict.fromkeys(string.punctuation, " "))
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\(?:boxed|fbox)\s+([^\s${}\\]+)|\\.|[{}]", re.DOTALL)
_ONE = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
NUMBER = re.compile(rf"(?:(?<![\w)])[-−+])?[$€£¥]?(?:{_ONE})(?:[eE][-+]?\d{{1,3}})?(?:\s?/\s?\d+)?\s?%?")


def boxed(text: str) -> str | None:
    r"""Content of the last \boxed{...} (or \fbox) whose braces close; None if there is none.

    >>> boxed(r"so \boxed{\frac{1}{2}} or \boxed{2")
    '\\frac{1}{2}'
    """
    inside: list[int | None] = []
    best = (-1, "")
    for found in _BRACES.finditer(text):
        if found.group(1):
            best = max(best, (found.start(), found.group(1)))
        elif found.group() == "}":
            start = inside.pop() if inside else None
            if start is not None:
                best = max(best, (start, text[start : found.start()].strip()))
        elif found.group().endswith("{") and found.group() != "\\{":
            inside.append(None if found.group() == "{" else found.end())
    return None if best[0] < 0 else best[1]


def tagged(text: str, tag: str) -> str | None:
    """Content of the last <tag>...</tag>; None if there is none."""
    end = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, end) if end >= 0 else -1
    return None if start < 0 else text[start + len(tag) + 2 : end].strip()


def between(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of what stands between each opening and the closing behind it, in time linear in the text.

    One pattern of both, opening(.*?)closing, walks to the end of the text from each opening that nothing closes.
    """
    at = 0
    while (begin := opening.search(text, at)) and (end := closing.search(text, begin.end())):
        yield begin.end(), end.start()
        at = end.end()


def after(text: str, marker: str) -> str | None:
    """The first line with something on it after the last marker, in any case; None if there is none."""
    found = list(re.finditer(re.escape(marker), text, re.IGNORECASE))
    rest = text[found[-1].end() :] if found else ""
    return next((line.strip() for line in rest.splitlines() if line.strip()), None)


def last_number(text: str) -> str | None:
    """The last number as it is written; None if there is none.

    >>> last_number("from 1,200 to $3.50.")
    '$3.50'
    """
    found = NUMBER.findall(text)
    return found[-1].strip() if found else None


def last_line(text: str) -> str | None:
    """The last line with something on it."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), None)


def extracted(
    text: str, extract: Extract | Sequence[Extract] = "whole", *, tag: str = "answer", marker: str = "####"
) -> str | None:
    """The answer in a text, by the first of the ways that finds one; None if none does.

    Args:
        extract: "whole", the text itself; "boxed", the last \\boxed; "tag", what the last <answer> holds; "marker",
            what follows the last marker on its line; "last_number"; "last_line".

    Raises:
        UnknownName: no such way.
    """
    for way in (extract,) if isinstance(extract, str) else extract:
        if way not in _WAYS:
            raise UnknownName("way to find an answer", way, _WAYS)
        found = _WAYS[way](text, tag, marker)
        if found:
            return found
    return None


_WAYS: Mapping[str, Callable[[str, str, str], str | None]] = {
    "whole": lambda text, tag, marker: text.strip(),
    "boxed": lambda text, tag, marker: boxed(text),
    "tag": lambda text, tag, marker: tagged(text, tag),
    "marker": lambda text, tag, marker: after(text, marker),
    "last_number": lambda text, tag, marker: last_number(text),
    "last_line": lambda text, tag, marker: last_line(text),
}


def final_answer(text: str) -> str | None:
    r"""What stands in the last <answer>..</answer>, else in the last \boxed{..}, else behind the last line start
    "####", "Answer:" or "A:"; None if there is none of these.

    >>> final_answer("so \\boxed{\\frac{1}{2}}. Done"), final_answer("A: 3\nA: 4"), final_answer("4")
    ('\\frac{1}{2}', '4', None)
    """
    found = tagged(text, "answer") or boxed(text)
    if found:
        return found
    lines = _LINE.findall(text)
    return lines[-1].rstrip() if lines else None


def answers_of(batch: Batch, answers: Answers, who: str) -> list[str | None]:
    """[R] the final answer of each rollout: a field of the record, one per rollout, a function of the record, or (None)
    what `final_answer` finds in the text of the last step that has any.

    Raises:
        LayoutError: a list of another length. StepCreditError: no texts.
    """
    if answers is None:
        texts = [[s.text for s in r.steps if s.text] for r in records(batch, who)]
        return [final_answer(t[-1]) if t else None for t in texts]
    if isinstance(answers, str):
        given = [r.extra.get(answers) for r in records(batch, who)]
    elif callable(answers):
        given = [answers(r) for r in records(batch, who)]
    else:
        given = list(answers)
        if len(given) != batch.layout.R:
            raise LayoutError(f"{who}: {len(given)} answers for {batch.layout.R} rollouts")
    return [None if a is None else str(a) for a in given]


def squad(text: str) -> str:
    """Lower case, without ASCII punctuation, without articles, blanks made one: the normal form of SQuAD's script.

    >>> squad("The  cat's a pet!")
    'cats pet'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(answer: str, reference: str, *, unique: bool = False) -> float:
    """F1 of the words two texts share.

    Args:
        unique: False: words of the normal form of SQuAD's script, each as often as it stands. True: each word once, and
            punctuation becomes a blank (MatchTIR).

    Two texts without words are equal (1), unless `unique` (0).

    >>> token_f1("the cat sat", "cat sat down")
    0.8
    """
    if unique:
        mine, gold = (Counter(set(t.lower().translate(_TO_BLANK).split())) for t in (answer, reference))
    else:
        mine, gold = (Counter(squad(t).split()) for t in (answer, reference))
        if not mine or not gold:
            return float(mine == gold)
    shared = (mine & gold).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / mine.total(), shared / gold.total()
    return 2 * precision * recall / (precision + recall)


def choice(text: str, letters: str = "ABCDE") -> str | None:
    """The letter that a text chooses; None if it names none, or several.

    A letter alone, at the start ("B.", "(b) blue", "B: blue", "B) blue"), or the only capital one after "answer",
    "option" or "choice".

    >>> choice("(b) because"), choice("The answer is C."), choice("A or B")
    ('B', 'C', None)
    """
    one = f"[{re.escape(letters)}]"
    text = unicodedata.normalize("NFKC", text).strip().strip("*$").strip()
    alone = re.fullmatch(rf"\(?({one})\)?[.:]?", text, re.IGNORECASE)
    if alone is None:
        alone = re.match(rf"(?:\(({one})\)|({one})[.):](?!\w))", text, re.IGNORECASE)
    if alone:
        return next(g for g in alone.groups() if g).upper()
    named = set(re.findall(rf"(?i:answer|option|choice)(?:\s*(?i:is|:))*\s*\**\(?({one})\b(?!')", text))
    return named.pop() if len(named) == 1 else None
