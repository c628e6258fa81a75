"""Game of 24 with exact truth: make 24 from all numbers, each used once, by + - * /.

The world (rules, states, solver), a seeded tabular policy that stands in for a model, its exact values by dynamic
programming, rollouts sampled from it, and a reader of lines that real models wrote.

    >>> policy = Policy(skill=2.0)
    >>> rollout = sample(["4 5 6 10"], 1, policy, seed=3)[0]
    >>> rollout.steps[0].state, rollout.steps[0].value == evaluate("4 5 6 10", policy).value
    ('4 5 6 10', True)
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stepcredit.data import records
from stepcredit.data.batch import Batch
from stepcredit.envs._game24_rules import (
    TARGET,
    Action,
    Numbers,
    State,
    actions,
    key,
    numbers,
    puzzles,
    solvable,
)
from stepcredit.envs._game24_text import Line, Truth, answer, parse, solves, truth
from stepcredit.errors import StepCreditError

__all__ = [
    "Action",
    "Line",
    "Policy",
    "Rollout",
    "Step",
    "Truth",
    "Values",
    "actions",
    "answer",
    "batch",
    "evaluate",
    "key",
    "numbers",
    "parse",
    "puzzles",
    "sample",
    "solvable",
    "solves",
    "truth",
]

SOLVED, FAILED = "solved", "failed"
LOST = " !"


@dataclass(frozen=True)
class Policy:
    """A tabular policy that errs as language models do.

    With two or more numbers left,

        pi(a|s) = (1 - slip - stop) * softmax(l(s, .))_a,
        l(s, a) = skill * [24 reachable after a] + plus|minus|times|divide by its operator
                  + size * log2(1 + |result|) + negative * [result < 0] + fraction * [result not whole]
                  + quirk * e(seed, s, a),   e from the standard logistic distribution, fixed per (seed, s, a)

    where `finish`, if given, takes the place of skill with two numbers left.

    pi(slip of a|s) = slip * softmax(l(s, .))_a writes a wrong result (24 where two numbers are left, else one too many)
    and goes on with it; pi(stop|s) = stop gives up. With one number left the answer is forced. The model does not
    see its slips: after one it acts as if the numbers left were right, but no answer can be correct.

    With the defaults about one rollout in twenty succeeds, a third of the steps taken where 24 can be reached keep it
    reachable, and rollouts of one puzzle share states about as often as those of GPT-4; `skill=4` solves one in eight.

    Raises:
        StepCreditError: slip or stop negative, their sum above 1, or an option not finite.
    """

    seed: int = 0
    skill: float = 2.5
    plus: float = 0.0
    minus: float = 0.5
    times: float = 0.5
    divide: float = -0.5
    size: float = -0.3
    negative: float = -3.0
    fraction: float = -2.0
    quirk: float = 2.0
    slip: float = 0.08
    stop: float = 0.02
    finish: float | None = None

    def __post_init__(self) -> None:
        wrong = [f.name for f in fields(self) if not math.isfinite(getattr(self, f.name) or 0.0)]
        if wrong or min(self.slip, self.stop) < 0 or self.slip + self.stop > 1:
            raise StepCreditError(
                f"not a policy: {self}", hint="options are finite, slip and stop are chances that sum to at most 1"
            )


@dataclass(frozen=True, slots=True)
class Values:
    """Policy and exact values in one state; arrays are [A], one entry per action, and read-only.

    actions: keys. An operation's key is its text ("10 - 4 = 6"), a slip's the wrong text; or "stop", "answer".
    next_states: keys; "solved" and "failed" are the ends.
    probability: pi(a|s).
    q: chance that a rollout ends solved after the action.
    value: sum_a pi(a|s) q(s, a).
    """

    actions: tuple[str, ...]
    next_states: tuple[str, ...]
    probability: NDArray[np.float64]
    q: NDArray[np.float64]
    value: float

    @property
    def advantage(self) -> NDArray[np.float64]:
        """[A] q(s, a) - value; its mean under the policy is 0."""
        return self.q - self.value


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout, with the truth about it.

    text: as a model would write it, "10 - 4 = 6 (left: 5 6 6)" or "Answer: ...": the whole expression,
        after a slip only the last equation, "no solution" if 24 is not what is left.
    action, state, next_state: keys; see `Values` and `evaluate`.
    observation: the numbers then left, or the verdict: "correct", "incorrect".
    value, q, advantage: exact V(s), Q(s, a) and Q - V under the policy.
    alive_before, alive_after: whether 24 could be reached before and after the step.
    """

    text: str
    action: str
    state: str
    next_state: str
    observation: str
    value: float
    q: float
    advantage: float
    alive_before: bool
    alive_after: bool


