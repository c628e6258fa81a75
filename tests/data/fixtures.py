"""The traces in `traces/`, each of the format whose name its own begins with."""

from pathlib import Path

from stepcredit.data import formats
from stepcredit.data.reading import Reading
from stepcredit.data.storage import rows

TRACES = Path(__file__).parent / "traces"
FILES = sorted(p for p in TRACES.iterdir() if p.suffix not in (".md", ".py"))


def format_of(path):
    """The longest name of a format that the name of the file begins with."""
    return max((name for name in formats.names() if path.name.startswith(name)), key=len)


def first_of(path):
    return next(rows(path, nan=True)).value


def read(*names):
    """The rollouts of fixtures of one format, read by its name."""
    paths = [TRACES / name for name in names]
    return list(Reading(paths, format=format_of(paths[0])))
