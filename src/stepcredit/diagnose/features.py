"""What can be read off single steps: what was done, what came back, whether it failed. Made once per rollout."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from stepcredit.data.records import Message, Rollout, Step, observed, replies_of
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.evidence._calls import plain
from stepcredit.evidence.actions import calls_key

MISSING = "nothing found"
"""The kind of failure that may be the truth."""

_HEAD, _TAIL, _SHORT = 1200, 600, 300
_LINE = re.compile(r"\s+")

_CODE = re.compile(r"\b(?:exit(?:ed with)?[ _]?(?:code|status)|return[ _]?code|exitcode)\W{0,4}(-?\d{1,5})\b", re.I)
_HTTP = re.compile(
    r"\b(?:HTTP(?:/\d(?:\.\d)?)?(?: (?:error|status|code))?|status[ _]?code|response code)\W{0,5}([45]\d\d)\b"
    r"|\bstatus\W{0,5}([45]\d\d)\b(?! (?!(?:for|from|while|when|on|at|in|and|after|to|with|by|error)\b)(?-i:[a-z]))"
    r"|\b([45]\d\d) (?:(?:client|server) error|bad request|unauthorized|forbidden|not found|too many requests|"
    r"internal server error|bad gateway|service unavailable|gateway timeout)\b",
    re.I,
)
_RAISED = re.compile(r"^\s*(?:[\w.]+\.)?([A-Z]\w*(?:Error|Exception))\b", re.M)
# A name of errors is no error where it says that there are none: "error": null, "Failed: 0", "Error rate: 2%".
_NONE = (
    r"(?![ _-](?:rates?|bars?|margins?|handling)\b|(?<=failed)\s+0\b(?!\s*[:.])|[\"']?\s*[:=]\s*(?:0\s+\w+\s*[:=]|"
    r"(?:[\"']?(?:null|none|nil|n/a|false|no)[\"']?|\"\"|''|0(?:\.0*)?%?|\[\s*\]|\{\s*\})\s*(?:[,;}\])]|$)))"
)
_SAID = re.compile(
    r"^\W{0,4}(?:an? )?(?:(?:fatal|runtime|syntax|tool|api|unexpected|internal)[ _-]?)?"
    rf"(?:error|exception|failure|failed)\b{_NONE}"
    rf"|\"(?:error|is_error)\"{_NONE}\s*:\s*(?:true|\"[^\"]|\{{)|\"(?:success|ok)\"\s*:\s*false"
    r"|\bcommand not found\b|\bno such file or directory\b|\bpermission denied\b|\bconnection (?:refused|reset)\b"
    r"|(?:^\W{0,4}|[:;)\]-]\s+|\b(?:requests?|connections?|connect|operation|call|command|process|execution|program|"
    r"query|server|socket|read|write|tool|task|job|script|tests?|page|download|response|gateway|api|it|code)"
    r" (?:has |have |was )?)timed out\b|\btimed out (?:after \d|waiting)|\btimeout expired\b"
    r"|\bsegmentation fault\b|\bis not recognized as an\b"
    r"|^\W{0,4}(?:unknown|invalid|no such|unsupported) (?:tool|function|command|action|argument|parameter)\b",
    re.I | re.M,
)
_MISSING = re.compile(
    r"^\W{0,4}(?:[\w' -]{0,60} )?(?:was |were |is |are |could )?not (?:be )?found\b"
    r"|^\W{0,4}no (?:results?|matches|match|data|records?|items?|documents?|entries)\b"
    r"(?: (?:were |was )?(?:found|available|returned))?\W*$"
    r"|^\W{0,4}nothing (?:happens|found)\b|^\s*(?:\[\s*\]|\{\s*\}|null|none)\s*$",
    re.I | re.M,
)


_RAISES = ("error", "exception")
_ANSWERS = (
    "bad request",
    "unauthorized",
    "forbidden",
    "not found",
    "too many",
    "bad gateway",
    "unavailable",
    "timeout",
)
_SAYS = (
    "fail",
    "not found",
    "no such",
    "denied",
    "connection ",
    "timed out",
    "timeout",
    "segmentation",
    "not recognized",
)
_REFUSES = ("unknown", "invalid", "unsupported", "false")
# Words without which a pattern cannot match: to look for them is much cheaper.
_KINDS = (
    ("HTTP", ("http", "status", "response code", "error", *_ANSWERS), _HTTP),
    ("exception", _RAISES, _RAISED),
    ("said", (*_RAISES, *_SAYS, *_REFUSES), _SAID),
)


class Failure(NamedTuple):
    """Why a tool's reply counts as failed. kind: "error", "exit code", "exception", "HTTP", "said", "nothing found"."""

    kind: str
    words: str


