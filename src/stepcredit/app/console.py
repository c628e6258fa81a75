"""What the command prints: results to stdout, notes and progress to stderr; plain text where no person looks."""

import json
import logging
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stepcredit.errors import StepCreditError

out = Console(highlight=False)
err = Console(highlight=False, stderr=True)

_NUMBER = re.compile(r"–|~0|-?[0-9.,]+(e[+-]?[0-9]+)?%?")
_NARROWEST = 24  # of the last column, the one that wraps


def say(text: str = "", style: str = "") -> None:
    """Lines of result; at a terminal what is too long goes on under its own beginning."""
    lines = clean(text).split("\n")
    if out.is_terminal:
        lines = [part for one in lines for part in _wrapped(one, out.width)]
    _show(out, Text("\n".join(lines), style=style))


def note(text: str, style: str = "dim") -> None:
    """A line about how the result came to be."""
    _show(err, Text(line(text), style=style))


def notes(lines: Iterable[str]) -> None:
    """Notes, each once."""
    for one in dict.fromkeys(lines):
        note(f"note: {one}")


def fail(message: str, hint: str | None = None) -> None:
    """The text of an error. What comes from data stays on the line of the message."""
    text = clean(message).replace("\n", "\\n") + ("" if hint is None else f"\n  hint: {clean(hint)}")
    _show(err, Text(f"error: {text}", style="red"))


def print_json(value: Any) -> None:
    """JSON to stdout, NaN as null; ASCII, so that no text in it can drive a terminal."""
    _emit(sys.stdout, json.dumps(_plain(value), allow_nan=False, indent=2) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Rows under headings, numbers to the right, the last column wrapped. Too narrow a terminal: row after row, each
    cell with its heading. Piped: a row per line, tabs between."""
    body = [[line(show(cell)) for cell in row] for row in rows]
    if not out.is_terminal:
        head = [f"# {title}"] if title else []
        _emit(sys.stdout, "\n".join([*head, *("\t".join(r) for r in [list(columns), *body])]) + "\n")
        return
    widths = [max(map(cell_len, column)) for column in zip(columns, *body, strict=True)]
    if sum(widths[:-1]) + min(widths[-1], _NARROWEST) + 2 * (len(widths) - 1) > out.width:
        for first, *others in body:
            say(first, "bold")
            say("  " + "; ".join(f"{name}: {cell}" for name, cell in zip(columns[1:], others, strict=True)))
        return
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        numeric = bool(body) and all(_NUMBER.fullmatch(row[i]) for row in body)
        drawn.add_column(Text(name), justify="right" if numeric else "left", no_wrap=i < len(columns) - 1)
    for row in body:
        drawn.add_row(*map(Text, row))
    _show(out, drawn)


def show(value: Any) -> str:
    """A cell as text: three significant digits; what is not there is a dash, what is but rounding "~0"."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        if 0 < abs(value) < 1e-12:
            return "~0"
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def share(value: float | None) -> str:
    """A share as a cell."""
    return show(None) if value is None or math.isnan(value) else f"{value:.1%}"


def clean(text: str) -> str:
    """Text without the characters that could drive a terminal or turn it around."""
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in text)


def line(text: str) -> str:
    """Text as one clean line."""
    return clean(text).replace("\t", " ").replace("\n", " ")


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Any]:
    """A sign of life on stderr, only where a person looks, with a total a bar; yields `advance(n)`."""
    if not err.is_terminal:
        yield lambda n=1: None
        return
    counted = TextColumn("{task.completed:,.0f} {task.description}")
    share = [] if total is None else [BarColumn(), TimeRemainingColumn()]
    with Progress(SpinnerColumn(), counted, *share, TimeElapsedColumn(), console=err, transient=True) as bar:
        task = bar.add_task(label if total is None else f"of {total} {label}", total=total)
        yield lambda n=1: bar.advance(task, n)


def silent() -> logging.Logger:
    """A log that nobody reads: what a stranger sends to a server is answered, not printed with a traceback."""
    log = logging.getLogger("stepcredit.silent")
    log.propagate, log.disabled = False, True
    return log


def _show(console: Console, what: RenderableType) -> None:
    with console.capture() as captured:
        console.print(what, soft_wrap=not (console.is_terminal and isinstance(what, Table)))
    _emit(console.file, captured.get())


def _emit(stream: Any, text: str) -> None:
    """Write. A reader who has left (`| head`) has seen enough: the work goes on, the rest goes nowhere."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise StepCreditError(f"standard output: {error.strerror or error}") from None


def _wrapped(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    parts = textwrap.wrap(
        text, max(width, 20), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return parts or [""]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
