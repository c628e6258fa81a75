"""A world as tables: what can be done in each state, what follows, what the policy does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError

TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class World:
    """One task as a finite Markov decision process, with the policy that acts in it.

    In state s the policy takes action a with chance pi(a|s); branch b then leads to next_state[s, a, b] with
    chance[s, a, b] and gives reward[s, a, b]. A rollout ends in a state without actions, or after `horizon` steps.
    Its outcome is the sum of its rewards, undiscounted.

    Args:
        name: of the task; the draws of `sample` hang on it.
        chance: [N, A, B] sums to 1 over the branches of an action that can be taken, and is 0 for one that cannot.
            A state without any action is an end.
        next_state: [N, A, B] in 0..N-1; read only where chance is above 0.
        reward: [N, A, B] finite.
        policy: [N, A] pi(a|s); 0 in ends and for actions that cannot be taken.
        horizon: most steps of a rollout.
        start: the first state.
        labels: [N] what is observed of each state: states of one label are not told apart. Default: the number.
        actions: [A] names. Default: the number.
        agents: [N] who acts in each state; None where nobody is named.

    Raises:
        LayoutError: shapes that do not fit. StepCreditError: tables that are no world, with the first wrong entry.
    """

    name: str
    chance: Floats
    next_state: Ints
    reward: Floats
    policy: Floats
    horizon: int
    start: int = 0
    labels: Sequence[str] = ()
    actions: Sequence[str] = ()
    agents: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("chance", "reward", "policy"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        object.__setattr__(self, "next_state", np.asarray(self.next_state))
        self._check_shapes()
        states, actions = self.policy.shape
        if not len(self.labels):
            object.__setattr__(self, "labels", tuple(map(str, range(states))))
        if not len(self.actions):
            object.__setattr__(self, "actions", tuple(map(str, range(actions))))
        self._check_names()
        self._check_tables()
        if self.horizon < 1:
            raise StepCreditError(f"{self.name}: got horizon={self.horizon}, expected 1 or more steps")
        if not 0 <= self.start < states or self.ends[self.start]:
            raise StepCreditError(
                f"{self.name}: got start={self.start}, expected a state in 0..{states - 1} that has an action"
            )

    @property
    def can(self) -> Bools:
        """[N, A] whether the action can be taken in the state."""
        return np.asarray(self.chance.sum(-1) > 0)

    @property
    def ends(self) -> Bools:
        """[N] states without actions."""
        return np.asarray(self.can.sum(-1) == 0)

    @property
    def dense(self) -> bool:
        """Whether a step other than a rollout's last can bring a reward."""
        inner = (self.chance > 0) & ~self.ends[np.where(self.chance > 0, self.next_state, 0)]
        return bool(np.any(self.reward[inner] != 0))

    def _check_shapes(self) -> None:
        shape = self.chance.shape
        if len(shape) != 3 or not self.chance.size:
            raise LayoutError(f"{self.name}: chance must be [states, actions, branches]; got shape {shape}")
        for name, want in (("next_state", shape), ("reward", shape), ("policy", shape[:2])):
            if (got := getattr(self, name).shape) != want:
                raise LayoutError(f"{self.name}: {name} must have shape {want} to fit chance {shape}; got {got}")
        if self.next_state.dtype.kind not in "iu":
            raise LayoutError(f"{self.name}: next_state must hold integers; got {self.next_state.dtype}")

    def _check_names(self) -> None:
        states, actions = self.policy.shape
        agents = self.agents if self.agents is not None else self.labels
        for name, given, want in (
            ("labels", self.labels, states),
            ("actions", self.actions, actions),
            ("agents", agents, states),
        ):
            if len(given) != want:
                raise LayoutError(f"{self.name}: {name} must hold {want} names; got {len(given)}")
        if len(set(self.actions)) < actions:
            raise LayoutError(f"{self.name}: two actions have one name: {list(self.actions)}")

    def _check_tables(self) -> None:
        total, here = self.chance.sum(-1), self.chance > 0
        # `not (x >= 0)` and not `x < 0`: NaN is refused too.
        self._refuse("chance", np.any(~(self.chance >= 0), axis=-1), self.chance, "0 or more")
        self._refuse(
            "chance",
            np.any(here, axis=-1) & ~(np.abs(total - 1) <= TOLERANCE),
            total,
            "a sum of 1, or no chance at all",
        )
        inside = (self.next_state >= 0) & (self.next_state < len(self.labels))
        self._refuse(
            "next_state", np.any(here & ~inside, axis=-1), self.next_state, f"states in 0..{len(self.labels) - 1}"
        )
        self._refuse("reward", np.any(~np.isfinite(self.reward), axis=-1), self.reward, "finite numbers")
        self._refuse("policy", ~(self.policy >= 0), self.policy, "0 or more")
        self._refuse("policy", ~self.can & (self.policy != 0), self.policy, "0, as the action cannot be taken here")
        taken = self.policy.sum(-1)
        wrong = ~self.ends & ~(np.abs(taken - 1) <= TOLERANCE)
        if wrong.any():
            s = int(np.argmax(wrong))
            raise StepCreditError(
                f"{self.name}: policy in state {self.labels[s]!r} sums to {taken[s]:g}, expected 1",
                hint="even(chance) is the uniform policy",
            )

    def _refuse(self, table: str, wrong: Bools, values: NDArray[np.float64] | Ints, expected: str) -> None:
        if wrong.any():
            s, a = (int(i) for i in np.argwhere(wrong)[0])
            raise StepCreditError(
                f"{self.name}: {table} of action {self.actions[a]!r} in state {self.labels[s]!r}: "
                f"got {values[s, a]}, expected {expected}"
            )


def even(chance: Floats) -> Floats:
    """[N, A] the uniform policy over the actions that can be taken; 0 in ends."""
    can = np.asarray(chance).sum(-1) > 0
    policy: Floats = can / np.maximum(can.sum(-1, keepdims=True), 1)
    return policy
