"""A policy learns from credit: the whole loop in one file, to be read from top to bottom.

    act -> credit -> improve, and again

What acts is a `Policy`: a table of one softmax per state here, a small transformer in `learning_model`. Everything else
is the same for both: tasks are tables (`stepcredit.envs.tabular`), so that the value of every step is known exactly.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from stepcredit.credit import assign
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints, Layout
from stepcredit.envs.tabular import Layer, Stack, World, solve, stack, unroll
from stepcredit.errors import StepCreditError

JUDGE_ERRS = 0.2  # share of steps that the simulated judge gets wrong


@dataclass(frozen=True, eq=False)
class Tasks:
    """Tasks of one world, their states in one table [N, A, B].

    told: whether credit methods see which steps were taken in the same state.
    """

    name: str
    worlds: Sequence[World]
    told: bool = True

    @cached_property
    def table(self) -> Stack:
        return stack(self.worlds)

    @cached_property
    def layers(self) -> list[Layer]:
        return unroll(self.table)

    @cached_property
    def can(self) -> Bools:
        """[N, A] whether the action can be taken."""
        return np.asarray(self.table.chance.sum(-1) > 0)

    @cached_property
    def best(self) -> Floats:
        """[N, A] value of each action if all later ones are the best, discounted so that detours show."""
        out = np.zeros(self.can.shape)
        solved = solve(self.table, self.layers, best=True, discount=0.95)
        for layer, exact in zip(reversed(self.layers), reversed(solved), strict=True):
            out[layer.state] = exact.q
        return np.where(self.can, out, -np.inf)

    @property
    def horizon(self) -> int:
        return len(self.layers)

    def exact(self, policy: Floats) -> tuple[Floats, Floats, float]:
        """[T, N] V and [T, N, A] Q of a policy [N, A]; its success: the mean of V over the tasks' starts."""
        solved = solve(replace(self.table, policy=policy), self.layers)
        value = np.zeros((len(self.layers), policy.shape[0]))
        q = np.zeros((*value.shape, policy.shape[1]))
        for t, (layer, one) in enumerate(zip(self.layers, solved, strict=True)):
            value[t, layer.state], q[t, layer.state] = one.value, one.q
        return value, q, float(value[0, self.table.start].mean())


@dataclass(frozen=True, eq=False)
class Walk:
    """Rollouts as columns [S], sorted by rollout and time.

    action: -1 where what was written is no action. place: which of the actions asked for since the last update it was.
    """

    rollout: Ints
    time: Ints
    place: Ints
    state: Ints
    action: Ints
    next_state: Ints
    reward: Floats


class Policy(Protocol):
    """What acts and learns."""

    def act(self, state: Ints, random: np.random.Generator) -> Ints:
        """[n] an action in each of these states (rows of the table); -1: none could be read."""
        ...

    def improve(self, walk: Walk, credit: Floats, rollouts: int) -> None:
        """One update from credit [S]; NaN: the step is left out."""
        ...

    def table(self) -> Floats | None:
        """[N, A] chances of all actions in all states, where they are cheap to have."""
        ...


def compact(world: World) -> World:
    """The world with as few actions as its widest state has: action k is the k-th that can be taken there."""
    can = world.can
    order = np.argsort(~can, axis=1, kind="stable")[:, : int(can.sum(1).max())]
    at = np.arange(order.shape[0])[:, None]
    tables = {n: getattr(world, n)[at, order] for n in ("chance", "next_state", "reward", "policy")}
    return replace(world, **tables, actions=())


def play(tasks: Tasks, policy: Policy, n: int, random: np.random.Generator) -> Walk:
    """n rollouts of every task, all side by side. What is no action spends a step and changes nothing."""
    table = tasks.table
    rollout = np.arange(table.start.size * n)
    state = np.repeat(table.start, n)
    chance = np.cumsum(table.chance, -1)
    parts: list[tuple[Any, ...]] = []
    asked = 0
    for t in range(tasks.horizon):
        action = policy.act(state, random)
        valid = action >= 0
        a = np.where(valid, action, 0)
        luck = random.random(state.size)
        branch = (chance[state, a] <= luck[:, None] * chance[state, a, -1:]).sum(-1)
        branch = np.minimum(branch, chance.shape[-1] - 1)
        after = np.where(valid, table.next_state[state, a, branch], state)
        reward = np.where(valid, table.reward[state, a, branch], 0.0)
        place = asked + np.arange(state.size)
        parts.append((rollout, np.full(state.size, t), place, state, action, after, reward))
        asked += state.size
        on = ~table.ends[after]
        rollout, state = rollout[on], after[on]
        if not rollout.size:
            break
    whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(whole[0], kind="stable")
    return Walk(*(column[order] for column in whole))


