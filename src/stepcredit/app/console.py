"""What the command prints: tables and results to stdout, notes and progress to stderr, quiet when piped."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str = "", style: str = "") -> None:
    """A line of result."""
    out.print(Text(clean(text), style=style))


def note(text: str, style: str = "dim") -> None:
    """A line about how the result came to be."""
    err.print(Text(clean(text), style=style))


def notes(lines: Iterable[str]) -> None:
    """Notes, each once."""
    for line in dict.fromkeys(lines):
        note(f"note: {line}")


def print_json(value: Any) -> None:
    """JSON to stdout, NaN as null."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=2) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Rows under headings; numbers to the right. Piped: one line per row, tabs between."""
    body = [[show(cell) for cell in row] for row in rows]
    if not out.is_terminal:
        if title:
            sys.stdout.write(f"# {title}\n")
        for line in [list(columns), *body]:
            sys.stdout.write("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in line) + "\n")
        return
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        numeric = body and all(_is_number(row[i]) for row in body)
        drawn.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        drawn.add_row(*(Text(clean(cell)) for cell in row))
    out.print(drawn)


def show(value: Any) -> str:
    """A cell as text: three significant digits; what is not there is a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def clean(text: str) -> str:
    """Text without control characters that could drive a terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else "�" for c in text)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Any]:
    """A bar on stderr, only where a person looks; yields `advance(n)`."""
    if not err.is_terminal:
        yield lambda n=1: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda n=1: bar.advance(task, n)


def _is_number(cell: str) -> bool:
    return (
        cell == "–"
        or cell.replace(",", "")
        .replace(".", "")
        .replace("-", "")
        .replace("e", "")
        .replace("+", "")
        .rstrip("%")
        .isdigit()
    )


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
