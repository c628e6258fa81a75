"""`stepcredit methods`: what there is."""

import inspect
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, say, table
from stepcredit.app.options import Json
from stepcredit.credit import Method, get, names


def methods(
    name: Annotated[str | None, typer.Argument(help="Say everything about this one.")] = None,
    presets: Annotated[bool, typer.Option("--presets", help="List every method@preset too.")] = False,
    json: Json = False,
) -> None:
    """List the credit methods: what each needs, per what it gives credit, whose reading it is.

    Example: stepcredit methods gigpo
    """
    if name is not None:
        one = describe(get(name))
        if json:
            print_json(one)
        else:
            _print_card(one)
        return
    listed = [describe(get(n)) for n in names(presets=presets)]
    if json:
        print_json(listed)
        return
    rows = [[m["name"], m["per"], ", ".join(m["needs"]) or "-", f"{m['title']} ({m['paper']})"] for m in listed]
    table(["name", "per", "needs", "title"], rows)
    note("stepcredit methods NAME says everything about one; add @PRESET for a framework's reading.")


def describe(method: Method) -> dict[str, Any]:
    """A method as plain data: its card, columns, options and presets."""
    card, preset = method.card, method.preset
    return {
        "name": method.name,
        "kind": method.kind,
        "base": method.base,
        "title": preset.title if preset and preset.title else card.title,
        "paper": preset.paper if preset and preset.paper else card.paper,
        "evidence": card.evidence,
        "per": card.per,
        "needs": list(method.needs),
        "uses": list(method.uses),
        "needs_in_words": card.needs,
        "options": {
            n: v if isinstance(v, str | int | float | bool | None) else str(v) for n, v in method.options.items()
        },
        "reading": preset.source if preset else None,
        "presets": {n: {"options": dict(p.options), "source": p.source} for n, p in method.presets.items()},
        "holds": sorted(method.holds),
        "waives": method.waives,
        "bias": card.bias,
        "departures": card.departures,
        "code": card.code,
        "doc": method.function.__doc__,
    }


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
        if one[key]:
            say(f"{label}: {one[key]}")
    say(f"Evidence: {one['evidence']}. Code: {one['code'] or 'none found'}")
    for property, reason in one["waives"].items():
        say(f"Waives {property}: {reason}")
    if one["presets"]:
        say()
        table(["preset", "sets", "whose reading"], _preset_rows(one))


def _preset_rows(one: dict[str, Any]) -> list[list[str]]:
    return [
        [f"{one['base']}@{n}", ", ".join(f"{k}={v}" for k, v in p["options"].items()), p["source"]]
        for n, p in one["presets"].items()
    ]
