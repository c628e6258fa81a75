"""The documentation: links lead somewhere, commands and options exist, methods are known and none is left out."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from stepcredit import credit, segment, systems
from stepcredit.app.cli import app
from stepcredit.data import formats

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP, *sorted(p for p in DOCS.rglob("*.md") if not p.is_relative_to(DOCS / "reference"))]
COMMAND = typer.main.get_command(app)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def prose(text):
    """The text without fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text):
    """Inline code."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def calls(line):
    """The arguments of every `stepcredit ...` in a line of shell."""
    for part in re.split(r"&&|\||;", line.partition(" #")[0]):
        words = shlex.split(part.partition(">")[0])
        if words and Path(words[0]).name == "stepcredit":
            yield words[1:]


def resolve(words):
    """The (sub)command that words name, and the words that are left."""
    command = COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options(command):
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}


def every_option(command=COMMAND):
    return options(command).union(*(every_option(c) for c in getattr(command, "commands", {}).values()))


@each_page
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8")))
    gone = [
        t
        for t in targets
        if not re.match(r"[a-z]+:|#", t) and not (page.parent / t.partition("#")[0]).resolve().exists()
    ]
    assert not gone


@each_page
def test_shell_examples_parse(page):
    for block in blocks(page.read_text(encoding="utf-8"), "bash"):
        for line in block.splitlines():
            for words in calls(line):
                command, rest = resolve(words)
                assert command is not COMMAND or words in (["--help"], ["--version"]), f"no command in {line!r}"
                command.make_context(command.name, rest)


@each_page
def test_inline_commands_and_options_exist(page):
    for span in spans(page.read_text(encoding="utf-8")):
        if span.startswith("--"):
            assert re.split(r"[ =]", span)[0] in every_option(), span
        for words in calls(span) if span.startswith("stepcredit ") else ():
            command, rest = resolve(words)
            assert command is not COMMAND, f"no command in {span!r}"
            given = {w.partition("=")[0] for w in rest if re.match("--?[A-Za-z]", w)}
            assert given <= options(command), span


@each_page
def test_methods_named_are_known(page):
    text = page.read_text(encoding="utf-8")
    named = {s for s in spans(text) if re.fullmatch(r"[a-z0-9_]+@[a-z0-9_-]+", s)}
    for block in blocks(text, "bash"):
        named |= set(re.findall(r"(?:--method|-M)[ =](\S+)", block))
    for name in named:
        if not name.endswith(".py"):
            systems.get(name)


def tables(page):
    """Names in inline code that stand in the page's tables."""
    rows = re.findall(r"^\|.*\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return set(re.findall(r"`((?:label/|search/|diagnose/)?[a-z0-9_]+)`", "\n".join(rows)))


def test_the_readme_lists_what_there_is_and_nothing_else():
    assert tables(ROOT / "README.md") == {*systems.names(), *formats.names(), *segment.names()}


@pytest.mark.parametrize(
    ("page", "members"), [("concepts/credit-methods.md", credit.names()), ("guides/your-data.md", formats.names())]
)
def test_the_overviews_leave_none_out(page, members):
    assert set(members) <= tables(DOCS / page)