def columns(tasks: Tasks, walk: Walk, n: int) -> Batch:
    """What a credit method sees of the rollouts."""
    groups = tasks.table.start.size
    layout = Layout(np.repeat(np.arange(groups), n), walk.rollout)
    if tasks.told:
        state, after = walk.state, walk.next_state
    else:  # every state is met once, but for the prompt
        state = np.where(walk.time == 0, walk.state, tasks.can.shape[0] + np.arange(walk.state.size))
        after = np.append(state[1:], 0)
        after[layout.last] = tasks.can.shape[0] + walk.state.size + np.arange(layout.R)
    ids = range(int(max(state.max(), after.max())) + 1)
    size = tasks.can.shape[1]
    return Batch(
        layout,
        {
            "outcome": layout.total(walk.reward),
            "state": state,
            "next_state": after,
            "final_state": after[layout.last],
            "root_state": tasks.table.start,
            "action": np.where(walk.action < 0, size, walk.action),
        },
        {
            "group": range(groups),
            "rollout": range(layout.R),
            "action": range(size + 1),
            **dict.fromkeys(("state", "next_state", "final_state", "root_state"), ids),
        },
    )


class Critic:
    """V(s) as a table, moved toward the returns it sees: what PPO adds to the outcome."""

    def __init__(self, tasks: Tasks, rate: float = 0.3) -> None:
        self.value, self.rate = np.zeros(tasks.can.shape[0]), rate

    def learn(self, batch: Batch, walk: Walk) -> None:
        outcome = batch["outcome"][walk.rollout]
        n = np.bincount(walk.state, minlength=self.value.size)
        mean = np.bincount(walk.state, outcome, self.value.size) / np.maximum(n, 1)
        self.value += np.where(n > 0, self.rate * (mean - self.value), 0.0)


def judged(tasks: Tasks, walk: Walk, random: np.random.Generator) -> Floats:
    """[S] +1 or -1: was it a best action? Said by a stand-in for a judge, wrong once in five times."""
    a = np.maximum(walk.action, 0)
    right = (tasks.best[walk.state, a] >= tasks.best[walk.state].max(-1) - 1e-9) & (walk.action >= 0)
    wrong = random.random(right.size) < JUDGE_ERRS
    return np.where(right ^ wrong, 1.0, -1.0)


def credit_of(
    method: str, tasks: Tasks, batch: Batch, walk: Walk, policy: Policy, critic: Critic, random: np.random.Generator
) -> Floats:
    """[S] credit by a method of the house, by PPO's critic, by a judge, or the truth."""
    if method == "oracle":
        chances = policy.table()
        if chances is None:
            raise StepCreditError("oracle credit needs a policy whose chances are known in every state")
        value, q, _ = tasks.exact(chances)
        exact: Floats = q[walk.time, walk.state, walk.action] - value[walk.time, walk.state]
        return exact
    if method == "ppo":
        return assign(batch.with_columns(value=critic.value[walk.state]), "gae", lam=0.95).values
    if method == "capo":
        return assign(batch.with_columns(label=judged(tasks, walk, random)), "capo").values
    return assign(batch, method).values


def warm(tasks: Tasks, success: float, seed: int) -> Floats:
    """[N, A] logits of a policy that imitation has taught a part of the way, and taught some states wrong.

        logit(s, a) = 2 z(s, a) + strength(task) * [a is best in s]       z: standard normal, drawn from the seed

    with the strength at which the success on the task is as asked for.
    """
    table = tasks.table
    task = np.searchsorted(table.offset, np.arange(tasks.can.shape[0]), side="right") - 1
    wrong = 2 * np.random.default_rng([seed, 7]).standard_normal(tasks.can.shape)
    good = (tasks.best >= tasks.best.max(-1, keepdims=True) - 1e-9) & tasks.can
    low, high = np.zeros(table.start.size), np.full(table.start.size, 20.0)
    for _ in range(20):
        middle = (low + high) / 2
        policy = TablePolicy(tasks, 0.0, wrong + middle[task, None] * good)
        less = tasks.exact(policy.table())[0][0, table.start] < success
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    logits: Floats = wrong + high[task, None] * good
    return logits


