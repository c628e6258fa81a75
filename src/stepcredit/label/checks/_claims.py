"""Arithmetic that stands in plain text: calculator marks, and lines such as "12 eggs * $2 = $24"."""

import re
from functools import lru_cache

_LONGEST = 20_000
_SIGN = r"(?:\*\*|[-+*/÷×·−–^]|[xX](?=\s?[$\d(.]))"
_NUMBER = r"(?:-\s?+)?(?:[$€£]\s?+)?+(?:(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?+|\.\d++)(?:\s?+%)?+"
# Words that are no units, and those that change the number before them.
_NO_UNIT = (
    "and|or|so|is|are|was|were|of|for|in|on|at|to|by|plus|minus|times|than|because|if|then|that|which|each|per|percent|"
    "cents?|dozens?|hundreds?|thousands?|millions?|billions?|half|halves|thirds?|quarters?|fourths?|twice|double|squared|"
    "cubed|pairs?|[a-z]"
)
_WORD = rf"(?!(?:{_NO_UNIT})\b)[A-Za-z]{{2,20}}+"
_UNIT = rf"(?:\s?/?\s?{_WORD}(?:(?:\s|\s?/\s?|-){_WORD}){{0,2}}+(?=\s*(?:{_SIGN}|=)))?"
_TERM = rf"(?:[(]\s?+){{0,4}}{_NUMBER}{_UNIT}(?:\s?+[)]){{0,4}}+"
_SIDE = rf"{_TERM}(?:\s*+{_SIGN}\s*+{_TERM}){{0,40}}+"
_CLAIM = re.compile(rf"{_SIDE}(?:\s*+=\s*+{_SIDE}){{1,12}}+", re.IGNORECASE)
_MARK = re.compile(r"<<([^<>]{1,200})>>")
_BEFORE = re.compile(
    r"(?:[\w.]|\d\s+|[*+/^=<>×÷(−–-]\s*|(?:\b(?:half|third|quarter|percent|fraction|[a-z]+th)s?|[%\d])\s+of\s+|"
    r"\b(?:half|twice|double|triple|thrice|times|plus|minus|by|less|than|[^\W\d_])\s+)$",
    re.IGNORECASE,
)
_ITEM = re.compile(r"(?:^|\n)\s*$")
_AFTER = re.compile(r"\s*(?:[+*^×÷(]|[\d.,]\d|\s\d|[-−/–]\s*(?:[\d(]|[a-zA-Z]\b)|[xX]\b)")
_CALCULATES = re.compile(r"[\d)%]\s*(?:\*\*|[-+*/÷×·−–^])")
_TIMES = re.compile(r"(?<=[\d).%])\s*[xX]\s*(?=[$\d(.])")
_SUMS = re.compile(r"(?<!^)[-+−–]")
_WORDS = re.compile(rf"\s?/?\s?{_WORD}(?:(?:\s|\s?/\s?|-){_WORD}){{0,2}}+", re.IGNORECASE)
_MEASURE = re.compile(
    r"\b(second|minute|hour|day|week|month|year|inch|foot|feet|yard|mile|meter|cm|mm|km|kilometer|centimeter|cent|dollar|"
    r"ounce|oz|pound|lb|gram|kg|kilogram|ton|liter|ml|gallon|quart|pint|cup|teaspoon|tablespoon)",
    re.IGNORECASE,
)


@lru_cache(8192)
def marks(text: str) -> tuple[str, ...]:
    """What stands between << and >>.

    >>> marks("so 48 / 2 = <<48/2=24>>24 each")
    ('48/2=24',)
    """
    return tuple(_MARK.findall(text))


def unmarked(text: str) -> str:
    """A text without its marks.

    >>> unmarked("so 48 / 2 = <<48/2=24>>24 each")
    'so 48 / 2 = 24 each'
    """
    return _MARK.sub("", text)


@lru_cache(8192)
def claims(text: str) -> tuple[str, ...]:
    """Lines "a op b = c" in plain text, marks apart: those alone that surely begin and end where they seem to.

    Units behind numbers are left out; a sum of two measures is none ("1 hour - 15 minutes = 45 minutes").

    >>> claims("She has 16 - 3 = 13 left, so $2 x 13 = $26; half of 4 + 6 = 8, 3 + y = 4, and y - 2 + 3 = 5.")
    ('16 - 3 = 13', '2 * 13 = 26')
    """
    text = unmarked(text)[:_LONGEST]
    out = []
    for found in _CLAIM.finditer(text):
        told, before = found[0], text[max(0, found.start() - 24) : found.start()]
        if told[0] == "-":
            if not _ITEM.search(before):
                continue  # "the price - 5 = 3" subtracts from the price
            if told[1] == " ":
                told = told[1:]  # the dash of a list
        told = _TIMES.sub(" * ", told)
        if _converts(told):
            continue
        told = _WORDS.sub("", re.sub(r"[$€£]", "", told)).strip()
        alone = not _BEFORE.search(before) and not _AFTER.match(text, found.end())
        if alone and told.count("(") == told.count(")") and _CALCULATES.search(told):
            out.append(told)
    return tuple(out)


def _converts(told: str) -> bool:
    """Whether a claim may turn one measure into another without saying so: "1 hour - 15 minutes = 45 minutes"."""
    return len({m.lower() for m in _MEASURE.findall(told)}) > 1 and _SUMS.search(told) is not None
