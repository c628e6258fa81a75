"""The `stepcredit` command: errors as text, exit status for scripts."""

import signal
import sys
import traceback
import warnings
from typing import Any, NoReturn

import typer

from stepcredit.app import (
    advise,
    assign,
    bench,
    compare,
    convert,
    demo,
    diagnose,
    evidence,
    label,
    lint,
    llm,
    methods,
    search,
    select,
    state,
    train,
    watch,
    worlds,
)
from stepcredit.app.console import fail, note
from stepcredit.app.view import command as viewing
from stepcredit.errors import MissingExtra, StepCreditError

app = typer.Typer(
    name="stepcredit",
    help="Which step of an LLM agent's run earned the outcome.\n\n"
    "An agent failed? `stepcredit view TRACES` in a browser, `stepcredit diagnose TRACES` in the terminal.\n\n"
    "Training? `stepcredit demo`, then `stepcredit compare YOUR_ROLLOUTS`.\n\n"
    "Exit status: 0 done, 1 something was found (lint, diagnose), 2 an error, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        from stepcredit import __version__

        sys.stdout.write(f"stepcredit {__version__}\n")
        raise typer.Exit


app.command("view", short_help="Runs in a browser: which step is to blame, why, and what the others did.")(viewing.view)
app.command("diagnose", short_help="Which step broke a run, in words; for scripts too.")(diagnose.diagnose)
app.command("watch", short_help="Takes the spans of a running agent, and tells as runs end.")(watch.watch)
app.command("demo", short_help="Make rollouts with known truth, credit them, score the methods.")(demo.demo)
app.command("compare", short_help="Every applicable method on your rollouts, side by side.")(compare.compare)
app.command("advise", short_help="Which methods fit your rollouts, and why.")(advise.advise)
app.command("assign", short_help="Write credit for every step or token.")(assign.assign)
app.command("lint", short_help="Check credit or advantages for known bugs.")(lint.lint)
app.command("state", short_help="Make states from observations; how much they merge.")(state.state)
app.command("evidence", short_help="Add what is known about steps, after saying what it costs.")(evidence.evidence)
app.command("select", short_help="Which rollouts to learn from, of which tasks to draw more.")(select.select)
app.command("methods", short_help="What systems there are, what each needs.")(methods.methods)
app.command("train", short_help="An agent learns in a world, by any credit method.")(train.train)
app.command("worlds", short_help="Worlds to act in by text, measured.")(worlds.worlds)
app.command("convert", short_help="Rollouts of any format into ours.")(convert.convert)
app.add_typer(label.app, name="label", short_help="Labels for steps, by a published system.")
app.command("search", short_help="Better answers for more calls, inside a budget.")(search.search)
app.command("gateway", short_help="Searched answers for any OpenAI client.")(search.gateway)
app.add_typer(llm.app, name="llm", short_help="Serve models to any OpenAI client; ask a server what it can do.")
app.add_typer(bench.app, name="bench", short_help="How right is credit, and how fast?")


def main() -> None:
    """Run the command; 0 done, 1 something was found, 2 an error, 130 interrupted."""
    warnings.showwarning = _warn
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(standalone_mode=True)
    except StepCreditError as error:
        _fail(error.message, error.hint)
    except MissingExtra as error:
        _fail(*str(error).split("\n  hint: "))
    except MemoryError as error:
        _fail(f"out of memory {error}".strip(), "assign without --report and convert read task by task; or fewer files")
    except OSError as error:
        _fail(f"{error.filename or 'system'}: {error.strerror or error}")
    except SystemExit as error:
        if error.code == 130:
            fail("interrupted; unfinished files were removed")
        raise
    except KeyboardInterrupt:
        _fail("interrupted", status=130)
    except Exception as error:
        _fail(*_unexpected(error))


def _fail(message: str, hint: str | None = None, *, status: int = 2) -> NoReturn:
    fail(message, hint)
    raise SystemExit(status)


def _unexpected(error: Exception) -> tuple[str, str]:
    """An error that nobody foresaw, and where: in a file of the user's that was run, or in a bug of ours."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (frame.filename, frame.lineno)
    where = f"{place[0]}, line {place[1]}"
    return f"{type(error).__name__}: {error} ({where})", "if that file is not yours, this is a bug: please report it"


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    note(f"warning: {message}", "yellow")


def _terminated(*_: Any) -> NoReturn:
    """As an exception, so that unfinished files are removed."""
    raise SystemExit(143)
