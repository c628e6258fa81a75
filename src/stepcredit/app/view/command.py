"""`stepcredit view`: which step broke the run, in a browser."""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
import webbrowser
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from stepcredit.app.console import note, notes, progress, say
from stepcredit.app.options import (
    Error,
    Format,
    Map,
    Normalize,
    OnError,
    RewardOption,
    Segment,
    States,
    apart,
    writable,
)
from stepcredit.app.view import judging, server
from stepcredit.app.view.answers import Answers, Head
from stepcredit.app.view.building import Order
from stepcredit.app.view.download import bare, downloaded
from stepcredit.app.view.export import LIMIT, export, export_labels
from stepcredit.app.view.growing import Growing
from stepcredit.app.view.kinds import kinds_of_files
from stepcredit.app.view.looking import Looking, same
from stepcredit.app.view.marks import Marks, check_file, default_file
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.news import News
from stepcredit.app.view.query import Query
from stepcredit.app.view.store import Store, cache_folder
from stepcredit.data.redact import Redactor
from stepcredit.errors import DataError

PORT = 7460
Traces = Annotated[
    list[str],
    typer.Argument(
        help="Traces of any format (JSONL, JSON, .gz, .zst, Parquet, .eval, .traj), a folder, a glob, an http(s) "
        "address, or - for stdin; also search trees, training logs and boards.",
        metavar="FILE|FOLDER|URL",
    ),
]


def view(
    files: Traces,
    export_to: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="PAGE.html", help="Write one self-contained page instead; it needs no network."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="With --export: most steps in the page.", min=1)] = LIMIT,
    redact: Annotated[
        bool | None,
        typer.Option(
            "--redact/--no-redact",
            help="Take keys, tokens and passwords out of all texts. On for --export, off for the server.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        list[str],
        typer.Option(
            "--method", "-M", metavar="NAME", help="Credit by these methods; by all that the data allow if not given."
        ),
    ] = [],  # noqa: B006
    reward: RewardOption = None,
    diagnose: Annotated[
        bool,
        typer.Option("--diagnose/--no-diagnose", help="Name the step to blame in runs that failed; asks no model."),
    ] = True,
    marks: Annotated[
        list[Path],
        typer.Option(
            "--marks",
            metavar="FILE",
            help="Where marks of people are kept, beside the data if not given; of several files the first is written "
            "to, the others are read.",
        ),
    ] = [],  # noqa: B006
    rater: Annotated[str, typer.Option("--rater", metavar="NAME", help="Who marks.")] = "me",
    labels: Annotated[
        Path | None,
        typer.Option(
            "--export-labels", metavar="FILE", help="Write the marked runs with their labels as rollouts, and end."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen. Only 127.0.0.1 keeps other machines out.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Where to listen; if it is taken, a free one.", min=0)] = PORT,
    open: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="FOLDER", help="Where indices are kept; they hold the texts.")
    ] = None,
    states: States = None,
    normalize: Normalize = "",
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
) -> None:
    """See runs step by step in a browser: what was said and done, which step broke a run, and the numbers behind it.

    Point it at the logs you have. Runs of one task are compared with one another, so give those that succeeded too.
    States are made of the last observation where the file has none (--states none: not). The page comes at once and
    fills up as files are read; they are indexed once and open at once the next time. Nothing leaves this machine.

    In the page: arrow keys and j k walk, ? lists the keys, every step has an address of its own to send to others.

    Start with `stepcredit view logs/`. Two people mark, each with a name: `stepcredit view runs.jsonl --rater anna`;
    their marks become labels with --export-labels. To send runs to others, as one page without secrets:

    Example: stepcredit view runs.jsonl --export page.html
    """
    writable(export_to)
    writable(labels, rollouts=True)
    for file in marks:
        check_file(file)
    if labels is not None and marks and not any(file.exists() for file in marks):
        raise DataError("there are no marks to make labels of: there is no such file", file=marks[0])
    apart(files, export=export_to, labels=labels)
    with ExitStack() as stack:
        given = [_local(f, stack) for f in files]
        asked = Order(
            (),
            (),
            format,
            tuple(map),
            on_error.value,
            segment,
            states,
            normalize,
            tuple(dict.fromkeys(method)),
            reward.value if reward else None,
            tuple(judging.diagnosers()) if diagnose else (),
            export_to is not None if redact is None else redact,
        )
        order, others = _sorted(given, asked)
        names = [bare(f) for f in files]
        sent = export_to is not None  # to others, whom folders of this machine tell nothing
        shown = [Path(n).name if sent and Path(n).exists() else n for n in names]
        empty = Memory([], Head(title=title(names), source=", ".join(shown)))
        words = cache_folder(cache), empty.head.title, empty.head.source
        news = News([g.path for g in given], order.files, (p for paths in others.values() for p in paths))
        store = Store(order, *words) if order.files else None
        kept = Marks(marks or [default_file(files)], rater)
        if store is not None:
            stack.callback(store.drop)
        clean = Redactor() if order.redact else None
        if export_to is None and labels is None:
            wash = same if clean is None else clean.value

            def anew() -> tuple[Store, Mapping[str, Sequence[Path]]]:
                order, others = _sorted(given, asked)
                return Store(order, *words), others

            looking = (
                Looking(empty, kept, others, wash)
                if store is None
                else Growing(store, kept, others, wash, anew=anew, news=news)
            )
            stack.callback(looking.close)
            _serve(looking, host, port, open)
            return
        answers: Answers = empty
        if store is not None:
            with progress("reading"):
                store.here()
            answers = query = Query(store.folder, store.root)
            stack.callback(query.close)
        _write(answers, kept, others, labels, export_to, limit, clean)


