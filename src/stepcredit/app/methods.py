"""`stepcredit methods`: what there is."""

import inspect
from enum import StrEnum
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, say, table
from stepcredit.app.options import Json
from stepcredit.bench.advice import scores
from stepcredit.systems import KINDS, describe, get, names

Kind = StrEnum("Kind", [(kind, kind) for kind in KINDS])  # type: ignore[misc]


def methods(
    name: Annotated[str | None, typer.Argument(help="Say everything about this one.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", "-k", help="List those of one kind only.")] = None,
    presets: Annotated[bool, typer.Option("--presets", help="List every name@preset too.")] = False,
    json: Json = False,
) -> None:
    """List the published systems that run here: credit methods and presets of them, selectors of rollouts, evidence,
    label systems, search policies.

    Example: stepcredit methods gigpo
    """
    if name is not None:
        one = described(name)
        if json:
            print_json(one)
        else:
            _print_card(one)
        return
    listed = [m for m in map(described, names(presets=presets)) if kind is None or m["kind"] == kind.value]
    if json:
        print_json(listed)
        return
    rows = [[m["name"], m["kind"], _needs(m), f"{m['title']} ({m['paper']})"] for m in listed]
    table(["name", "kind", "needs", "title"], rows)
    note("stepcredit methods NAME says everything about one; add @PRESET for a framework's reading.")


def described(name: str) -> dict[str, Any]:
    """A system as plain data, with what it reached on the suites of known truth, where it was measured."""
    return {**describe(get(name)), "scores": scores(name)}


def _needs(one: dict[str, Any]) -> str:
    return ", ".join(one["models"] if "models" in one else one["needs"]) or "-"


def _print_card(one: dict[str, Any]) -> None:
    say(f"{one['name']}  ({one['kind']} of {one['base']})" if one["kind"] == "preset" else one["name"], "bold")
    say(f"{one['title']}. {one['paper']}")
    say()
    say(inspect.cleandoc(one["doc"] or ""))
    say()
    if one["options"]:
        say(f"Options (--set): {', '.join(f'{n}={v}' for n, v in one['options'].items())}")
    for label, key in (
        ("Reading", "reading"),
        ("Needs", "needs_in_words"),
        ("Bias", "bias"),
        ("Departures", "departures"),
    ):
        if one.get(key):
            say(f"{label}: {one[key]}")
    say(f"Cost: {one['cost']}")
    for label, key in (("Adds", "adds"), ("Asks", "models"), ("Holds", "holds")):
        if one.get(key):
            say(f"{label}: {', '.join(one[key])}")
    say(f"Established by: {one['evidence']}. Code: {one['code'] or 'none found'}")
    for title, figure in one["scores"].items():
        say(f"{title}: {figure}")
    for property, reason in one.get("waives", {}).items():
        say(f"Waives {property}: {reason}")
    if one["presets"]:
        say()
        table(["preset", "sets", "whose reading"], _preset_rows(one))


def _preset_rows(one: dict[str, Any]) -> list[list[str]]:
    return [
        [f"{one['base']}@{n}", ", ".join(f"{k}={v}" for k, v in p["options"].items()), p["source"]]
        for n, p in one["presets"].items()
    ]
