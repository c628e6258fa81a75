"""Where steps begin and end: text, tokens or messages in, step boundaries out. A file in this folder is a segmenter.

The name of a segmenter's first parameter says what it takes:

    text            one string -> `Spans`, half-open character ranges [n, 2]
    messages        a chat in the OpenAI format -> `Turns`
    tokens          how many tokens one response has -> the step of each, [K] numbers 0, 1, ...
    token_<field>   that column of the tokens of one response -> the same
    phrases         how a parser brackets the sentences of one response -> the same

`cut` cuts the text of records, `cut_tokens` the tokens of a batch.

Every text segmenter keeps these promises:

- spans are in order, do not overlap, lie inside the text, and begin and end on a character that is not white space;
- spans and gaps together are the text, and gaps hold nothing but white space, and separators (`separator`),
  environment text (`thought_action`) or what was asked to be dropped (`outside="drop"`); `tile` gives each gap to a
  step where a trainer wants no gaps;
- offsets count code points, as Python strings and Hugging Face tokenizers do (JavaScript counts otherwise);
- a line ends at CR LF, LF or a lone CR and nowhere else: form feed, NEL and U+2028 are white space inside a line;
- time grows linearly with the text.

From characters to tokens:

>>> from stepcredit import segment
>>> text = "2+2=4\\n4*3=12"
>>> spans = segment.get("lines")(text)
>>> spans.tolist()
[[0, 5], [6, 12]]
>>> offsets = segment.token_offsets(["2+2", "=4", "\\n", "4*3", "=12"])
>>> segment.token_steps(spans, offsets).tolist()
[0, 0, -1, 1, 1]
>>> segment.token_steps(segment.tile(spans, len(text)), offsets).tolist()
[0, 0, 0, 1, 1]
"""

from collections.abc import Callable
from typing import Any

from stepcredit.plugins import OpenSet
from stepcredit.segment._messages import Turns, content_text
from stepcredit.segment._rollouts import cut, cut_tokens, first_parameter
from stepcredit.segment._spans import Spans, gaps, tile
from stepcredit.segment._tokens import cut_after, separator_ids, token_offsets, token_spans, token_steps

__all__ = [
    "Spans",
    "Turns",
    "content_text",
    "cut",
    "cut_after",
    "cut_tokens",
    "gaps",
    "get",
    "names",
    "separator_ids",
    "text_names",
    "tile",
    "token_offsets",
    "token_spans",
    "token_steps",
]

_SET = OpenSet("segmenter", __name__, "stepcredit.segment")


def names() -> list[str]:
    """Segmenters of this folder and of installed plug-ins (entry points of group `stepcredit.segment`), sorted.

    >>> names()[:3]
    ['assistant_turns', 'constituents', 'cut_points']
    """
    return _SET.names()


def get(name: str) -> Callable[..., Any]:
    """The segmenter of this name; a built-in wins over a plug-in. Raises UnknownName, which names the nearest."""
    segmenter: Callable[..., Any] = _SET.function(name)
    return segmenter


def text_names() -> list[str]:
    """The built-in segmenters that take text."""
    return [n for n in _SET.built_in() if first_parameter(get(n)) == "text"]
