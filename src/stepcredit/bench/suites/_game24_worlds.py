"""Rollouts of Game of 24 and the truth about each step: a real model's, and those of a policy of known values."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stepcredit.credit import get
from stepcredit.credit.run import fill
from stepcredit.data.batch import Batch
from stepcredit.data.encode import encode
from stepcredit.data.flat import from_columns
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.data.reading import Reading
from stepcredit.envs import game24
from stepcredit.envs.game24_fit import fit
from stepcredit.errors import DataError
from stepcredit.ops import cells

FILE = Path("game24/gpt4_cot_rollouts.jsonl.gz")
VISITS = 5  # of a state by rollouts left out, so that their mean says something


class Real(NamedTuple):
    """Rollouts of a model and what an exact solver says of them, as flat arrays [S].

    decision: a step taken where 24 could still be reached. good: it still could be afterwards.
    state: id of the true numbers left. result: id of the numbers then left, one id for all wrong lines.
    """

    batch: Batch
    decision: Bools
    good: Bools
    state: Ints
    result: Ints


def find(data: str) -> Path:
    """The file of chains of thought: named, or in the data folder.

    Raises:
        DataError: there is none.
    """
    given = Path(data)
    if given.is_file():
        return given
    found = next((path for path in (given / FILE, given / FILE.name) if path.is_file()), None)
    if found is None:
        raise DataError(
            f"there is no {FILE} in this folder" if given.is_dir() else "there is no such file or folder",
            file=given,
            hint="--data takes the folder that holds it; --simulated needs none",
        )
    return found


@lru_cache(maxsize=1)
def real(path: Path) -> Real:
    """The rollouts of a file as the importer gives them, and the truth about their steps.

    Raises:
        DataError: the file holds something else, or nothing.
    """
    try:
        batch = Reading(path, format="game24_cot").read()
    except DataError as error:
        raise DataError(
            error.what,
            file=error.file or path,
            row=error.row,
            got=error.got,
            expected=error.expected,
            hint="a row per puzzle: puzzle, rollouts (texts), correct",
        ) from None
    (after,) = fill(get("grpo"), batch, None, [], _next_state)
    batch = batch.with_columns(next_state=after)
    prompt = batch.layout.step_group
    lines = [line for r in batch.records or () for line in _lines(str(r.group), [s.text or "" for s in r.steps])]
    state, result = (encode([getattr(line, name) for line in lines])[0] for name in ("state", "result"))
    decision, good = (np.array([getattr(line, name) for line in lines], bool) for name in ("before", "after"))
    return Real(batch, decision, good, cells(prompt, state), cells(prompt, state, result))


def texts(path: Path) -> list[tuple[str, list[str]]]:
    """Puzzle and lines of each rollout of a file."""
    return [(str(r.group), [s.text or "" for s in r.steps]) for r in real(path).batch.records or ()]


def _next_state(next_state: Ints) -> None:
    """What a method that asks for `next_state` is given."""


class _Line(NamedTuple):
    state: str | None
    result: str | None
    before: bool
    after: bool


def _lines(puzzle: str, lines: Sequence[str]) -> Iterator[_Line]:
    """The truth about each line of a rollout; a line that is no operation decides nothing and changes nothing."""
    state: str | None = game24.key(puzzle)
    for text in lines:
        before, step = state, _parse(text, state)
        if step is None:
            yield _Line(before, before, False, False)
            continue
        state = None if step.after is None else game24.key(step.after)
        alive = before is not None and game24.solvable(before)
        result = "an error" if state is None else state
        yield _Line(before, result, alive, state is not None and game24.solvable(state))


@lru_cache(maxsize=1 << 16)
def _parse(text: str, state: str | None) -> game24.Line | None:
    return game24.parse(text, state)


def draw(group: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Ascending rows of n rollouts of each group without replacement; of a group that has fewer, all."""
    order = np.lexsort((rng.random(group.size), group))
    place = np.arange(order.size) - np.searchsorted(group[order], group[order])
    return np.sort(order[place < n])


def left_out_advantage(world: Real, drawn: Ints) -> Floats:
    """[S] Monte Carlo advantage of each decision from the rollouts of its puzzle that were not drawn.

        mean outcome after (state, result) - mean outcome from state,  over the rollouts left out

    NaN where they visit the state fewer than 5 times, or never did the same there.
    """
    lay = world.batch.layout
    out = np.ones(lay.R, bool)
    out[drawn] = False
    rows = out[lay.rollout] & world.decision
    outcome = world.batch["outcome"][lay.rollout]

    def mean(at: Ints, least: int) -> Floats:
        size = int(at.max(initial=-1)) + 1
        n = np.bincount(at[rows], minlength=size)
        won = np.bincount(at[rows], outcome[rows], minlength=size)
        of: Floats = np.divide(won, n, out=np.full(size, np.nan), where=n >= least)
        return of[at]

    advantage = mean(world.result, 1) - mean(world.state, VISITS)
    advantage[~world.decision] = np.nan
    return advantage


@lru_cache(maxsize=1)
def policy_of(path: Path) -> game24.Policy:
    """The policy fitted to a file."""
    return fit(texts(path))


def fresh_puzzles(count: int, seed: int) -> list[str]:
    """Solvable puzzles, drawn without replacement."""
    return [str(p) for p in np.random.default_rng([seed, 24]).permutation(game24.puzzles())[:count]]


def simulated(puzzles: Sequence[str], n: int, policy: game24.Policy, seed: int) -> Batch:
    """`game24.batch` without texts and records, several times as fast."""
    made = game24.sample(puzzles, n, policy, seed)
    steps = [step for rollout in made for step in rollout.steps]
    rollout = np.repeat(np.arange(len(made)), [len(one.steps) for one in made])
    numbers = {
        "truth.value": [s.value for s in steps],
        "truth.q": [s.q for s in steps],
        "truth.advantage": [s.advantage for s in steps],
        "truth.decision": [s.alive_before and s.action != "answer" for s in steps],
        "truth.good": [s.alive_after for s in steps],
    }
    batch, _ = from_columns(
        {
            "rollout": rollout,
            "group": [one.puzzle for one in made],
            "outcome": [one.outcome for one in made],
            "state": [s.state for s in steps],
            "next_state": [s.next_state for s in steps],
            "action": [s.action for s in steps],
            "observation": [s.observation for s in steps],
            "final_state": [one.steps[-1].next_state for one in made],
            **{name: np.array(values, float) for name, values in numbers.items()},
        }
    )
    return batch