class Features(NamedTuple):
    """[S] of a rollout's own steps.

    done: key of what was done (tool calls, else text, else action), finer than the graph's: None = nothing. seen: what
    came back, None = not known. failures: of the replies, None = none. results: whether the step itself is what a
    program printed, as an executor among agents sends it: nothing was done in it, and `done` is None.
    """

    done: tuple[Hashable, ...]
    seen: tuple[str | None, ...]
    failures: tuple[Failure | None, ...]
    results: tuple[bool, ...]


_KEPT: "WeakKeyDictionary[Group, dict[Hashable, Any]]" = WeakKeyDictionary()


def kept(group: Group, key: Hashable, make: Callable[[], Any]) -> Any:
    """What was made of a group under this key; made now if it was not."""
    mine = _KEPT.setdefault(group, {})
    if key not in mine:
        mine[key] = make()
    return mine[key]


def once(case: Case, method: Callable[[Case], Verdict]) -> Verdict:
    """The verdict of a method without options, made once per run: several ask the same ones."""
    found: Verdict = kept(case.group, (method, case.index), lambda: method(case))
    return found


def features(case: Case) -> Features:
    """The features of a case's steps."""
    found: Features = kept(case.group, ("features", case.index), lambda: read(case.rollout))
    return found


def read(rollout: Rollout) -> Features:
    """The features of a rollout's steps."""
    steps = rollout.steps
    failures = [failure(step) for step in steps]
    results = _results(steps)
    for at in range(1, len(steps)):
        spoken = None if steps[at].tool_calls or failures[at - 1] else output(steps[at])
        if spoken is not None and steps[at].agent != steps[at - 1].agent:
            failures[at - 1] = spoken  # another agent ran what this one wrote
    return Features(
        tuple(None if result else fine_key(step) for step, result in zip(steps, results, strict=True)),
        tuple(observed(step) for step in steps),
        tuple(failures),
        tuple(results),
    )


def _results(steps: Sequence[Step]) -> list[bool]:
    """Whether each step is what a program printed: among several agents, a text that begins so; what an executor says
    that was given nothing to run; and what somebody repeats word for word whose other texts are such."""
    if len({step.agent for step in steps}) < 2:
        return [False] * len(steps)
    silent = [not step.tool_calls and step.action is None for step in steps]
    out = [
        mute and (printed(s.text) or _IDLE.match(s.text or "") is not None)
        for mute, s in zip(silent, steps, strict=True)
    ]
    texts = Counter((step.agent, step.text) for step in steps)
    acts = {s.agent for s, result in zip(steps, out, strict=True) if not result and texts[s.agent, s.text] < 2}
    runs = {step.agent for step, result in zip(steps, out, strict=True) if result} - acts
    return [result or (mute and s.agent in runs) for result, mute, s in zip(out, silent, steps, strict=True)]


def action_key(step: Step) -> Hashable:
    """What was done, equal where two steps did the same: the action, else the tool calls, else the text; None: none."""
    return step.action if step.action is not None and step.action == step.action else fine_key(step)


def fine_key(step: Step) -> Hashable:
    """The tool calls of a step with all their arguments, else its text, blanks made one, else its action."""
    if step.tool_calls:
        return calls_key(step)
    if step.text and not step.text.isspace():
        return _plain(step.text)
    return step.action


def failure(step: Step) -> Failure | None:
    """Why a tool that the step called failed: the record says so (`Message.error`, `Origin.error`), else the words of
    the reply do: an exit code, an exception, an HTTP status, "error", nothing found.

    Words are looked for in what tools said alone, in its first and last lines, and "nothing found" in short replies
    alone: a page about errors is no failure.
    """
    found = complaint(step)
    return None if found is None else Failure(found.kind, shown(found.words))


def answers(message: Message) -> bool:
    """Whether a message is what a tool answered: by its role, or because a program's output stands in it."""
    return message.role == "tool" or message.call is not None or printed(message.content)


class Complaint(NamedTuple):
    """The failure that a step was told of: words, the whole line, or all that was said by who is known to have failed;
    reply: the message that tells of it, None where it is none."""

    kind: str
    words: str
    reply: Message | None


def complaint(step: Step) -> Complaint | None:
    """As `failure`, with its words in full."""
    if step.origin is not None and step.origin.error:
        return Complaint("error", step.origin.error, None)
    if not step.replies:
        acts = bool(step.tool_calls) or step.action is not None
        found = line_of(step.observation) if acts and isinstance(step.observation, str) else None
        return None if found is None else Complaint(*found, None)
    for message in replies_of(step):
        if message.error:
            return Complaint("error", message.content or "the tool failed", message)
        if message.error is None and message.content and answers(message):
            found = line_of(message.content)
            if found is not None:
                return Complaint(*found, message)
    return None


