"""One question about one step."""

import re
from collections.abc import Sequence

from stepcredit.evidence._prompts import LISTED, Part, Unreadable, indices, last, quoted, spoken

_VALUE = re.compile(r"Expected value:[\s*]*+(\d{1,6})(?![\d/]|[.,]\d)", re.IGNORECASE | re.ASCII)


def principles_prompt(context: Sequence[Part], step: str, *, tags: Sequence[str] = ()) -> str:
    """Asks for principles of the judge's own, a score on each, and their total out of the most there was to get."""
    listed = ", ".join(f"<{tag}>" for tag in tags)
    form = f"\n- If any text of the turn stands outside of the tags {listed}, the score is 0.\n" if tags else "\n"
    return f"""Judge one turn of a rollout, strictly, and that turn alone. It need not hold a final answer.

- Set up principles that fit this turn and score the turn on each. What matters most: does it take the right \
information from what was retrieved; is its query a good one; is it right to search, or not to.{form}
{quoted(*context, ("turn to judge", step))}

Reply in two lines: first your analysis with the score on each principle, then the sum SCORE of your scores and the \
most MAXIMUM that there was to get, both whole numbers, in this form:
<final_score>SCORE,MAXIMUM</final_score>"""


def passages_prompt(context: Sequence[Part], step: str, passages: Sequence[str]) -> str:
    """Asks which retrieved passages help with the task."""
    found = [(f"passage {i}", text) for i, text in enumerate(passages, 1)]
    return f"""A step of a rollout retrieved passages. Say which of them hold information that is needed to do the \
task and was not known before the step.

{quoted(*context, ("step", step), *found)}

Think it through. Then end with one line of this form, where NUMBERS are the numbers of the passages that help, as in \
1, 3, or the word none:
<useful>NUMBERS</useful>"""


def value_prompt(context: Sequence[Part], step: str) -> str:
    """Asks for the expected value, 0 to 10, of a step that was not yet taken."""
    return f"""Judge the action that an agent proposes next, before it is taken: does it serve the task, and is there \
no better one?

{quoted(*context, ("proposed action", step))}

Go through these points: 1. the situation; 2. what the task needs in order to count as done, and what would spoil it; \
3. how much of that is done; 4. the action in your own words; 5. the best and the worst that can come of it; 6. other \
actions that could be taken now, and whether one is strictly better; 7. your evaluation; 8. the value.

0: the task is certain to fail, or harm is done that cannot be undone. 5: the action is only partly right, or another \
is strictly better. More than 5: only if it makes full sense and nothing is strictly better; putting right an earlier \
mistake is more than 5. 10: no action could be better.

End with one line of this form, where VALUE is a whole number from 0 to 10:
Expected value: VALUE"""


def read_fraction(reply: str) -> float:
    """Score over maximum; both are whole numbers, 0 <= score <= maximum, maximum > 0.

    Raises:
        Unreadable: no such pair, or one that is out of range.

    >>> read_fraction("Fair. <final_score>4,6</final_score>")
    0.6666666666666666
    """
    found = last(reply, "final_score", r"([+-]?\d{1,9})\s*+,\s*+([+-]?\d{1,9})")
    score, most = int(found[1]), int(found[2])
    if most <= 0 or not 0 <= score <= most:
        raise Unreadable("a score out of range")
    return score / most


def read_useful(reply: str, size: int) -> float:
    """Share of the passages that are named as helpful.

    Raises:
        Unreadable: no verdict of the form, or a passage that is not there.

    >>> read_useful("<useful>1, 3</useful>", 3)
    0.6666666666666666
    """
    return len(indices(last(reply, "useful", LISTED)[1], size)) / size


def read_value(reply: str) -> float:
    """A whole number from 0 to 10 after "Expected value:".

    Raises:
        Unreadable: there is none, or it is more than 10.

    >>> read_value("8. So:\\nExpected value: 7")
    7.0
    """
    said = spoken(reply)
    begins = [m.start() for m in re.finditer("Expected value:", said, re.IGNORECASE)]
    found = _VALUE.match(said, begins[-1]) if begins else None
    if found is None:
        raise Unreadable("no expected value")
    if int(found[1]) > 10:
        raise Unreadable("a value out of range")
    return float(found[1])
