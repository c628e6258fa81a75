"""Subgoals of a task, and the steps that a judge says reached one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch, missing
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.errors import StepCreditError
from stepcredit.evidence._ask import Asked, Question, ask, cost_of, options_of
from stepcredit.evidence._judged import Told
from stepcredit.evidence._prompts.subgoals import propose_prompt, reached_prompt, read_reached, read_subgoals
from stepcredit.evidence._texts import references
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.ops import at_last
from stepcredit.protocols import Judge

Subgoals: TypeAlias = str | Sequence[str] | Mapping[Any, Any] | Callable[[Rollout], Any] | None
Unread = Literal["not_judged", "no"]

CARD = EvidenceCard(
    title="CALM: Credit Assignment with Language Models",
    paper="arXiv:2409.12798",
    bibtex=(
        "@misc{pignatelli2024calm, title={Assessing the Zero-Shot Capabilities of LLMs for Action Evaluation in RL}, "
        'author={Pignatelli, Eduardo and Ferret, Johan and Rockt{\\"a}schel, Tim and Grefenstette, Edward and '
        "Paglieri, Davide and Coward, Samuel and Toni, Laura}, year={2024}, eprint={2409.12798}, archivePrefix={arXiv}}"
    ),
    evidence="derived",
    adds=("subgoal", "reward"),
    needs="texts of tasks, steps and observations; subgoals, or a judge that proposes them",
    cost="at most one judge call per step (order='active'), or per step and open subgoal; one per task to propose",
    departures=(
        "The prompts are ours. The paper's abstract says that a subgoal reached gives an auxiliary reward; that it "
        "pays once per rollout, and that a reply which cannot be read is a no (preset calm), is derived. The reward is "
        "no potential: it can change which policy is best."
    ),
)

PRESETS = {
    "calm": Preset(
        {"order": "active", "unread": "no", "bonus": 1.0},
        "CALM (abstract; derived): subgoals in order, lambda 1, an unreadable answer is no",
        "calm",
        "CALM: Credit Assignment with Language Models",
    ),
}


def subgoals(
    batch: Batch,
    judge: Judge,
    *,
    subgoals: Subgoals = None,
    order: Literal["active", "any"] = "active",
    bonus: float | None = None,
    unread: Unread = "not_judged",
    retries: int = 0,
) -> Batch:
    """The batch with `subgoal`: did the step reach a subgoal of its task that was not reached before?

        r'_t = r_t + bonus * (subgoals reached at t)

    Args:
        judge: sees the task, a subgoal, the observations before and after the step, and the step; says yes or no.
        subgoals: in order: a field of the record, a list, a mapping from group, a function of the record. None: the
            judge proposes them, once per task.
        order: "active": only the first subgoal that is still open is asked about. "any": all open ones are, so that
            they may be reached in any order, and several by one step.
        bonus: if given, `reward` becomes r' above: r is `reward`, or else the outcome on the last step.
        unread: a reply that failed or cannot be read: the step is not judged (and r' of it unknown), or it is a no.
        retries: how often it is asked again.

    A subgoal counts once on each way through the task; a step that rollouts share is judged once. The judge is asked
    in rounds, one per step of the longest rollout, since what is open depends on what came before.

    Raises:
        StepCreditError: no texts, or subgoals that are none. DataError: no subgoals of a rollout. MissingColumn: a
        bonus, and neither reward nor outcome.
    """
    if bonus is not None and "reward" not in batch and "outcome" not in batch:
        raise missing("reward", batch, "subgoals with a bonus")
    told = Told(batch, "subgoals")
    goals, note = _goals(told, judge, subgoals, retries)
    walk = _walked(told, judge, goals, order, retries)
    reached = walk.reached
    if unread == "no":
        known = np.array([goals[r] is not None for r in batch.layout.rollout.tolist()], bool)
        reached = np.where(np.isnan(reached) & known, walk.some, reached)
    note += Asked[bool]([None] * walk.asked, walk.calls, walk.failed).note(
        f"subgoals, {order}", "taken as no" if unread == "no" else "not judged"
    )
    made: dict[str, Any] = {"subgoal": np.where(walk.some > 0, 1.0, reached)}
    if bonus is not None:
        base: Floats = batch["reward"] if "reward" in batch else at_last(batch.layout, batch["outcome"])
        made["reward"] = base + bonus * reached
        note += f"; reward: {'that of the batch' if 'reward' in batch else 'the outcome'} and {bonus:g} per subgoal"
    return batch.with_columns(note=note, **made)


def cost(batch: Batch, **options: Any) -> Cost:
    """The most that `subgoals` with these options will ask. (Subgoals that the judge has yet to propose, and of which
    any may be reached, cannot be counted: StepCreditError.)"""
    o = options_of(subgoals, options)
    told, lay = Told(batch, "subgoals"), batch.layout
    tasks = len(set(lay.group.tolist())) if o["subgoals"] is None else 0
    asked = lay.S
    if o["order"] == "any":
        if o["subgoals"] is None:
            raise StepCreditError(
                "how many subgoals the judge will propose is not known", hint="subgoals=..., or active"
            )
        listed = _given(told, o["subgoals"])
        asked = sum(len(listed[r]) for r in lay.rollout.tolist())
    return replace(cost_of(tasks + asked, o["retries"]), at_most=True)


@dataclass
class _Walk:
    """reached: [S] subgoals reached at the step, NaN where a verdict is missing; some: the same of the verdicts there
    are; asked, calls, failed: as in Asked, of all rounds."""

    reached: Floats
    some: Floats
    asked: int
    calls: int
    failed: dict[str, int]


def _walked(told: Told, judge: Judge, goals: list[list[str] | None], order: str, retries: int) -> _Walk:
    lay = told.batch.layout
    walk = _Walk(np.full(lay.S, np.nan), np.zeros(lay.S), 0, 0, {})
    open_after: list[list[int]] = [[]] * lay.S
    previous, turn, rollout = lay.previous.tolist(), lay.turn, lay.rollout.tolist()
    for t in range(int(turn.max(initial=-1)) + 1):
        asked: list[tuple[int, int, Question[bool]]] = []
        for row in np.flatnonzero(turn == t).tolist():
            listed = goals[rollout[row]]
            if listed is None:
                continue
            left = list(range(len(listed))) if previous[row] < 0 else open_after[previous[row]]
            open_after[row] = left
            walk.reached[row] = 0.0
            asked += [
                (row, goal, Question(_prompt(told, row, listed[goal]), read_reached))
                for goal in (left[:1] if order == "active" else left)
            ]
        found = ask(judge, [q for _, _, q in asked], retries=retries)
        for (row, goal, _), answer in zip(asked, found.answers, strict=True):
            walk.reached[row] += np.nan if answer is None else float(answer)
            if answer:
                walk.some[row] += 1
                open_after[row] = [g for g in open_after[row] if g != goal]
        walk.asked, walk.calls = walk.asked + len(asked), walk.calls + found.calls
        walk.failed = {w: walk.failed.get(w, 0) + found.failed.get(w, 0) for w in {**walk.failed, **found.failed}}
    return walk


def _prompt(told: Told, row: int, subgoal: str) -> str:
    before = int(told.batch.layout.previous[row])
    seen = told.results[before] if before >= 0 else None
    start = "(nothing yet)" if before < 0 else "(nothing)"
    return reached_prompt(
        told.task(row), subgoal, start if seen is None else seen, told.steps[row], told.results[row] or "(nothing)"
    )


def _given(told: Told, subgoals: Any) -> list[list[str]]:
    """[R] subgoals that the caller or the records give."""
    if isinstance(subgoals, str | Mapping) or callable(subgoals):
        listed = references(told.batch, subgoals, told.who)
    else:
        listed = [subgoals] * told.batch.layout.R
    made = []
    for one in listed:
        if isinstance(one, str) or not isinstance(one, Sequence) or not all(isinstance(g, str) and g for g in one):
            raise StepCreditError(f"subgoals: got {one!r}", hint="a list of texts, in order")
        made.append(list(one))
    return made


def _goals(told: Told, judge: Judge, subgoals: Subgoals, retries: int) -> tuple[list[list[str] | None], str]:
    """[R] subgoals of each rollout's task (None: the judge proposed none), and what was asked for them."""
    if subgoals is not None:
        return list(_given(told, subgoals)), ""
    first: dict[int, int] = {}
    for r, g in enumerate(told.batch.layout.group.tolist()):
        first.setdefault(g, r)
    asked = [Question(propose_prompt(told.tasks[r]), read_subgoals) for r in first.values()]
    found = ask(judge, asked, retries=retries)
    proposed = dict(zip(first, found.answers, strict=True))
    return [proposed[g] for g in told.batch.layout.group.tolist()], found.note("subgoals proposed") + "; "