def _write(
    answers: Answers,
    marks: Marks,
    files: Mapping[str, Sequence[Path]],
    labels: Path | None,
    page: Path | None,
    limit: int,
    clean: Redactor | None,
) -> None:
    """The files that were asked for."""
    if labels is not None:
        number = export_labels(labels, answers, marks)
        note(f"{number:,} runs with labels: {labels}", "")
    if page is not None:
        others = None if clean is None else clean.value
        left_out = export(page, answers, marks, files=files, limit=limit, clean_files=others)
        notes([left_out] if left_out else [])
        taken = Counter(answers.head.redacted or {}) + (Counter() if clean is None else clean.taken)
        if taken:
            note(f"note: taken out: {', '.join(f'{n} {kind}' for kind, n in sorted(taken.items()))}")
        note(f"page: {page}", "")


def title(files: Sequence[str]) -> str:
    """What the window is called.

    >>> title(["logs/runs.jsonl", "more.jsonl"])
    'runs.jsonl and 1 more'
    """
    first = files[0].rstrip("/").rpartition("/")[2] or files[0]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{'standard input' if first == '-' else first}{more}"


class _Given(NamedTuple):
    """A file of this machine; digest: of its contents, where it stands elsewhere each time."""

    path: str
    digest: str = ""


def _local(name: str, stack: ExitStack) -> _Given:
    """A file of this machine with what the name stands for."""
    if name.startswith(("http://", "https://")):
        at = stack.enter_context(downloaded(name))
    elif name == "-":
        at = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stepcredit-view-"))) / "stdin"
        with at.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
    else:
        return _Given(name)
    with at.open("rb") as file:
        return _Given(str(at), file_digest(file, "sha256").hexdigest())


def _sorted(given: Sequence[_Given], asked: Order) -> tuple[Order, dict[str, list[Path]]]:
    """(what is asked, of the files that hold runs now; the other files by kind)."""
    kinds = kinds_of_files([g.path for g in given])
    digests = {g.path: g.digest for g in given}
    runs = tuple(kinds["runs"])
    others = {kind: [Path(p) for p in paths] for kind, paths in kinds.items() if kind != "runs" and paths}
    return replace(asked, files=runs, digests=tuple(digests.get(path, "") for path in runs)), others


def _serve(looking: Looking, host: str, port: int, browse: bool) -> None:
    """Until interrupted, or until the files turn out to be none."""
    beyond = host not in server.LOOPBACK

    async def forever() -> None:
        app = server.application(looking, hosts=(host.lower(), "*") if beyond else ())
        if isinstance(looking, Growing):
            looking.store.start()
        at, bound, stop = await server.listen(app, host, port)
        try:
            address = server.url(at, bound)
            if bound != port and port:
                note(f"note: port {port} is taken; this is another")
            if beyond:
                note("note: other machines can reach this page, and read all of it", "yellow")
            say(f"stepcredit view: {address}")
            note("Ctrl-C ends it.")
            if browse and _sees():
                await asyncio.to_thread(webbrowser.open, address)
            await _watch(looking)
        finally:
            await stop()

    with suppress(KeyboardInterrupt):
        asyncio.run(forever())


async def _watch(looking: Looking) -> None:
    """Wait, and say when all is read.

    Raises:
        StepCreditError: nothing could be read.
    """
    while not looking.reading.done:
        await asyncio.to_thread(looking.refresh)
        await asyncio.sleep(0.2)
    error = looking.error
    if error is not None and looking.answers is None:
        raise error
    if error is not None:
        note(f"reading stopped: {error}", "yellow")
    elif isinstance(looking, Growing) and looking.answers is not None:
        counts = looking.answers.counts()
        await asyncio.to_thread(looking.runs)  # so that the table is there when it is asked for
        note(f"read {counts['runs']:,} runs of {counts['groups']:,} tasks, {counts['steps']:,} steps")
        notes(looking.answers.head.notes)
    await asyncio.Event().wait()


def _sees() -> bool:
    """Whether there is a screen to open a browser on."""
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return "SSH_CONNECTION" not in os.environ
