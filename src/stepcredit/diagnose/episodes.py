"""Replay in a world: a run is walked again up to a step, and a policy acts from there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose._log import shared_steps, speaker
from stepcredit.diagnose.case import SUCCESS, Case
from stepcredit.diagnose.replay import Tries
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import call_text
from stepcredit.llm.requests import BudgetSpent, Continue, Failed, Plan, draw_of
from stepcredit.protocols import Environment

Policy = Callable[[Sequence[Environment], Sequence[str]], Sequence[str]]
Put = Callable[[int, str | None], bool]
"""(step, who acts) -> whether the action there is put right."""


class Parted(Exception):
    """The world does not go as the record says; the text says where.

    step: of the run. got: what the world came to there.
    """

    def __init__(self, text: str, step: int | None = None, got: str = "") -> None:
        super().__init__(text)
        self.step, self.got = step, got


def seed_of(rollout: Rollout) -> int:
    """The number of a run's task: the field `seed` as `stepcredit train` writes it, else the group as `envs.play` does.

    Raises:
        StepCreditError: it is no number.
    """
    named = rollout.extra.get("seed", rollout.group)
    try:
        return int(named)
    except (TypeError, ValueError):
        raise StepCreditError(
            f"the group {rollout.group!r} is not the number of a task, and there is no field `seed` that says it",
            hint="EnvReplay(..., seed=a function)",
        ) from None


@dataclass
class Ledger:
    """What replay took of a world. most: steps that it may take; None: any number."""

    most: int | None = None
    steps: int = 0
    episodes: int = 0

    def step(self) -> None:
        """Count a step before it is taken.

        Raises:
            BudgetSpent: there is none left.
        """
        if self.most is not None and self.steps >= self.most:
            raise BudgetSpent(f"the budget is spent: {self.most:,} steps of the world")
        self.steps += 1


@dataclass(frozen=True, eq=False)
class EnvReplay:
    """Tries in a world.

    The world is reset to the task and walked along the recorded actions; where it comes to other states (or, without
    states, shows other observations) than the record says, by chance, it is walked again with other luck. From there
    the policy acts to the end. A try succeeds where the sum of its rewards reaches `success`.

    Args:
        make: makes one episode, such as `world.episode`.
        policy: (episodes, what each agent read last) -> one action each, as in `envs.play`; None: the sampler is asked
            for one action at a time, given all that was read and done.
        seed: of a run's task. lucks: most walks for one try, until one goes as the record says. most: most steps of a
            try; the world's own end comes first as a rule. max_tokens, temperature: of an action of the sampler.
        ledger: counts, and ends it where a budget of steps is spent.
    """

    make: Callable[[], Environment]
    policy: Policy | None = None
    seed: Callable[[Rollout], int] = seed_of
    success: float = SUCCESS
    lucks: int = 500
    most: int = 1000
    max_tokens: int = 64
    temperature: float = 1.0
    ledger: Ledger = field(default_factory=Ledger)

    def follows(self, case: Case, *, walks: int = 50) -> bool | None:
        """See that a run can be walked again: the world goes as the record says, or by chance another way.

        Returns:
            Whether the world ends where the record does; None: it went another way.

        Raises:
            Parted: every walk, of whatever luck, leaves the record at the same step for the same other state; or some
                do, and the world tells another task.
        """
        seen: dict[tuple[int | None, str], Parted] = {}
        for k in range(walks):
            try:
                world = self._walk(case, 0, len(case.steps), None, draw_of("follow", k)).world
            except Parted as error:
                seen[error.step, error.got] = error
                if len(seen) > 1:
                    break
            else:
                world.close()
                return bool(world.ended)
        if len(seen) == 1:
            raise next(iter(seen.values()))
        if case.task is not None and _words(self._told(case)) not in _words(case.task):
            raise Parted("the world tells another task than the record: another one, or other options", 0)
        return None

    def _told(self, case: Case) -> str:
        world = self.make()
        first, _ = world.reset(seed=self.seed(case.rollout))
        world.close()
        return str(first)

    def tries(self, case: Case, kept: Sequence[int], n: int, *, draw: int = 0) -> Plan[list[Tries]]:
        """As of `Replayer`."""
        return (yield from self._all(case, [(k, None) for k in kept], n, draw))

    def put_right(self, case: Case, puts: Sequence[Put], n: int, *, draw: int = 0) -> Plan[list[Tries]]:
        """n tries for each of `puts`: where it says so, the world's expert acts; elsewhere what was done is done again,
        as long as the state is the one of the record, and else the policy acts.

        Raises:
            StepCreditError: the world has no expert where one is needed.
        """
        who = [speaker(step) for step in case.steps]
        first = [next((t for t, agent in enumerate(who) if put(t, agent)), len(who)) for put in puts]
        return (yield from self._all(case, list(zip(first, puts, strict=True)), n, draw))

    def cost(self, case: Case, kept: Sequence[int], n: int) -> dict[str, int]:
        """As of `Replayer`; steps that only walk along the record are not counted."""
        out = {"episodes": n * len(kept)}
        return out if self.policy is not None else {**out, "samples": n * len(kept) * self.most}

    def _all(self, case: Case, starts: Sequence[tuple[int, Put | None]], n: int, draw: int) -> Plan[list[Tries]]:
        walks: list[_Walk] = []
        failed: list[list[str]] = [[] for _ in starts]
        try:
            for i, (kept, put) in enumerate(starts):
                for j in range(n):
                    try:
                        walks.append(self._reach(case, i, kept, put, draw_of("luck", draw, kept, i, j)))
                    except Parted as error:
                        failed[i].append(str(error))
                        break
            live = [w for w in walks if not w.over]
            for turn in range(self.most):
                if not live:
                    break
                acts = yield from self._acts(live, draw_of("act", draw, turn))
                for walk, act in zip(live, acts, strict=True):
                    walk.act(act)
                live = [w for w in live if not w.over]
            return self._counted(walks, failed)
        finally:
            for walk in walks:
                walk.world.close()

    def _counted(self, walks: Sequence["_Walk"], failed: Sequence[list[str]]) -> list[Tries]:
        won, told = np.zeros(len(failed)), np.zeros(len(failed), int)
        for walk in walks:
            why = walk.failed or (None if walk.world.ended else f"no end within {self.most} steps")
            if why is not None:
                failed[walk.start].append(why)
            else:
                told[walk.start] += 1
                won[walk.start] += walk.total >= self.success
        return [Tries(float(w), int(t), tuple(f)) for w, t, f in zip(won, told, failed, strict=True)]

    def _reach(self, case: Case, start: int, kept: int, put: Put | None, luck: int) -> "_Walk":
        """A walk that has gone as the record says for so many steps.

        Raises:
            Parted: none of `lucks` does.
        """
        why: Parted | None = None
        for k in range(self.lucks):
            try:
                return self._walk(case, start, kept, put, (luck + 7919 * k) % 2**31)
            except Parted as error:
                why = error
        raise Parted(f"{why}, in {self.lucks} walks of other luck", *(() if why is None else (why.step, why.got)))

    def _walk(self, case: Case, start: int, kept: int, put: Put | None, luck: int) -> "_Walk":
        """A walk of this luck along the record for so many steps of the run.

        Raises:
            Parted: it leaves the record.
        """
        before = shared_steps(case)
        record, at = [*before, *case.steps], len(before)
        world = self.make()
        self.ledger.episodes += 1
        try:
            first, _ = world.reset(seed=self.seed(case.rollout), options={"luck": luck % 2**31})
            walk = _Walk(start, world, record, case.rollout.final_state, at, put, [first], self.ledger)
            walk.follow(at + kept)
        except BaseException:
            world.close()
            raise
        return walk

    def _acts(self, live: Sequence["_Walk"], draw: int) -> Plan[list[Any]]:
        """What each does next: a Step of the record, an action as text, or Failed."""
        out: list[Any] = [walk.settled() for walk in live]
        free = [i for i, act in enumerate(out) if act is None]
        if free and self.policy is not None:
            said: Sequence[Any] = self.policy([live[i].world for i in free], [live[i].read[-1] for i in free])
            if not isinstance(said, Sequence) or isinstance(said, str) or len(said) != len(free):
                got = len(said) if isinstance(said, Sequence) else type(said).__name__
                raise StepCreditError(
                    f"the policy gave {got}, expected {len(free)} actions", hint="a list: one for each episode, or None"
                )
        elif free:
            replies = yield [self._request(live[i], draw_of(draw, i)) for i in free]
            said = [r if isinstance(r, Failed) else r[0].text.strip() for r in replies]
        else:
            return out
        for i, act in zip(free, said, strict=True):
            out[i] = Failed("the policy gave no action") if act is None else act
        return out

    def _request(self, walk: "_Walk", draw: int) -> Continue:
        return Continue(walk.story(), "> ", 1, self.max_tokens, self.temperature, ("\n",), draw)


def _words(text: str) -> str:
    return " ".join(text.split())


@dataclass(eq=False)
class _Walk:
    """One episode. start: which of the wanted tries it is. at: steps of the record before the run's own. final: state
    at the end of the record. put: None: the policy acts once the kept steps are walked."""

    start: int
    world: Any
    record: Sequence[Step]
    final: Any
    at: int
    put: Put | None
    read: list[str]
    ledger: Ledger
    done: list[str] = field(default_factory=list)
    t: int = 0
    total: float = 0.0
    changed: bool = False
    failed: str | None = None
    refused: str = ""

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do."""
        return self.failed is not None or bool(self.world.ended)

    def follow(self, steps: int) -> None:
        """Do what was done.

        Raises:
            Parted: the world goes another way.
        """
        begins = self.record[0].state if self.record else None
        if begins is not None and str(begins) != str(self.world.state):
            raise Parted("the world begins in another state than the record: another task, or other options", 0)
        for t in range(steps):
            if self.world.ended:
                raise self._parted(f"the world ends before step {t - self.at}", t)
            self._do(self.record[t])
            where = self.final if t + 1 == len(self.record) else self.record[t + 1].state
            if where is not None and str(where) != str(self.world.state):
                raise self._parted(f"the world comes to another state than the record after step {t - self.at}", t)
            seen = self.record[t].observation
            if where is None and seen is not None and str(seen) != self.read[-1]:
                raise self._parted(f"the world shows something else than the record after step {t - self.at}", t)
            if self.failed:
                raise self._parted(self.failed, t)

    def _parted(self, text: str, t: int) -> Parted:
        return Parted(text + self.refused, max(t - self.at, 0), f"{self.world.state}\n{self.read[-1]}")

    def settled(self) -> Any:
        """What is to be done without asking: a step of the record, an action put right; None: the policy's turn."""
        if self.put is None:
            return None
        agent = getattr(self.world, "agent", None)
        if agent is None and self.t < len(self.record):
            agent = speaker(self.record[self.t])
        if self.put(self.t - self.at, None if agent is None else str(agent)):
            action = self.world.expert()
            if action is None:
                raise StepCreditError("this world has no expert, who would put an action right")
            self.changed |= self.t >= len(self.record) or action != self.record[self.t].action
            return str(action)
        return self.record[self.t] if self._on_record() else None

    def act(self, act: Any) -> None:
        """One step: of the record, or an action."""
        if isinstance(act, Failed):
            self.failed = act.reason
        elif isinstance(act, Step):
            try:
                self._do(act)
            except Parted as error:
                self.failed = str(error)
        else:
            self._step(lambda: self.world.step(act), act)
            self.t += 1

    def story(self) -> str:
        """All that was read and done, for a sampler."""
        lines = [self.read[0]]
        for action, read in zip(self.done, self.read[1:], strict=True):
            lines += [f"> {action}", read]
        return "\n".join(lines) + "\n"

    def _on_record(self) -> bool:
        if self.t >= len(self.record):
            return False
        state = self.record[self.t].state
        return not self.changed if state is None else str(state) == str(self.world.state)

    def _do(self, step: Step) -> None:
        self.t += 1
        if step.action is not None:
            self._step(lambda: self.world.step(str(step.action)), str(step.action))
        for call in step.tool_calls if step.action is None else ():
            given = call.arguments if isinstance(call.arguments, dict) else {}
            self._step(partial(self.world.call, call.name, given), call_text(call))
        if step.action is None and not step.tool_calls:
            raise self._parted(f"step {self.t - 1 - self.at} names no action", self.t - 1)

    def _step(self, step: Callable[[], Any], told: str) -> None:
        if self.over:
            return
        self.ledger.step()
        try:
            read, reward, _, _, info = step()
        except StepCreditError:
            raise
        except Exception as error:  # a world of somebody else's breaks: this try cannot be told
            self.failed = f"the world broke: {type(error).__name__}: {error}"
            return
        self.read.append(read)
        self.done.append(told)
        self.total += float(reward)
        valid = (info or {}).get("valid", True)
        self.refused = "" if valid else f"; it does not take {told[:200]!r}: {info.get('reason') or 'no reason given'}"
