"""Replay in a world for `stepcredit diagnose`: which world, who acts in it, what it may take, which runs it knows."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Annotated, Any

import numpy as np
import typer

from stepcredit.app._diagnose_work import Read
from stepcredit.app.console import note
from stepcredit.app.models import Asked
from stepcredit.app.options import Files, _named
from stepcredit.credit.registry import convert_options
from stepcredit.data.records import Rollout
from stepcredit.diagnose.case import Case, Group
from stepcredit.diagnose.episodes import EnvReplay, Ledger, Parted
from stepcredit.diagnose.estimate import Estimate
from stepcredit.diagnose.replay import plan_cost
from stepcredit.diagnose.run import METHODS
from stepcredit.envs import text as worlds
from stepcredit.envs.play import Policy, noisy
from stepcredit.errors import DataError, StepCreditError
from stepcredit.llm.requests import BudgetSpent
from stepcredit.plugins import load_function
from stepcredit.protocols import Environment
from stepcredit.shelf import Planner

WorldName = Annotated[
    str | None,
    typer.Option(
        "--world",
        metavar="NAME[:OPTION=VALUE]",
        help="Replay runs in this world, one of `stepcredit worlds`, with the options that made them: "
        "key_door_rooms:size=4. For methods that replay: decisive_search, counterfactual_replay, cdc_mas.",
    ),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="WHO",
        help="With --world, who acts behind the steps that are kept; the policy that made the run is not there. "
        "expert: the world's own, so that a step is to blame where even the expert can no longer succeed "
        "(expert:noise=0.3: by chance another listed action); random: any listed action; sampler: --server, asked for "
        "one action at a time; FILE.py:FUNCTION. If not given, the sampler where there is one, else the expert.",
    ),
]
WorldBudget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="AMOUNTS",
        help="What it may spend: 20000calls,2Mtokens,30min; with --world also steps of the world: 100ksteps.",
    ),
]
_STEPS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kMG]?)\s*steps\s*")
_SCALES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_ROOT = "the world's number of the task stands in the group, or in a field `seed`"


@dataclass(frozen=True)
class InWorld:
    """A world in which methods replay. policy: who acts, as it was named. methods: those that replay. lost: runs that
    were left out. unended: runs behind whose end the world goes on, though they do not say that they were cut."""

    name: str
    horizon: int
    policy: str
    replayer: EnvReplay
    methods: tuple[str, ...]
    lost: list[DataError] = field(default_factory=list)
    unended: list[str | int] = field(default_factory=list)

    def planners(self, planners: Sequence[Planner]) -> list[Planner]:
        """The methods; those that replay ask nobody, or a sampler."""
        asks = ("sampler",) if self.policy == "sampler" else ()
        return [
            replace(p, card=replace(p.card, asks=asks, may_ask=())) if p.name in self.methods else p for p in planners
        ]

    def limited(self, may: str | None, asked: Asked) -> None:
        """See that a budget limits something.

        Raises:
            StepCreditError: it is one of servers, and none is asked.
        """
        if may is not None and not asked.servers:
            raise StepCreditError(f"--budget {may}: no server is asked that it could limit", hint="--budget 100ksteps")

    def known(self, read: Read, chosen: Callable[[Rollout], bool], source: Files) -> Read:
        """The runs, each that is to be diagnosed walked once along its record.

        Raises:
            DataError: the world does not go as it says; names file, row, run, step. With --on-error skip such runs are
                left out, and told in `lost`.
        """

        def passing() -> Iterator[tuple[Rollout, Rollout]]:
            for _, members in groupby(read(), key=lambda pair: pair[0].group):
                pairs = list(members)
                group = Group([looked for _, looked in pairs], self.replayer.success)
                for i, pair in enumerate(pairs):
                    error = self._parted(Case(group, i)) if chosen(pair[0]) else None
                    if error is not None and source._on_error == "raise":
                        raise _placed(error, pair[0], source)
                    if error is None:
                        yield pair
                    else:
                        self.lost.append(error)

        return passing

    def _parted(self, case: Case) -> DataError | None:
        run = case.rollout.rollout
        try:
            ended = self.replayer.follows(case)
            if ended is False and not case.rollout.evidence.get("truncated"):
                self.unended.append(run)
        except Parted as error:
            hint = f"the world and its options as they made the run: --world {self.name}:OPTION=VALUE; {_ROOT}"
            return DataError(f"{self.name} does not replay it: {error}", rollout=run, step=error.step, hint=hint)
        except BudgetSpent:  # the verdict says it
            return None
        except StepCreditError as error:
            return DataError(f"{self.name} cannot replay it: {error.message}", rollout=run, hint=_ROOT)
        return None

    def cost(
        self, runs: Iterable[Rollout], options: Mapping[str, Mapping[str, Any]], chosen: Callable[[Rollout], bool]
    ) -> dict[str, float]:
        """Most that replay spends, by name."""
        most: dict[str, float] = {}
        for _, members in groupby(runs, key=lambda r: r.group):
            group = Group(list(members), self.replayer.success)
            for i, run in enumerate(group.rollouts):
                for method in self.methods if chosen(run) else ():
                    for name, number in plan_cost(Case(group, i), method, options[method]).items():
                        most[name] = most.get(name, 0) + number
        episodes, samples = most.pop("episodes", 0), most.pop("samples", 0)
        out = {"episodes": float(episodes), "steps of the world": float(episodes * self.horizon)}
        if samples:
            out |= dict.fromkeys(("calls", "calls to the sampler", "samples"), float(samples))
            out["tokens written, at most"] = float(samples * self.replayer.max_tokens)
        return out | most

    def added(self, told: Estimate, most: Mapping[str, float]) -> Estimate:
        """What others cost, and what replay costs at most."""
        both = dict(told.most)
        for name, number in most.items():
            both[name] = both.get(name, 0) + number
        walks = (
            "an episode takes the steps of the world's horizon; walks along a record come on top where they must be "
        )
        walks += "repeated, as chance took them elsewhere, and one for each run, to see that the world replays it"
        return replace(told, most=both, assumptions=(*told.assumptions, walks))

    def spent(self) -> dict[str, int]:
        """What was taken of the world."""
        ledger = self.replayer.ledger
        return {"world_steps": ledger.steps, "episodes": ledger.episodes}

    def tell(self) -> None:
        """Say what was left out and what was spent."""
        if self.lost:
            note(f"left out {len(self.lost):,} runs that {self.name} does not replay:", "yellow")
            for error in self.lost[:10]:
                note(f"  {error.message}", "yellow")
            if len(self.lost) > 10:
                note(f"  ... and {len(self.lost) - 10:,} more", "yellow")
        if self.unended:
            what = f"{self.name} goes on behind the end of {len(self.unended):,} runs, such as {self.unended[0]!r}"
            note(f"warning: {what}: they were cut, or made with another horizon", "yellow")
        spent = self.replayer.ledger
        note(f"spent in {self.name}: {spent.steps:,} steps in {spent.episodes:,} episodes")


def in_world(
    text: str | None,
    policy: str | None,
    planners: Sequence[Planner],
    options: Mapping[str, dict[str, Any]],
    *,
    sampler: bool,
    steps: int | None,
    success: float,
) -> InWorld | None:
    """The world that --world names, as `replayer` of every method that takes one; None where none is named.

    Args:
        options: by method; changed here. sampler: one is given. steps: that the world may be asked for.

    Raises:
        UnknownName: no such world or option. StepCreditError: no method replays, or nobody can act.
    """
    name, given = _named(text, "--world")
    if name is None:
        for option, value in (("--policy", policy), ("--budget in steps", steps)):
            if value is not None:
                raise StepCreditError(f"{option} belongs to a world", hint="--world NAME: one of `stepcredit worlds`")
        return None
    replaying = tuple(p.name for p in planners if "replayer" in p.options)
    if not replaying:
        able = [n for n in METHODS.names() if "replayer" in METHODS.get(n).options]
        raise StepCreditError(
            f"--world: {', '.join(p.name for p in planners)} does not replay", hint=f"-M {', -M '.join(able)}"
        )
    make = worlds.get(name)
    known = {n: p.default for n, p in inspect.signature(make).parameters.items()}
    world = make(**convert_options(f"world {name}", make, known, given))
    who = policy or ("sampler" if sampler else "expert")
    acts = _policy(who, name, world)
    says = _sampling(planners, options, replaying)
    made = EnvReplay(world.episode, acts, success=success, most=world.horizon, ledger=Ledger(most=steps), **says)
    for method in replaying:
        options[method]["replayer"] = made
    note(f"replay in {name}: behind the steps that are kept, {_WHO.get(who.partition(':')[0], who)} acts", "")
    return InWorld(name, world.horizon, who, made, replaying)


_WHO = {
    "expert": "the world's expert",
    "random": "chance (any listed action)",
    "sampler": "the sampler",
}


def own_states(world: str | None, states: str | None) -> str | None:
    """--states; with a world those of the file or none, since others are not the world's.

    Raises:
        StepCreditError: others are asked for.
    """
    if world is None:
        return states
    if states not in (None, "none"):
        raise StepCreditError(f"--states {states}: with --world, states are those of the world, as the file has them")
    return "none"


def amounts(budget: str | None) -> tuple[str | None, int | None]:
    """--budget as what models may spend, and steps of a world.

    Raises:
        StepCreditError: steps are limited twice, or are no whole number.

    >>> amounts("2ksteps,30min")
    ('30min', 2000)
    """
    parts = [] if budget is None else budget.split(",")
    found = [match for part in parts if (match := _STEPS.fullmatch(part))]
    if len(found) > 1:
        raise StepCreditError(f"the budget {budget!r} limits steps twice")
    rest = ",".join(part for part in parts if not _STEPS.fullmatch(part)) or None
    if not found:
        return rest, None
    steps = float(found[0][1]) * _SCALES[found[0][2]]
    if steps != int(steps):
        raise StepCreditError(f"{found[0][0].strip()!r} is not a whole number of steps")
    return rest, int(steps)


def _sampling(
    planners: Sequence[Planner], options: Mapping[str, Mapping[str, Any]], replaying: Sequence[str]
) -> dict[str, Any]:
    """How the sampler is asked for an action, where --set says it."""
    out: dict[str, Any] = {}
    for planner in planners:
        if planner.name in replaying:
            given = planner.check_options(options[planner.name])
            out |= {n: given[n] for n in ("max_tokens", "temperature") if n in options[planner.name]}
    return out


def _policy(who: str, name: str, world: Any) -> Policy | None:
    """None: the sampler.

    Raises:
        StepCreditError: nobody of this name, or the world has none.
    """
    if ".py:" in who:
        found: Policy = load_function(who, "--policy")
        return found
    kind, given = _named(who, "--policy")
    if kind == "sampler" and not given:
        return None
    others = "--policy sampler with --server URL, or FILE.py:FUNCTION"
    episode = world.episode()
    episode.reset(seed=0)
    listed, good = episode.actions(), episode.expert()
    episode.close()
    if kind == "random" and not given:
        if not listed:
            raise StepCreditError(f"--policy random: {name} has no list of actions", hint=others)
        return _Listed(0)
    if kind == "expert" and given.keys() <= {"noise"}:
        if good is None:
            raise StepCreditError(f"--policy expert: {name} has no expert", hint=f"--policy random, {others}")
        return noisy(_expert, _share(given.get("noise", "0")), 0)
    raise StepCreditError(f"--policy {who!r}", hint=f"expert, expert:noise=0.3, random, {others}")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise StepCreditError(f"--policy expert:noise={text}: expected a number from 0 to 1")
    return share


def _expert(episodes: Sequence[Environment], read: Sequence[str]) -> Any:
    """What the expert does; None where it knows nothing: such a try cannot be told."""
    return [episode.expert() for episode in episodes]


class _Listed:
    """Any of the actions that the world lists."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, episodes: Sequence[Environment], read: Sequence[str]) -> Any:
        listed = [episode.actions() for episode in episodes]
        return [actions[int(self._random.integers(len(actions)))] if actions else None for actions in listed]


def _placed(error: DataError, rollout: Rollout, source: Files) -> DataError:
    """With the file and row that the run was read from."""
    for other, file, row in source._distinct(source._pass()):
        if (other.group, other.rollout) == (rollout.group, rollout.rollout):
            return error.at(file=file, row=row)
    return error