@dataclass(frozen=True, slots=True)
class Rollout:
    """One attempt at a puzzle; outcome is 1.0 if solved, else 0.0. The last step is the answer."""

    puzzle: str
    steps: tuple[Step, ...]
    outcome: float


class _Move(NamedTuple):
    """An operation, right or a slip, or (None) the end of the rollout."""

    key: str
    action: Action | None = None
    slip: bool = False


@dataclass(frozen=True, slots=True)
class _Node:
    """What the policy does in a state that is not lost, and the exact values there."""

    key: str
    alive: bool
    moves: tuple[_Move, ...]
    values: Values
    cumulative: NDArray[np.float64]


def evaluate(state: State, policy: Policy) -> Values:
    """The policy's choices in a state and their exact values, by dynamic programming over the states ahead.

        Q(s, a) = V(next(s, a)),  V(s) = sum_a pi(a|s) Q(s, a),  V(solved) = 1,  V(failed) = 0

    A state from which 24 cannot be reached has V = 0. A key that ends in " !" ("5 6 7 !") is a state after a
    slip: the same choices, but lost, so that V = 0 also where 24 could be made of the numbers.

    Raises:
        StepCreditError: not a state.

    >>> evaluate("12 12", Policy(slip=0.1, stop=0)).actions[:5]
    ('12 + 12 = 24', '12 * 12 = 144', '12 - 12 = 0', '12 / 12 = 1', '12 + 12 = 25')
    >>> evaluate("24", Policy()).value, evaluate("24 !", Policy()).value
    (1.0, 0.0)
    """
    if not isinstance(state, str) or not state.endswith(LOST):
        return _node(policy, numbers(state)).values
    values = _node(policy, numbers(state.removesuffix(LOST))).values
    nowhere = np.zeros_like(values.q)
    nowhere.flags.writeable = False
    return replace(values, next_states=tuple(map(_lost, values.next_states)), q=nowhere, value=0.0)


def sample(puzzles: Iterable[State], n: int, policy: Policy, seed: int) -> list[Rollout]:
    """n rollouts of each puzzle, in the order of the puzzles.

    Draws depend on the seed and the puzzle alone: other puzzles change nothing, and a larger n appends.

    Raises:
        StepCreditError: a puzzle is no state or comes twice, or n is negative.
    """
    starts = [numbers(puzzle) for puzzle in puzzles]
    if n < 0:
        raise StepCreditError(f"number of rollouts per puzzle: got {n}, expected 0 or more")
    if len(set(starts)) < len(starts):
        raise StepCreditError("a puzzle comes twice; its rollouts would be the same ones again", hint="raise n instead")
    rollouts = []
    for start in starts:
        words = np.frombuffer(_digest(seed, key(start), 16), dtype="<u4")
        draws = np.random.default_rng(words).random((n, len(start)))
        rollouts += [_rollout(start, policy, row) for row in draws.tolist()]
    return rollouts


def batch(puzzles: Iterable[State], n: int, policy: Policy, seed: int) -> Batch:
    """`sample` as a Batch: state, action, observation, next state, outcome, and the truth as evidence.

    Columns [S]: `truth.value`, `truth.q`, `truth.advantage` under the policy; `truth.decision`, 1 where 24 could still
    be reached and the step was not the answer; `truth.good`, 1 where it still could be reached afterwards.
    """
    made = sample(puzzles, n, policy, seed)
    return Batch.from_records(
        records.Rollout(
            group=one.puzzle,
            rollout=f"{one.puzzle}/{i % n}",
            task=f"Make 24 from {one.puzzle}, each number once.",
            outcome=one.outcome,
            final_state=one.steps[-1].next_state,
            steps=[_record(step) for step in one.steps],
        )
        for i, one in enumerate(made)
    )


def _record(step: Step) -> records.Step:
    return records.Step(
        text=step.text,
        state=step.state,
        action=step.action,
        observation=step.observation,
        next_state=step.next_state,
        evidence={
            "truth.value": step.value,
            "truth.q": step.q,
            "truth.advantage": step.advantage,
            "truth.decision": float(step.alive_before and step.action != "answer"),
            "truth.good": float(step.alive_after),
        },
    )


