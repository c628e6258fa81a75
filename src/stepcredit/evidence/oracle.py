"""Verdicts of a program that knows which actions are right: search, constraint, posterior."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence._fields import step_values
from stepcredit.evidence._oracles import (
    Game,
    best_moves,
    lookup,
    mine_risk,
    minesweeper,
    sudoku,
    sudoku_solutions,
    tic_tac_toe,
)
from stepcredit.evidence.card import Cost, EvidenceCard

__all__ = [
    "CARD",
    "Game",
    "best_moves",
    "cost",
    "lookup",
    "mine_risk",
    "minesweeper",
    "oracle",
    "sudoku",
    "sudoku_solutions",
    "tic_tac_toe",
]

CARD = EvidenceCard(
    title="VPR: verdicts of an oracle on turns",
    paper="arXiv:2605.10325",
    bibtex="""@misc{yuan2026verifiable,
  title={Verifiable Process Rewards for Agentic Reasoning},
  author={Yuan, Huining and Xu, Zelai and Wang, Huaijie and Yi, Xiangmin and Gao, Jiaxuan and Zhang, Xiao-Ping and
    Wang, Yu and Yu, Chao and Wu, Yi},
  eprint={2605.10325}, archivePrefix={arXiv}, year={2026}}""",
    code="https://github.com/thu-nics/VPR",
    evidence="official code read",
    adds=("score", "reward"),
    needs="a function that says which actions are right; the state and the action of every step",
    cost="one question to the function for every distinct step",
    departures="Verdicts are 0 and 1, as in the paper; the released environments grade them (graded=True of each "
    "oracle), and in Sudoku want the cell with the fewest candidates. Tic-Tac-Toe is solved exactly, as in the "
    "released environment; the paper searches with 10,000 simulations. There the first opening of Minesweeper has no "
    "risk.",
)


PRESETS = {
    "vpr": Preset({"into": "reward"}, "VPR: the verdict is the turn's reward, which credit method vpr compares"),
}


def oracle(
    batch: Batch,
    verdict: Callable[..., float | bool | None],
    *,
    of: Sequence[str] = ("state", "action"),
    into: str = "score",
) -> Batch:
    """The batch with a `score`: what the oracle says of each step, 1 right and 0 wrong.

    Args:
        verdict: a function of what `of` names; 1 or True, 0 or False, a grade between, None = cannot tell. In this
            module: `tic_tac_toe()`, `sudoku()`, `minesweeper(mines)`, `lookup(solution)`. It is asked once about
            equal steps.
        of: names of columns, of fields of the steps or of their rollouts, or "task".
        into: the column.

    A step of which one of these is missing is not judged.

    Raises:
        MissingColumn: no such column or field. DataError: the function fails, or answers with something else.

    >>> from stepcredit.data import from_arrays
    >>> board = from_arrays(group=["g"], rollout=["a"], outcome=[1], state=["XX.OO...."], action=[3])
    >>> oracle(board, tic_tac_toe())["score"]
    array([1.])
    """
    rows = _asked(batch, of)
    known: dict[Any, float] = {}
    score = np.full(batch.layout.S, np.nan)
    for s, asked in enumerate(rows):
        if asked is None:
            continue
        if asked not in known:
            known[asked] = _answer(verdict, asked, batch, s)
        score[s] = known[asked]
    judged = ~np.isnan(score)
    note = f"{into}: an oracle of {', '.join(of)}; {int(judged.sum())} of {score.size} steps judged"
    note += f", mean {score[judged].mean():.3g}" if judged.any() else ""
    made: dict[str, Any] = {into: score}
    return batch.with_columns(note=note, **made)


def cost(batch: Batch, *, of: Sequence[str] = ("state", "action"), into: str = "score") -> Cost:
    """Distinct steps that the oracle is asked about."""
    return Cost({"oracle": len({asked for asked in _asked(batch, of) if asked is not None})})


def _asked(batch: Batch, of: Sequence[str]) -> list[tuple[Any, ...] | None]:
    if not of:
        raise StepCreditError("an oracle must be told something of a step", hint='of=("state", "action")')
    columns = [step_values(batch, name, "oracle") for name in of]
    return [None if any(v is None for v in row) else tuple(map(_hashable, row)) for row in zip(*columns, strict=True)]


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise DataError("an oracle is asked about keys", got=value, expected="text, a number or a list of them")
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _answer(verdict: Callable[..., float | bool | None], asked: tuple[Any, ...], batch: Batch, s: int) -> float:
    place = {"rollout": batch.rollout_name(int(batch.layout.rollout[s])), "step": int(batch.layout.turn[s])}
    try:
        said = verdict(*asked)
    except Exception as error:
        raise DataError(f"the oracle failed: {type(error).__name__}: {error}", got=asked, **place) from error  # type: ignore[arg-type]
    if said is None:
        return float("nan")
    if isinstance(said, bool | int | float | np.number) and np.isfinite(said):
        return float(said)
    raise DataError("an oracle answers with a number, or None", got=said, expected="0, 1 or None", **place)  # type: ignore[arg-type]
