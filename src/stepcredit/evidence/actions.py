"""Keys of what was done, equal exactly where two steps did the same thing in other words or spacing."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from stepcredit.data.batch import Batch
from stepcredit.data.records import Step
from stepcredit.errors import UnknownName
from stepcredit.evidence import _texts
from stepcredit.evidence._calls import plain, read
from stepcredit.evidence._signature import CODE_ARGUMENTS, code_in, python_signature, shell_signature
from stepcredit.evidence.card import EvidenceCard

Kind = Literal["calls", "shell", "python", "text"]
KINDS: tuple[Kind, ...] = ("calls", "shell", "python", "text")

CARD = EvidenceCard(
    title="Keys of actions: tool calls, shell and Python by their syntax tree",
    paper="arXiv:2605.08013",
    bibtex="""@misc{su2026learning,
  title={Learning CLI Agents with Structured Action Credit under Selective Observation},
  author={Su, Haoyang and Wen, Ying}, eprint={2605.08013}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/Hoyant-Su/Agentic-RL-A3",
    evidence="official code executed",
    adds=("action",),
    needs="tool calls or texts of the steps",
    departures="Shell commands have the signature of A3; words in single quotes count here and not there. Keys of tool "
    "calls, of Python and of text are ours.",
)


def actions(batch: Batch, *, how: Kind = "calls", single_quoted: bool = True) -> Batch:
    """The batch with an `action` per step: equal keys are equal actions.

    Args:
        how: "calls", names and arguments of the tool calls, in their order, keys sorted; "text", the text of the step;
            both with Unicode made one (NFKC) and runs of blanks made one blank. "shell", "python": the signature of
            the code (see `action_clusters`); the code is an argument named command, cmd, code, script, input or source
            of a tool call, else what the text holds in <code> or in fences, else the text. Code that does not parse is
            its text.
        single_quoted: words of shell commands in single quotes count.

    A step without tool calls (or text) has an action that equals no other.

    Raises:
        StepCreditError: the batch has no records. UnknownName: no such kind of key. MissingExtra: "shell" without
        tree-sitter.
    """
    if how not in KINDS:
        raise UnknownName("kind of action key", how, KINDS)
    steps = _texts.steps(batch, "actions")
    keys = [_key(step, how, single_quoted) for step in steps]
    known = [k for k in keys if k is not None]
    note = f"action: {how} of {len(known)} of {len(keys)} steps, {len(set(known))} distinct"
    unread = sum(k.startswith("text:") for k in known)
    return batch.with_columns(
        action=keys, note=f"{note}, {unread} by their text: they do not parse" if unread else note
    )


def code_of(step: Step) -> str | None:
    """The code that a step runs: see `actions`."""
    for call in step.tool_calls:
        parameters = read(call).parameters or {}
        found = next((parameters[a] for a in CODE_ARGUMENTS if isinstance(parameters.get(a), str)), None)
        if found is not None:
            return str(found)
    return None if step.text is None else code_in(step.text)


def tokens_of(text: str, how: Kind, *, single_quoted: bool = False) -> list[str] | None:
    """Tokens of a piece of code or text, as `action_clusters` compares them; None where code does not parse."""
    if how == "shell":
        return shell_signature(text, single_quoted=single_quoted)
    return python_signature(text) if how == "python" else str(plain(text)).split()


def calls_key(step: Step) -> str | None:
    """Tool calls of a step as JSON with sorted keys; unreadable arguments as their text. None: it has none."""
    if not step.tool_calls:
        return None
    return _json([[plain(c.name), _arguments(c.arguments, read(c).parameters)] for c in step.tool_calls])


def _arguments(given: Any, parameters: Any) -> Any:
    return plain(given if parameters is None else parameters)


def _key(step: Step, how: Kind, single_quoted: bool) -> str | None:
    if how == "calls":
        return calls_key(step)
    if how == "text":
        return None if step.text is None else str(plain(step.text))
    code = code_of(step)
    if code is None:
        return None
    tokens = tokens_of(code, how, single_quoted=single_quoted)
    return f"text:{plain(code)}" if tokens is None else _json(tokens)


def _json(value: Sequence[Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
