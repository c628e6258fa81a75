"""A table for spreadsheets: a row a step.

Columns: group, rollout, step, outcome, agent, action, text, observation, tools, reward; `credit.<method>` and
`evidence.<name>` for each that occurs anywhere; blame, blame_by, blame_error, blame_confidence, blame_reason (several,
of one step, with " | " between); trace, span, start, seconds, input_tokens, output_tokens, cost. What is not known is
empty. A text that a spreadsheet would run as a formula has a ' before it. Texts are cut at `longest` characters. The
rows wait in a temporary file, as the first line names all columns.
"""

import csv as _csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from stepcredit.data.exports import as_json
from stepcredit.data.records import Rollout
from stepcredit.data.storage import placed

SUFFIXES = (".csv",)
_FIRST = ("group", "rollout", "step", "outcome", "agent", "action", "text", "observation", "tools", "reward")
_LAST = (
    *("blame", "blame_by", "blame_error", "blame_confidence", "blame_reason", "trace", "span", "start", "seconds"),
    *("input_tokens", "output_tokens", "cost"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(rollouts: Iterable[Rollout], *, longest: int = 2000) -> Iterator[bytes]:
    """The line of the names, then a line a step.

    Args:
        longest: most characters of a text.
    """
    between: dict[str, None] = {}
    some = False
    with tempfile.TemporaryFile() as waiting:
        for rollout in rollouts:
            for row in _rows(rollout, longest):
                some = True
                between.update(dict.fromkeys(k for k in row if k.startswith(("credit.", "evidence."))))
                with placed("the temporary file for rows"):
                    waiting.write(as_json(row) + b"\n")
        if not some:
            return
        names = (*_FIRST, *sorted(between), *_LAST)
        yield _line(names)
        waiting.seek(0)
        for line in waiting:
            row = msgspec.json.decode(line)
            yield _line([row.get(name) for name in names])


def _rows(rollout: Rollout, longest: int) -> Iterator[dict[str, Any]]:
    for place, step in enumerate(rollout.steps):
        blamed = [b for b in rollout.blame if b.step == place]
        origin = step.origin
        row: dict[str, Any] = {
            "group": rollout.group,
            "rollout": rollout.rollout,
            "step": place,
            "outcome": rollout.outcome,
            "agent": step.agent,
            "action": step.action,
            "text": step.text,
            "observation": step.observation,
            "tools": ", ".join(c.name for c in step.tool_calls) or None,
            "reward": step.reward,
            **{f"credit.{k}": v for k, v in step.credit.items()},
            **{f"evidence.{k}": v for k, v in step.evidence.items() if not isinstance(v, list)},
            "blame": " | ".join("" if b.label is None else f"{b.label:g}" for b in blamed) or None,
            "blame_by": " | ".join(b.by for b in blamed) or None,
            "blame_error": " | ".join(b.error for b in blamed if b.error) or None,
            "blame_confidence": " | ".join(f"{b.confidence:g}" for b in blamed if b.confidence is not None) or None,
            "blame_reason": " | ".join(b.reason for b in blamed if b.reason) or None,
        }
        if origin is not None:
            row |= {"trace": origin.trace, "span": origin.id, "start": origin.start, "seconds": origin.seconds}
            row |= {"input_tokens": origin.input_tokens, "output_tokens": origin.output_tokens, "cost": origin.cost}
        yield {k: _cell(v, longest) for k, v in row.items() if v is not None}


def _cell(value: Any, longest: int) -> Any:
    if not isinstance(value, str):
        return value
    text = value if len(value) <= longest else value[: max(longest - 1, 0)] + "…"
    return "'" + text if text.startswith(_FORMULA) and not _number(text) else text


def _number(text: str) -> bool:
    """Whether a text is one or several numbers, which no spreadsheet runs."""
    try:
        [float(part) for part in text.split(" | ") if part]
    except ValueError:
        return False
    return True


def _line(cells: Iterable[Any]) -> bytes:
    out = io.StringIO()
    _csv.writer(out, lineterminator="").writerow(["" if c is None else c for c in cells])
    return out.getvalue().encode(errors="replace")
