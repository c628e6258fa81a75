"""Agent text in one string: a step is a thought with its action; observations are the environment's."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stepcredit.segment._blocks import fences, inside
from stepcredit.segment._spans import BLANK, LINE_START, Spans, as_spans, between, trimmed

_LABEL = re.compile(
    rf"{LINE_START}(?P<indent>{BLANK}*+)(?:\#{{1,6}}{BLANK}*+)?+(?:\*\*|__)?+"
    r"(?:(?P<thought>Thought|THOUGHT|思考)|(?P<action>Action(?: Input)?|ACTION(?: INPUT)?|Final Answer|FINAL ANSWER"
    r"|行动|行動|最终答案|最終答案)|(?P<observation>Observation|OBSERVATION|观察|觀察))"
    rf"(?:{BLANK}*+#?\d{{1,6}}+)?+{BLANK}*+(?:\*\*|__)?+{BLANK}*+[:：]"
)


class _Mark(NamedTuple):
    start: int
    end: int
    kind: str
    tag: str = ""
    closes: bool = False


def thought_action(
    text: str,
    *,
    thought_tags: Sequence[str] = ("think", "thinking", "thought", "reasoning"),
    action_tags: Sequence[str] = ("tool_call", "function_call", "action", "search", "python", "answer"),
    observation_tags: Sequence[str] = ("tool_response", "observation", "information", "result", "output"),
) -> Spans:
    r"""[n, 2] steps of an agent: a thought with the action that follows, without the white space around them.

    Two notations, also mixed. Labels at the start of a line: "Thought:", "Action:", "Action Input:", "Final Answer:",
    "Observation:" (capitalized or in capitals, with a number or not, bold or a heading; also 思考, 行动, 观察).
    Tags, with or without attributes: <think>..</think>, <tool_call>..</tool_call>, <tool_response>..</tool_response>.

    A step ends where an observation starts, and where a thought starts after an action. Thoughts in a row are one
    step, and so are actions in a row (parallel calls; `tool_calls` parts those of messages). Text without label or
    tag is of the step in which it stands; before the first mark, of the first step.

    An observation is environment text, belongs to no step, and reaches
    - with a tag, through its closing tag, whatever is inside; to the end of the text if it is never closed;
    - with a label, from the label to the next label at the start of a line that is no observation; tags in it mean
      nothing. The label itself is the environment's: samplers stop at it. Such text can imitate a label, which no
      rule can tell from a real one; a thought or action label inside closed fenced code does not count, an
      observation label always does, so that environment text never earns credit through a fence that was left open.

    What stands in a thought or action tag is not searched for marks, if the tag is closed. Gaps hold white space and
    environment text. One step alone gives one span.

    Left out: chat templates (role tokens such as <|im_start|> are neither sampled nor known here: use the messages),
    lower-case labels, self-closing tags.

    Args:
        thought_tags, action_tags, observation_tags: names of the tags, case-sensitive.

    >>> text = "Thought 1: look it up\nAction 1: Search[x]\nObservation 1: x is 4\nThought 2: done\nAction 2: Finish[4]"
    >>> [text[start:end] for start, end in thought_action(text)]
    ['Thought 1: look it up\nAction 1: Search[x]', 'Thought 2: done\nAction 2: Finish[4]']
    """
    kinds = dict.fromkeys(thought_tags, "thought")
    kinds |= dict.fromkeys(action_tags, "action") | dict.fromkeys(observation_tags, "observation")
    marks = sorted([*_labels(text), *_tags(text, kinds)])
    return trimmed(text, between(_cuts(marks, len(text)), len(text)))


def _cuts(marks: list[_Mark], length: int) -> Iterator[tuple[int, int]]:
    """Observations, and an empty cut before each thought that follows an action."""
    closes = _closing(marks)
    acted, hidden, observation = False, 0, -1
    for i, mark in enumerate(marks):
        if mark.start < hidden or mark.closes:
            continue
        if observation >= 0 and (mark.tag or mark.kind == "observation"):
            continue
        if mark.tag:
            unclosed = length if mark.kind == "observation" else mark.end
            hidden = closes.get(i, unclosed)
        if observation >= 0:
            yield observation, mark.start
            observation = -1
        elif mark.kind == "thought" and acted:
            yield mark.start, mark.start
        if mark.kind == "observation":
            if mark.tag:
                yield mark.start, hidden
            else:
                observation = mark.start
        acted = mark.kind == "action"
    if observation >= 0:
        yield observation, length


def _closing(marks: list[_Mark]) -> dict[int, int]:
    """Where the tag opened by mark i is closed: at the next closing tag of its name."""
    ends: dict[str, int] = {}
    out = {}
    for i in range(len(marks) - 1, -1, -1):
        mark = marks[i]
        if mark.closes:
            ends[mark.tag] = mark.end
        elif mark.tag in ends:
            out[i] = ends[mark.tag]
    return out


def _tags(text: str, kinds: dict[str, str]) -> Iterator[_Mark]:
    names = "|".join(re.escape(name) for name in kinds) or "(?!)"
    for match in re.finditer(rf"<(/?)({names})(?:\s[^<>]*)?>", text):
        yield _Mark(match.start(), match.end(), kinds[match[2]], match[2], bool(match[1]))


def _labels(text: str) -> Iterator[_Mark]:
    found = list(_LABEL.finditer(text))
    turns = [(match.start(),) * 2 for match in found if match["observation"]]
    # Each stretch from one observation label to the next is fenced on its own, so no fence hides an observation.
    fenced = [
        (start + opened, start + closed)
        for start, end in between(turns, len(text))
        for opened, closed in fences(text[start:end], open_to_end=False).tolist()
    ]
    hidden = inside((match.end("indent") for match in found), as_spans(fenced))
    for match, hide in zip(found, hidden.tolist(), strict=True):
        kind = match.lastgroup
        if kind and not hide:
            yield _Mark(match.end("indent"), match.end(), kind)
