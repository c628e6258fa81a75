"""Rollouts of a model in a text world, many side by side: what was said, seen and earned, token by token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from stepcredit.data.records import Rollout, Step
from stepcredit.envs.vector import Vector
from stepcredit.errors import StepCreditError
from stepcredit.protocols import Environment
from stepcredit.train.sampling import Stream
from stepcredit.train.transcript import Transcript


@dataclass
class Turn:
    """One turn: where it was taken, what was done, what came of it. ids: tokens said. before: tokens of the completion
    before it. left: the episode as it was before the turn, where a fork was kept."""

    state: str
    action: str
    ids: list[int]
    before: int
    reward: float = 0.0
    valid: bool = False
    observation: str | None = None
    agent: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    left: Environment | None = None


@dataclass
class Played:
    """One rollout. ids: the completion, with mask (1 = the policy's) and logps (0 where it is the world's).

    outcome: sum of rewards; None: the episode broke, `failure` says why. cut: it was ended for want of tokens or turns,
    not by the world. pivot: first turn that is new; -1: all are. luck: of the world's chances.
    """

    task: int
    luck: int
    first: str
    prompt: list[int]
    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    outcome: float | None = 0.0
    final_state: str | None = None
    failure: str | None = None
    cut: bool = False
    pivot: int = -1

    def add(self, ids: Sequence[int], logps: Sequence[float] | None) -> None:
        """Add tokens: the policy's with their log-probabilities, the world's without."""
        self.ids += ids
        self.mask += [0 if logps is None else 1] * len(ids)
        self.logps += [0.0] * len(ids) if logps is None else logps

    def record(self, n: int) -> Rollout:
        """As every command reads it."""
        return Rollout(
            group=str(self.task),
            rollout=f"{self.task}/{n}",
            task=self.first,
            outcome=self.outcome,
            final_state=self.final_state,
            extra={"failure": self.failure} if self.failure else {},
            steps=[
                Step(
                    state=t.state,
                    agent=t.agent,
                    action=t.action,
                    text=t.action,
                    observation=t.observation,
                    reward=t.reward,
                    extra=dict(t.fields),
                )
                for t in self.turns
            ],
        )


@dataclass
class Again:
    """A rollout to be tried again from one of its turns."""

    of: Played
    pivot: int


class Player:
    """Plays episodes of one world.

    Args:
        make: makes an episode. seconds: as in `stepcredit.envs.vector.Vector`.
        most_turns, most_tokens: of a rollout; tokens of prompt and completion together. turn_tokens: of a turn.
        forks: keep the episode before each turn, so that it can be tried again from there.
        lessons: first text of a task -> what is put before it.
    """

    def __init__(
        self,
        make: Callable[[], Environment],
        transcript: Transcript,
        *,
        most_turns: int,
        most_tokens: int,
        turn_tokens: int,
        seconds: float | None,
        forks: bool = False,
        lessons: Callable[[str], str] = lambda first: "",
    ) -> None:
        self.make, self.transcript, self.seconds = make, transcript, seconds
        self.most_turns, self.most_tokens, self.turn_tokens = most_turns, most_tokens, turn_tokens
        self.forks, self.lessons = forks, lessons
        self._idle: list[Environment] = []

    def close(self) -> None:
        """Close every episode."""
        while self._idle:
            self._idle.pop().close()

    def play(self, model: Any, tasks: Sequence[tuple[int, int]], *, temperature: float, generator: Any) -> list[Played]:
        """A rollout of each (task, luck).

        Args:
            temperature: 0 takes the likeliest token. generator: of the draws.

        Raises:
            StepCreditError: a prompt leaves no room for an action.
        """
        # Episodes of some worlds take seconds to make: they are used again.
        many = Vector(lambda: self._idle.pop() if self._idle else self.make(), len(tasks), seconds=self.seconds)
        read = many.reset([t for t, _ in tasks], luck=[k for _, k in tasks])
        rollouts = []
        for (task, luck), first, failure in zip(tasks, read, many.failures, strict=True):
            text = first or ""
            prompt = self.transcript.prompt(text, self.lessons(text))
            rollouts.append(Played(task, luck, text, prompt, failure=failure))
        self._go_on(model, rollouts, many, temperature, generator)
        self._idle += [e for e, failure in zip(many.episodes, many.failures, strict=True) if failure is None]
        return rollouts

    def again(self, model: Any, retries: Sequence[Again], *, temperature: float, generator: Any) -> list[Played]:
        """The same tokens up to the pivot, with the episode as it was there; from there on anew."""
        rollouts = []
        for one in retries:
            old, turn = one.of, one.of.turns[one.pivot]
            made = Played(old.task, old.luck, old.first, old.prompt, turns=list(old.turns[: one.pivot]))
            made.pivot = one.pivot
            made.outcome = sum(t.reward for t in made.turns)
            made.ids, made.mask = old.ids[: turn.before], old.mask[: turn.before]
            made.logps = old.logps[: turn.before]
            rollouts.append(made)
        lefts = [one.of.turns[one.pivot].left for one in retries]
        if not lefts:
            return []
        at = count()
        many = Vector(lambda: _forked(lefts[next(at)]), len(lefts), seconds=self.seconds)
        try:
            return self._go_on(model, rollouts, many, temperature, generator)
        finally:
            many.close()

    def _go_on(
        self, model: Any, rollouts: list[Played], many: Vector, temperature: float, generator: Any
    ) -> list[Played]:
        was = model.training
        model.eval()
        try:
            stream = Stream(
                model,
                self.transcript.ends,
                self.transcript.tokenizer.pad_token_id,
                temperature=temperature,
                generator=generator,
            )
            live = [i for i, r in enumerate(rollouts) if r.failure is None and not many.episodes[i].ended]
            blocks = [rollouts[i].prompt + rollouts[i].ids for i in live]
            self._room(rollouts)
            while live:
                stream.read(blocks)
                live, blocks = self._turn(rollouts, many, live, stream)
        finally:
            model.train(was)
        for i, one in enumerate(rollouts):
            one.failure = many.failures[i]
            if one.failure is not None:
                one.outcome = None
            else:
                one.final_state = many.episodes[i].state
            if not one.ids:
                # A row of a trainer has a token: the end token, which nobody sampled.
                one.add([self._end()], None)
        return rollouts

    def _turn(
        self, rollouts: list[Played], many: Vector, live: list[int], stream: Stream
    ) -> tuple[list[int], list[list[int]]]:
        """One turn of those that are still playing: who plays on, and what they read next."""
        said = stream.turn(self.turn_tokens)
        actions: list[str | None] = [None] * len(rollouts)
        for i, spoken in zip(live, said, strict=True):
            episode: Any = many.episodes[i]
            actions[i] = self.transcript.read(spoken.ids)
            turn = Turn(episode.state, actions[i] or "", spoken.ids, len(rollouts[i].ids))
            turn.agent = getattr(episode, "agent", None)
            turn.left = episode.fork() if self.forks else None
            rollouts[i].turns.append(turn)
            rollouts[i].add(spoken.ids, spoken.logps)
        out = many.step(actions)
        rows, blocks = [], []
        for row, i in enumerate(live):
            one, turn = rollouts[i], rollouts[i].turns[-1]
            info = out.infos[i] or {}
            turn.reward, turn.valid = float(out.rewards[i]), bool(info.get("valid", False))
            turn.observation, turn.fields = out.observations[i], info.get("fields", {})
            one.outcome = (one.outcome or 0.0) + turn.reward
            one.cut = bool(out.truncated[i])
            if out.ended[i]:
                continue
            reply = self.transcript.reply(turn.observation or "", turn.ids)
            longer = len(one.prompt) + len(one.ids) + len(reply) + self.turn_tokens
            if longer > self.most_tokens or len(one.turns) >= self.most_turns:
                one.cut = True
                continue
            one.add(reply, None)
            rows.append(row)
            blocks.append([turn.ids[-1], *reply])
        if rows and len(rows) < len(live):
            stream.keep(rows)
        return [live[row] for row in rows], blocks

    def _room(self, rollouts: Sequence[Played]) -> None:
        for one in rollouts:
            if len(one.prompt) + self.turn_tokens > self.most_tokens:
                raise StepCreditError(
                    f"task {one.task}: its prompt has {len(one.prompt)} tokens, which leaves no room for an action",
                    hint=f"raise rl.max_tokens ({self.most_tokens}), or an easier world",
                )

    def _end(self) -> int:
        words = self.transcript.tokenizer
        return int(words.pad_token_id if words.eos_token_id is None else words.eos_token_id)


def _forked(left: Environment | None) -> Environment:
    if left is None:
        raise StepCreditError("the episode was not kept before the turn: nothing to try again from")
    return left.fork()


def summary(rollouts: Sequence[Played]) -> dict[str, float]:
    """Numbers for a tracker: success (outcome of 1 or more), outcome, turns, share of valid actions, of rollouts that
    were cut and that broke. Broken rollouts have no outcome."""
    outcomes = np.array([one.outcome for one in rollouts if one.outcome is not None])
    turns = [turn for one in rollouts for turn in one.turns]
    return {
        "success": float(np.mean(outcomes >= 1 - 1e-9)) if outcomes.size else float("nan"),
        "outcome": float(np.mean(outcomes)) if outcomes.size else float("nan"),
        "turns": len(turns) / max(len(rollouts), 1),
        "valid": float(np.mean([turn.valid for turn in turns])) if turns else float("nan"),
        "cut": float(np.mean([one.cut for one in rollouts])),
        "broken": float(np.mean([one.outcome is None for one in rollouts])),
    }
