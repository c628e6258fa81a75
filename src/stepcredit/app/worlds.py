"""`stepcredit worlds`: what there is to act in."""

import inspect
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, progress, say, share, show, table
from stepcredit.app.options import Json
from stepcredit.envs import text
from stepcredit.envs.survey import Playable, Survey, survey
from stepcredit.errors import MissingExtra, StepCreditError


def worlds(
    name: Annotated[str | None, typer.Argument(help="Show this one: what is asked, the tools, a walk.")] = None,
    tasks: Annotated[int, typer.Option(help="Tasks that are played to measure a world.", min=2)] = 10,
    seed: Annotated[int, typer.Option(help="The first task, or the one that is shown.", min=0)] = 0,
    json: Json = False,
) -> None:
    """List the worlds that an agent can act in by text, with figures measured now: tasks played by the world's expert,
    and by the same expert with three random actions in ten.

    expert: mean outcome, 95% interval; steps: it takes. actions: listed per state. elsewhere: share of noisy steps
    whose state another rollout of the task met too; again: that the same rollout met before. Where both are near 0,
    methods that compare steps of one state have nothing to compare.

    Example: stepcredit worlds mini_shop
    """
    if name is not None:
        _show_one(name, seed, json)
        return
    rows, absent = [], {}
    with progress("worlds", len(text.names())) as advance:
        for one in text.names():
            try:
                rows.append((survey(text.get(one), range(seed, seed + tasks)), _about(one)))
            except (MissingExtra, StepCreditError) as error:
                absent[one] = str(error).replace("\n  hint: ", ": ")
            advance()
    if json:
        measured = [{**asdict(found), "about": about} for found, about in rows]
        print_json({"worlds": measured, "absent": absent})
        return
    columns = ["world", "horizon", "expert", "steps", "actions", "elsewhere", "again", "about"]
    table(columns, [[*_row(found), about] for found, about in rows])
    for one, why in absent.items():
        note(f"not measured: {one}: {why}", "yellow")
    note(f"{tasks} tasks each. stepcredit worlds NAME shows one.")


def _row(found: Survey) -> list[Any]:
    low, high = found.interval or (None, None)
    expert = "–" if found.expert is None else f"{show(found.expert)} [{show(low)}, {show(high)}]"
    return [
        found.name + (f" ({found.failures} broke)" if found.failures else ""),
        found.horizon,
        expert,
        found.steps,
        "free text" if found.actions is None else found.actions,
        share(found.elsewhere),
        share(found.again),
    ]


def _about(name: str) -> str:
    """The first sentence of what the world says of itself."""
    return (inspect.getdoc(text.get(name)) or "").partition("\n")[0]


def _show_one(name: str, seed: int, json: bool) -> None:
    make = text.get(name)
    world: Playable = make()
    episode = world.episode()
    first = episode.reset(seed=seed)[0]
    tools = [tool["function"] for tool in episode.tools]
    steps = list(_walk(episode))
    episode.close()
    if json:
        keys = ("agent", "action", "observation", "reward")
        walk = [dict(zip(keys, step, strict=True)) for step in steps]
        print_json({"name": name, "doc": inspect.getdoc(make), "tools": tools, "first": first, "expert": walk})
        return
    say(name, "bold")
    say(inspect.getdoc(make) or "")
    say()
    options = inspect.signature(make).parameters.values()
    say(f"Options: {', '.join(f'{p.name}={p.default}' for p in options) or 'none'}")
    for tool in tools:
        say(f"Tool {tool['name']}({', '.join(tool['parameters']['properties'])}): {tool['description']}")
    say()
    say(first)
    for agent, action, observation, _ in steps:
        say(f"{agent or ''}> {action}", "bold")
        say(observation)
    if steps:
        say(f"Outcome: {show(float(sum(reward for *_, reward in steps)))}")
    else:
        note("This world has no expert to show.")


def _walk(episode: Any) -> Iterator[tuple[str | None, str, str, float]]:
    """What the expert does: who acts, the action, what is read, the reward."""
    while not episode.ended and (action := episode.expert()) is not None:
        agent = getattr(episode, "agent", None)
        observation, reward, *_ = episode.step(action)
        yield agent, action, observation, float(reward)
