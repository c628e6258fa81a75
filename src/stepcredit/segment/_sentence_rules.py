"""Does a stop end a sentence? Decided from the words around it, a bounded stretch on either side."""

import re

from stepcredit.segment._spans import wide

_REACH = 64


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Never before an end: what they stand before is part of the sentence.
_NEVER = _listed(
    "mr mrs ms mx dr prof rev gen sen rep gov capt cpt lt col sgt maj cmdr hon messrs mme mlle pres supt"
    " e.g eg i.e ie cf viz vs ca approx incl excl resp w.r.t s.t wrt"
)
# Before a number they go on: "Fig. 3", "pp. 4-5", "Jan. 5", "Eq. (2)".
_NUMBERED = _listed(
    "no nos fig figs eq eqs eqn eqns sec secs ch chap vol pp pg art tab thm lem def prop cor ex exs alg app ref refs"
    " jan feb mar apr jun jul aug sep sept oct nov dec"
)
# They may end a sentence: they do before a capital.
_MAYBE = _listed(
    "etc al inc ltd co corp bros jr sr dept univ est min max avg std in lb lbs oz sq hr hrs mi km cm mm kg ave blvd rd"
    " ph.d m.d b.a m.a b.sc m.sc d.c a.m p.m a.d b.c"
)
# Before a name they go on ("St. Louis"), and before a word that often begins sentences they end one.
_NAMED = _listed("st mt ft")
_STARTERS = _listed(
    "the a an this that these those there here it its he she they we i you his her their our my your then thus so"
    " therefore hence however but and or if when while since because as for in on at by from to with after before"
    " next now first second third finally let what how why where who which all each every both some no not is are"
    " does do can also moreover answer step note given using suppose assume consider"
)
# Nouns that a letter tells apart: "Movie B. Movie C was longer" has two sentences.
_LABELED = _listed(
    "appendix bag box building bus car case choice class city company container event exercise figure grade group item"
    " jar label level machine movie option page part person phase plan player point problem product project question"
    " room route school section set ship shop side step store table tank task team test town train tree type vitamin"
)
_ENUMERATOR = re.compile(
    r"[-*+•>#_(\[\s]*+(?:(?:step|case|part|question|problem|example|claim|exercise|q)\s*#?)?"
    r"(?:\d{1,4}(?:\.\d{1,3})*|[a-z]|[ivx]{1,5})[*_]*",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[.!?…।॥؟۔]+")
_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*\Z")
_NEXT = re.compile(r"[\"'“‘«‹(\[{「『（【《〈*_`$¡¿]*(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)?")


def ends_sentence(text: str, begin: int, start: int, end: int, more: frozenset[str]) -> bool:
    """Whether the stop at text[start:end], closers included, ends the sentence that begins at `begin`."""
    stop = text[start]
    if stop in "。！？｡．":
        return stop != "．" or not text[end : end + 1].isalnum()
    if end < len(text) and not (text[end].isspace() or wide(text[end])):
        return False
    following = _following(text, end)
    word = following["word"] or ""
    marks = _MARKS.match(text, start, end)
    assert marks is not None
    closed, low = marks.end() < end, word[:1].islower()
    if closed and low:
        return False
    if marks[0] == ".":
        return _dot_ends(text, max(begin, start - _REACH), begin, start, following, more)
    if marks[0] == "!" and _factorial(text, begin, start):
        return word[:1].isupper()
    return not low or marks[0].strip("?।॥؟۔") == ""


def _dot_ends(text: str, reach: int, begin: int, start: int, following: re.Match[str], more: frozenset[str]) -> bool:
    before = text[reach:start]
    head = text[begin:start].strip() if start - begin <= _REACH else ""
    if head and _ENUMERATOR.fullmatch(head):
        return following.start() == len(text)
    found = _WORD.search(before)
    if not found:
        return True
    token, next_word = found[0], following["word"] or ""
    key, capital = token.casefold(), next_word[:1].isupper()
    if following.start() == len(text) or not _stands_alone(before[: found.start()]):
        return True
    if key in _NEVER or key in more:
        return False
    if key in _NUMBERED:
        return not _number_follows(text, following)
    if key in _MAYBE:
        return capital
    acronym = len(token) > 1 and all(len(part) == 1 for part in token.split("."))
    if acronym or key in _NAMED:
        return capital and next_word.casefold() in _STARTERS
    if len(token) == 1 and token.isupper():
        dotted = len(next_word) == 1 and text[following.end("word") : following.end("word") + 1] == "."
        return not _initial(before[: found.start()], next_word, dotted)
    return True


def _following(text: str, end: int) -> re.Match[str]:
    at = end
    while at < len(text) and text[at].isspace():
        at += 1
    found = _NEXT.match(text, at)
    assert found is not None
    return found


def _number_follows(text: str, following: re.Match[str]) -> bool:
    at = following.start()
    return text[at : at + 1].isdigit() or text[at : at + 2].lstrip("(#")[:1].isdigit()


def _initial(before: str, next_word: str, dotted: bool) -> bool:
    """A capital with a dot is part of a name: a small letter or another initial follows ("H. pylori", "J. K."), or a
    capitalized word that begins no sentence does and a name or nothing stands before."""
    if not next_word:
        return False
    if next_word[0].islower() or dotted:
        return True
    if next_word.casefold() in _STARTERS and len(next_word) > 1:
        return False
    last = (before.split() or [""])[-1].lstrip("(\"'“‘")
    return not last or (last[0].isupper() and last != next_word and last.casefold() not in _LABELED)


def _stands_alone(before: str) -> bool:
    """Nothing is joined to the word, as "M&" would be in "M&Ms"."""
    return not before or before[-1].isspace() or before[-1] in "\"'“‘«‹([{「『（【《〈*_`$"


def _factorial(text: str, begin: int, start: int) -> bool:
    last = text[max(begin, start - 2) : start]
    return last[-1:].isdigit() or last[-1:] == ")" or (last[-1:].isalpha() and not last[:-1].isalpha())
