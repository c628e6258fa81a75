"""Game of 24, where an exact solver knows of every step whether it kept 24 within reach.

A model's own rollouts (N of each puzzle are drawn without replacement, several times), or those of a simulated policy
(fitted to the model's, or the shipped one), whose exact advantages are known. Puzzles are the units: a bootstrap draws
all of them again, the same way for every method, so that differences are paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.bench import paired
from stepcredit.bench.entries import Judged, entries
from stepcredit.bench.suite import Cell, Result
from stepcredit.bench.suites import _game24_scores as score
from stepcredit.bench.suites import _game24_worlds as worlds
from stepcredit.bench.suites._game24_report import report
from stepcredit.data.batch import Batch
from stepcredit.envs.game24 import Policy
from stepcredit.errors import StepCreditError

BOOTSTRAP = 1000
GIVEN = 100  # rollouts per puzzle of the larger batch that the same estimator is given too
BLOCK = 5  # samplings a cell
DRAWS = {"real": (20, 5), "simulated": (10, 2)}
PUZZLES = (300, 200)

QUICK: dict[str, Any] = {"quick": True}


@dataclass(frozen=True)
class Settings:
    """What to measure.

    data: folder with `game24/gpt4_cot_rollouts.jsonl.gz`. simulated: rollouts of a policy, fitted to the data if there
    are any. n: rollouts per puzzle. draws: samplings; None: 20, of a simulated policy 10, each another policy
    seed. puzzles: of the simulated policy; None: 300. quick: 5, 2 and 200 instead.
    """

    seed: int = 0
    methods: tuple[str, ...] = ()
    data: str | None = None
    simulated: bool = False
    n: tuple[int, ...] = (4, 8, 16, 32)
    draws: int | None = None
    puzzles: int | None = None
    quick: bool = False

    @property
    def kind(self) -> str:
        return "simulated" if self.simulated else "real"

    @property
    def samplings(self) -> int:
        return self.draws or DRAWS[self.kind][self.quick]


def cells(settings: Settings) -> list[Cell]:
    """One per N and block of samplings.

    Raises:
        StepCreditError: N below 2, more puzzles than there are, a method that cannot run here; see `_game24_worlds` for
            errors of the data.
    """
    if min(settings.n) < 2:
        raise StepCreditError(f"--rollouts {min(settings.n)}: expected 2 or more", hint="one rollout has no peers")
    if settings.simulated:
        return _simulated_cells(settings)
    if settings.data is None:
        raise StepCreditError("there is no data folder to read", hint="--data DIR, or --simulated")
    path = worlds.find(settings.data)
    names = entries(worlds.real(path).batch, settings.methods)
    blocks = [range(i, min(i + BLOCK, settings.samplings)) for i in range(0, settings.samplings, BLOCK)]
    return [
        Cell(
            f"real, N = {n}, draws {block[0]} to {block[-1]}",
            partial(_real, str(path), tuple(names), n, (block.start, block.stop), settings.seed),
        )
        for n in sorted(set(settings.n), reverse=True)
        for block in blocks
    ]


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Figures of all cells put together."""
    return report(settings.kind, settings.samplings, settings.methods[:1], list(values.values()))


def _simulated_cells(settings: Settings) -> list[Cell]:
    count = settings.puzzles or PUZZLES[settings.quick]
    puzzles = tuple(worlds.fresh_puzzles(count, settings.seed))
    if len(puzzles) < count:
        raise StepCreditError(f"--puzzles {count}: there are only {len(puzzles)} that can be solved")
    policy = Policy() if settings.data is None else worlds.policy_of(worlds.find(settings.data))
    names = entries(worlds.simulated(puzzles[:1], 2, policy, 0), settings.methods)
    return [
        Cell(
            f"simulated, N = {n}, draw {i}",
            partial(_simulated, puzzles, tuple(names), n, i, asdict(policy), settings.seed),
        )
        for i in range(settings.samplings)
        for n in sorted(set(settings.n), reverse=True)
    ]


def _real(path: str, names: Sequence[str], n: int, draws: tuple[int, int], seed: int) -> dict[str, Any]:
    world = worlds.real(Path(path))
    lay = world.batch.layout
    weight = paired.weights(lay.G, BOOTSTRAP, seed)
    made: list[dict[str, score.Values]] = []
    failed: dict[str, str] = {}
    for i in range(*draws):
        drawn = worlds.draw(lay.group, n, np.random.default_rng([seed, n, i]))
        rows = np.isin(lay.rollout, drawn)
        truth = worlds.left_out_advantage(world, drawn)[rows]
        batch = world.batch.take(drawn)
        sample = score.Sample(batch, world.decision[rows], world.good[rows], world.state[rows], truth, exact=False)
        credits, errors = score.credits(names, batch)
        made.append({**score.scores(sample, credits, weight), **score.baselines(sample, weight, [seed, n, i])})
        failed.update(errors)
    fewest = int(np.bincount(lay.group).min())
    given = {str(n): {"tally": score.tally(made), "failed": failed}}
    return {"n": n, "puzzles": lay.G, "rollouts": fewest, "given": given}


def _simulated(
    puzzles: Sequence[str], names: Sequence[str], n: int, number: int, policy: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    policy = {**policy, "seed": 1000 * seed + number}
    whole = _batch(tuple(puzzles), max(n, GIVEN), Policy(**policy))
    lay = whole.layout
    drawn = worlds.draw(lay.group, n, np.random.default_rng([seed, n, number]))
    rows = np.isin(lay.rollout, drawn)
    batch = whole.take(drawn)
    decision, good = batch["truth.decision"] > 0, batch["truth.good"] > 0
    sample = score.Sample(batch, decision, good, batch["state"], batch["truth.advantage"], exact=True)
    weight = paired.weights(lay.G, BOOTSTRAP, seed)
    credits, failed = score.credits(names, batch)
    made = {**score.scores(sample, credits, weight), **score.baselines(sample, weight, [seed, n, number])}
    given = {str(n): {"tally": score.tally([made]), "failed": failed}}
    if n < GIVEN:
        larger, failed = score.credits(names, whole)
        cut = {name: Judged(x.credit[rows], None if x.sd is None else x.sd[rows]) for name, x in larger.items()}
        given[str(GIVEN)] = {"tally": score.tally([score.scores(sample, cut, weight)]), "failed": failed}
    return {"n": n, "puzzles": lay.G, "rollouts": max(n, GIVEN), "given": given, "policy": policy}


@lru_cache(maxsize=1)
def _batch(puzzles: tuple[str, ...], n: int, policy: Policy) -> Batch:
    return worlds.simulated(puzzles, n, policy, policy.seed)
