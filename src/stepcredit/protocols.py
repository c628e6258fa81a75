"""What a model, judge, verifier or encoder must be able to do. Plain functions satisfy them; nothing here runs.

Models and judges take a whole list and answer in its order, so that whoever holds the model can batch, cache and
retry. A reply that failed is None (or NaN), never a guess. An environment is one episode, walked step by step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from stepcredit.data.layout import Floats


@dataclass(frozen=True)
class Sample:
    """One continuation of a prompt.

    text: what was written, without the stop string. tokens: text of each token. logp: [n] its log-probability under
    the model, whatever the temperature. top_logp: [n][k] the largest log-probabilities at each token. finished: it
    ended by itself or at a stop string, not at the limit. top_tokens: [n][k] the texts that top_logp belong to.
    entropy: [n] of the whole next-token distribution at each token (nats); None = not known. ended: the model ended its
    text by itself, not at a stop string or the limit; None = the server does not say. read, written: tokens of the
    prompt and of the continuation, as whoever sampled counts them; None = not known.
    """

    text: str
    tokens: tuple[str, ...] = ()
    logp: Floats | None = None
    top_logp: tuple[Floats, ...] = ()
    finished: bool = True
    top_tokens: tuple[tuple[str, ...], ...] = ()
    entropy: Floats | None = None
    ended: bool | None = None
    read: int | None = None
    written: int | None = None


class Sampler(Protocol):
    """Continues prompts."""

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
    ) -> list[list[Sample]]:
        """n continuations of each prompt."""
        ...


class Forcer(Protocol):
    """Teacher forcing: how likely is a given continuation?"""

    def __call__(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """Per pair, the log-probability of each token of the continuation after the prefix."""
        ...


class HiddenStates(Protocol):
    """Reads the hidden states of a model."""

    def __call__(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """Per pair, [tokens of the continuation, width] of one layer."""
        ...


class Entropies(Protocol):
    """How undecided is a model along a given text?"""

    def __call__(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """Per pair, the entropy (nats) of the next-token distribution that each token of the continuation met."""
        ...


class Judge(Protocol):
    """A language model asked one question at a time."""

    def __call__(self, prompts: Sequence[str]) -> list[str | None]:
        """The reply to each prompt; None where there was none."""
        ...


class Verifier(Protocol):
    """Is an answer right? A program, or a judge behind one."""

    def __call__(self, answers: Sequence[str], references: Sequence[str]) -> Floats:
        """Per pair 1 (right) to 0 (wrong); NaN = cannot tell."""
        ...


class Equivalence(Protocol):
    """Do two texts say the same?"""

    def __call__(self, left: Sequence[str], right: Sequence[str]) -> Sequence[bool]:
        """Per pair, whether each entails the other."""
        ...


class Scorer(Protocol):
    """Scores steps: a process reward model, a value."""

    def __call__(self, prefixes: Sequence[str], steps: Sequence[str]) -> Floats:
        """One number per (everything before the step, the step); NaN = failed."""
        ...


class Embedder(Protocol):
    """Texts as points."""

    def __call__(self, texts: Sequence[str]) -> Floats:
        """[n, width], rows of length 1."""
        ...


class Environment(Protocol):
    """One episode of a world to act in, by text; the gymnasium way, and by the tool calls of a chat model.

    `info` holds "state" (as the property), "valid" (whether the action could be taken) and "reason" (why not, or None).
    """

    @property
    def state(self) -> str:
        """Id of the state: equal exactly where steps of one task are comparable."""
        ...

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        ...

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools as a chat completion takes them."""
        ...

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin the task of this number: what the agent reads first, info."""
        ...

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Act by text: observation, reward, terminated, truncated, info. What cannot be done changes nothing."""
        ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Act by a tool call; as `step`."""
        ...

    def actions(self) -> list[str]:
        """All that can be done now, as text; empty where there is no list."""
        ...

    def expert(self) -> str | None:
        """A good action now, as text; None where nobody knows."""
        ...

    def fork(self) -> Self:
        """A copy that goes its own way from here."""
        ...

    def close(self) -> None:
        """Let go of processes and files."""
        ...