def _rollout(start: Numbers, policy: Policy, draws: Sequence[float]) -> Rollout:
    left, lost = start, False
    steps: list[Step] = []
    taken: list[Action] = []
    for draw in draws:
        node = _node(policy, left)
        i = min(int(node.cumulative.searchsorted(draw, side="right")), len(node.moves) - 1)
        move, lost_after = node.moves[i], lost or node.moves[i].slip
        action, next_state = move.action, node.values.next_states[i]
        next_state = _lost(next_state) if lost else next_state
        value, q = (0.0, 0.0) if lost else (node.values.value, float(node.values.q[i]))
        steps.append(
            Step(
                text=f"{move.key} (left: {key(action.after)})" if action else _answer(start, taken, left, lost),
                action=move.key,
                state=node.key + LOST * lost,
                next_state=next_state,
                observation=key(action.after) if action else "correct" if next_state == SOLVED else "incorrect",
                value=value,
                q=q,
                advantage=q - value,
                alive_before=node.alive and not lost,
                alive_after=not lost_after and (solvable(action.after) if action else next_state == SOLVED),
            )
        )
        if action is None:
            break
        taken.append(action)
        left, lost = action.after, lost_after
    return Rollout(key(start), tuple(steps), float(steps[-1].next_state == SOLVED))


def _lost(state: str) -> str:
    if state in (SOLVED, FAILED):
        return FAILED
    return state.removesuffix(LOST) + LOST


def _answer(start: Numbers, taken: Sequence[Action], left: Numbers, lost: bool) -> str:
    if left != (TARGET,):
        return "Answer: no solution"
    if lost:  # two slips can cancel, and then the whole expression would be a right answer
        return f"Answer: {taken[-1].key}"
    pool = [(number, str(number)) for number in start]
    for action in taken:
        a, b = (_pop(pool, operand) for operand in (action.a, action.b))
        pool.append((action.result, f"({a} {action.op} {b})"))
    return f"Answer: {pool[0][1].removeprefix('(').removesuffix(')')} = 24"


def _pop(pool: list[tuple[Fraction, str]], operand: Fraction) -> str:
    return pool.pop(next(i for i, (number, _) in enumerate(pool) if number == operand))[1]


@lru_cache(maxsize=1 << 16)
def _node(policy: Policy, left: Numbers) -> _Node:
    moves = [_Move("answer")]
    probability = np.ones(1)
    if len(left) > 1:
        legal = actions(left)
        slips = [_slip(action, left) for action in legal]
        moves = [*(_Move(a.key, a) for a in legal), *(_Move(a.key, a, slip=True) for a in slips), _Move("stop")]
        choice = _choice(policy, left, legal)
        right = 1.0 - policy.slip - policy.stop
        probability = np.concatenate([right * choice, policy.slip * choice, [policy.stop]])
    end = SOLVED if left == (TARGET,) else FAILED
    ahead = [key(move.action.after) + LOST * move.slip if move.action else end for move in moves]
    q = np.array([_chance(policy, move, end) for move in moves])
    for array in (probability, q):
        array.flags.writeable = False
    values = Values(tuple(move.key for move in moves), tuple(ahead), probability, q, float(probability @ q))
    return _Node(key(left), solvable(left), tuple(moves), values, np.cumsum(probability))


def _chance(policy: Policy, move: _Move, end: str) -> float:
    if move.action is None:
        return float(end == SOLVED)
    if move.slip or not solvable(move.action.after):
        return 0.0
    return _node(policy, move.action.after).values.value


def _slip(action: Action, left: Numbers) -> Action:
    """The same operation with a wrong result: the wished-for 24 at the end, else one too many."""
    wrong = TARGET if len(left) == 2 and action.result != TARGET else action.result + 1
    after = list(action.after)
    after[after.index(action.result)] = wrong
    return Action(action.a, action.op, action.b, wrong, tuple(sorted(after)))


def _choice(policy: Policy, left: Numbers, legal: Sequence[Action]) -> NDArray[np.float64]:
    operators = {"+": policy.plus, "-": policy.minus, "*": policy.times, "/": policy.divide}
    skill = policy.skill if policy.finish is None or len(left) > 2 else policy.finish
    logits = np.array(
        [
            skill * solvable(a.after)
            + operators[a.op]
            + policy.size * math.log2(1 + abs(a.result))
            + policy.negative * (a.result < 0)
            + policy.fraction * (a.result.denominator > 1)
            for a in legal
        ]
    )
    bits = np.frombuffer(_digest(policy.seed, key(left), 8 * len(legal)), dtype="<u8")
    uniform = ((bits >> 11) + 0.5) / 2.0**53
    logits += policy.quirk * (np.log(uniform) - np.log1p(-uniform))
    weights = np.exp(logits - logits.max())
    chosen: NDArray[np.float64] = weights / weights.sum()
    return chosen


def _digest(seed: int, text: str, size: int) -> bytes:
    return hashlib.shake_128(f"{seed}|{text}".encode()).digest(size)
