"""Questions about one side of a step at a time: -1, 0 or +1."""

from collections.abc import Sequence

from stepcredit.evidence._prompts import Part, last, quoted

_ASKED = {
    "reasoning": (
        "the reasoning of a step that answers a question by searching",
        "Does it speak to the question, is it clear, does it say what must be found out, does it move towards the "
        "answer, and does it hold only what the question and the steps before give?",
        "+1: clear and to the point, and says what is needed next. 0: to the point, but vague, or hardly moves on. "
        "-1: beside the point, misleading, or holds what nothing before gives.",
    ),
    "query": (
        "a search query of a step, before its results are seen",
        "Will it find what moves towards the answer, be it only a part of it? Is it specific, fit for a search engine, "
        "in line with the reasoning, and after something that is not yet known?",
        "+1: specific and fit to find something new that is needed. 0: it could be more specific. -1: one general "
        "word, beside the question, or after what is already known.",
    ),
    "answer": (
        "the answer of a step, against the right answer",
        "Does it say the same as the right answer, be it in other words?",
        "+1: the same. 0: in part, or unclear. -1: something else.",
    ),
    "progress": (
        "a step by where it leads",
        "After the step and what the environment answered to it: is the task nearer to being done?",
        "+1: on the way to the goal. 0: neither nearer nor farther. -1: off the way.",
    ),
}
DIMENSIONS = tuple(_ASKED)


def dimension_prompt(dimension: str, context: Sequence[Part], judged: Sequence[Part]) -> str:
    """Asks for a verdict of -1, 0 or +1 on one side of a step; `judged` is what of the step is shown."""
    what, ask, scale = _ASKED[dimension]
    return f"""Judge {what}.

{ask}

{quoted(*context, *judged)}

{scale}

First say why. Then end with one line of this form, where VERDICT is +1, 0 or -1:
<score>VERDICT</score>"""


def read_ternary(reply: str) -> float:
    """-1, 0 or +1.

    Raises:
        Unreadable: none of the three in the form asked for.

    >>> read_ternary("Vague. <score>0</score>"), read_ternary("<score>+1</score>")
    (0.0, 1.0)
    """
    found = last(reply, "score", r"([+\-−]?)([01])(?:\.0)?")
    return float(found[2]) * (-1.0 if found[1] in ("-", "−") and found[2] == "1" else 1.0)
