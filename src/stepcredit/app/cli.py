"""The `stepcredit` command: errors as text, exit status for scripts."""

import os
import sys

import typer

from stepcredit.app import assign, bench, compare, convert, demo, lint, methods, state
from stepcredit.app.console import err
from stepcredit.errors import MissingExtra, StepCreditError

app = typer.Typer(
    name="stepcredit",
    help="Which step of an LLM agent's run earned the outcome.\n\n"
    "Start with `stepcredit demo`, then `stepcredit compare YOUR_ROLLOUTS --report page.html`.",
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


app.command("demo")(demo.demo)
app.command("assign")(assign.assign)
app.command("compare")(compare.compare)
app.command("methods")(methods.methods)
app.command("state")(state.state)
app.command("lint")(lint.lint)
app.command("convert")(convert.convert)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command; 0 done, 1 lint findings, 2 an error in what was given, 130 interrupted."""
    try:
        app(standalone_mode=True)
    except (StepCreditError, MissingExtra) as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of our output has left (`| head`): that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        _fail(f"{error.filename or 'system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _fail("interrupted", status=130)


def _fail(text: str, status: int = 2) -> None:
    from stepcredit.app.console import clean

    err.print(f"error: {clean(text)}", style="red", markup=False)
    raise SystemExit(status)