class TablePolicy:
    """A softmax over the actions of every state, improved by the policy gradient.

        logit(s, a) += rate * mean_rollouts sum_t A_t (1[a = a_t] - pi(a|s_t))      for s = s_t

    with credit A in units of its root mean square over the batch, so that no method gains by its scale.
    """

    def __init__(self, tasks: Tasks, rate: float, start: Floats) -> None:
        self.can, self.rate = tasks.can, rate
        self.logit = np.where(self.can | ~self.can.any(-1, keepdims=True), start, -np.inf)

    def table(self) -> Floats:
        """[N, A] chances."""
        weight: Floats = np.exp(self.logit - self.logit.max(-1, keepdims=True))
        chance: Floats = weight / weight.sum(-1, keepdims=True)
        return chance

    def act(self, state: Ints, random: np.random.Generator) -> Ints:
        """[n] drawn actions."""
        chance = np.cumsum(self.table()[state], -1)
        drawn: Ints = (chance <= random.random((state.size, 1)) * chance[:, -1:]).sum(-1)
        return drawn

    def improve(self, walk: Walk, credit: Floats, rollouts: int) -> None:
        """One step along the gradient."""
        judged = ~np.isnan(credit)
        scale = float(np.sqrt(np.mean(credit[judged] ** 2))) if judged.any() else 0.0
        if scale == 0.0:
            return
        s, a, credit = walk.state[judged], walk.action[judged], credit[judged] / scale
        gradient = np.zeros(self.can.shape)
        np.add.at(gradient, (s, a), credit)
        gradient -= np.bincount(s, credit, self.can.shape[0])[:, None] * self.table()
        self.logit += np.where(self.can, self.rate * gradient / rollouts, 0.0)


@dataclass
class Curve:
    """What became of a run: success after each update, what it took; seconds are of the processor."""

    rollouts: list[int] = field(default_factory=list)
    success: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    credit_seconds: float = 0.0
    dead: list[float] = field(default_factory=list)


def learn(
    tasks: Tasks,
    policy: Policy,
    method: str | Callable[[Batch, Walk], Floats],
    *,
    n: int,
    seed: int,
    rollouts: int,
    seconds: float | None = None,
    advance: Callable[[Curve], object] = lambda curve: None,
) -> Curve:
    """Improve a policy until so many rollouts are spent, or so many seconds of the processor.

    Args:
        method: a credit method, "oracle", "ppo", "capo"; or a function of yours.
        n: rollouts per task and update; every task is played before every update.

    Returns:
        Success before every update (exact where the policy is a table, else the mean outcome of the rollouts of that
        update), and after the last one for a table.
    """
    random = np.random.default_rng(seed)
    critic, curve, began = Critic(tasks), Curve(), time.process_time()
    per_update = tasks.table.start.size * n
    for update in range(rollouts // per_update):
        walk = play(tasks, policy, n, random)
        batch = columns(tasks, walk, n)
        at = time.process_time()
        if callable(method):
            credit = method(batch, walk)
        else:
            credit = credit_of(method, tasks, batch, walk, policy, critic, random)
        curve.credit_seconds += time.process_time() - at
        record(curve, tasks, policy, batch, update * per_update, time.process_time() - began)
        if method == "ppo":
            critic.learn(batch, walk)
        policy.improve(walk, credit, per_update)
        advance(curve)
        if seconds is not None and time.process_time() - began > seconds:
            break
    chances = policy.table()
    if chances is not None:
        curve.rollouts.append(curve.rollouts[-1] + per_update)
        curve.success.append(tasks.exact(chances)[2])
        curve.seconds.append(time.process_time() - began)
    return curve


def record(curve: Curve, tasks: Tasks, policy: Policy, batch: Batch, spent: int, seconds: float) -> None:
    """A point of the curve, before the update."""
    outcome = batch["outcome"]
    chances = policy.table()
    by_task = outcome.reshape(tasks.table.start.size, outcome.size // tasks.table.start.size)
    curve.rollouts.append(spent)
    curve.success.append(float(outcome.mean()) if chances is None else tasks.exact(chances)[2])
    curve.seconds.append(seconds)
    curve.dead.append(float(np.mean(by_task.max(1) == by_task.min(1))))


def result_of(curve: Curve) -> dict[str, Any]:
    """What JSON can hold; success to 5 digits."""
    return {
        "rollouts": curve.rollouts,
        "success": [round(x, 5) for x in curve.success],
        "seconds": [round(x, 3) for x in curve.seconds],
        "credit_seconds": round(curve.credit_seconds, 3),
        "dead": [round(x, 3) for x in curve.dead],
    }