def told(text: str) -> Failure | None:
    """What kind of failure the words of a tool tell of; None: none.

    >>> told("Traceback (most recent call last):\\n  ...\\nKeyError: 'x'"), told("exitcode: 0 (execution succeeded)")
    (Failure(kind='exception', words="KeyError: 'x'"), None)
    """
    found = line_of(text)
    return None if found is None else Failure(found[0], shown(found[1]))


def line_of(text: str) -> tuple[str, str] | None:
    """The kind of `told`, and the line that tells of it; the first and last lines of a long text are read."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    low = text.lower()
    if "exit" in low or "return" in low:
        code = _CODE.search(text)
        if code is not None:
            raised = list(_RAISED.finditer(text)) if int(code[1]) else []
            words = _line(text, code.start()) + (f": {_line(text, raised[-1].start(1)).strip()}" if raised else "")
            return ("exit code", words) if int(code[1]) else _told_by(text[code.end() :])
    if "traceback (most recent call last)" in low:
        raised = list(_RAISED.finditer(text))
        return "exception", _line(text, raised[-1].start(1)) if raised else "Traceback"
    found = _named(text, low)
    if found is not None:
        return found
    missing = _MISSING.search(text) if len(text) <= _SHORT else None
    return None if missing is None else (MISSING, _line(text, missing.end() - 1))


def _named(text: str, low: str) -> tuple[str, str] | None:
    for kind, cues, pattern in _KINDS:
        if _any_of(cues, low):
            found = pattern.search(text)
            if found is not None:
                return kind, _line(text, found.end() - 1)
    return None


def _told_by(rest: str) -> tuple[str, str] | None:
    """What a program that ended well told of in the first line after its exit code: of a long output nothing."""
    lines = _lines(rest)
    if not lines or len(rest) > _SHORT:
        return None
    missing = _MISSING.search(lines[0]) if len(lines) == 1 else None
    return _named(lines[0], lines[0].lower()) or (None if missing is None else (MISSING, lines[0]))


def _lines(rest: str) -> list[str]:
    """The lines that were printed, after an exit code: what stands in its own line is no part of them."""
    after = rest[rest.find("\n") + 1 :] if "\n" in rest else ""
    return [line for line in _LABEL.sub("", after, count=1).splitlines() if line.strip()]


_LABEL = re.compile(r"\s*(?:code |program |tool )?(?:output|stdout)\s*:[^\S\n]*", re.I)
_OUTPUT = re.compile(
    r"\s*(?:exitcode|exit code|return ?code|stdout|stderr|traceback|\[?(?:tool|execution) (?:output|result)"
    r"|<(?:return_?code|exit_?code|output|stdout|stderr)>|observation:\s*\{\s*[\"'](?:output|stdout|return_?code))",
    re.I,
)
_IDLE = re.compile(r"\s*(?:there is |there was |found )?no (?:\w+ )?code\b[^.\n]{0,80}\bto (?:execute|run)\b", re.I)


def printed(text: str | None) -> bool:
    """Whether a text begins as the output of a program does."""
    return bool(text) and _OUTPUT.match(str(text)[:60]) is not None


def quiet(text: str) -> bool:
    """Whether a program ended well and printed nothing.

    >>> quiet("exitcode: 0 (execution succeeded)\\nCode output: "), quiet("exitcode: 0 (execution succeeded)\\n7")
    (True, False)
    """
    code = _CODE.match(text.lstrip())
    return code is not None and int(code[1]) == 0 and not _lines(text.lstrip()[code.end() :])


def output(step: Step) -> Failure | None:
    """The failure that a step reports which is itself the output of a program, as an executor among agents sends it."""
    text = step.text or ""
    return told(text) if printed(text) else None


def shown(value: Any, width: int = 90) -> str:
    """A value in one short line, without control characters.

    >>> shown("a\\n\\tb")
    'a b'
    """
    text = value if isinstance(value, str) else str(value)
    text = _LINE.sub(" ", text[: 4 * width]).strip()
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _any_of(cues: tuple[str, ...], text: str) -> bool:
    for cue in cues:  # noqa: SIM110 - called for every reply: a generator takes three times as long
        if cue in text:
            return True
    return False


def _line(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return text[start : len(text) if end < 0 else end]


def _plain(text: str) -> str:
    return " ".join(text.split()) if text.isascii() else str(plain(text))
