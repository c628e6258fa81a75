"""Questions of reasoning-gym: one step, the answer, judged by the package's own program."""

import copy
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepcredit.envs.text._outside import Game, Outside, quiet
from stepcredit.envs.text_world import Action, Refused, Tool
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.plugins import extra

ANSWER = Tool("answer", "answer {text}", "Answer the question.", {"text": "the answer alone"})
# What turns text into code, where it is not the package's own answer.
_RUNS = re.compile(r"\b(eval|exec|sympify|parse_expr)\((?!entry\b)")


@dataclass(eq=False)
class _Question(Game):
    """inner: the data set of one entry."""

    entry: Mapping[str, Any] | None = None
    tries: int = 0


class ReasoningGymTasks(Outside):
    """See `reasoning_gym_tasks`."""

    name, tools = "reasoning_gym_tasks", (ANSWER,)

    def __init__(self, package: Any, dataset: str, horizon: int, config: Mapping[str, Any]) -> None:
        self.dataset, self.horizon, self.config, self._package = dataset, horizon, config, package

    def begin(self, seed: int, luck: int, before: Any) -> _Question:
        with quiet():
            questions = self._package.create_dataset(self.dataset, size=1, seed=seed, **self.config)
            return _Question(questions, seed, luck, entry=questions[0])

    def copy(self, game: _Question) -> _Question:
        twin = copy.copy(game)
        twin.past = list(game.past)
        return twin

    def instruction(self, state: _Question) -> str:
        return str(_entry(state)["question"])

    def observe(self, state: _Question) -> str:
        return state.text or "Answer with: answer ..."

    def key(self, state: _Question) -> str:
        return f"{'answered' if state.ended else 'asked'} after {state.tries} answers"

    def take(self, game: _Question, action: Action) -> tuple[float, str]:
        score = self._score(game, action.arguments["text"])
        game.tries += 1
        game.ended = score == 1 or game.tries == self.horizon
        game.text = f"That scores {score:g}."
        return (score if game.ended else 0.0), ""

    def expert(self, state: _Question) -> str | None:
        answer = _entry(state)["answer"]
        if not isinstance(answer, str) or not answer.strip() or self._score(state, answer) != 1:
            return None
        return ANSWER.write({"text": answer})

    def _score(self, game: _Question, answer: str) -> float:
        try:
            return float(game.inner.score_answer(answer, entry=_entry(game)))
        except Exception as error:
            # A program that judges its own answer is sound: it could not read this one.
            game.inner.score_answer(_entry(game)["answer"], entry=_entry(game))
            raise Refused(f"the answer cannot be read ({type(error).__name__}: {str(error)[:200]})") from error


def _entry(state: _Question) -> Mapping[str, Any]:
    assert state.entry is not None
    return state.entry


def reasoning_gym_tasks(
    *,
    dataset: str = "chain_sum",
    horizon: int = 1,
    config: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> ReasoningGymTasks:
    """A question of reasoning-gym, answered in free text: the score of the last answer, by the package's own program.

    States do not repeat. The expert gives the package's answer, where that scores 1 (nearly everywhere). The programs
    of some generators (countdown, simple_integration, spiral_matrix ...) run an answer as Python code, so that whoever
    answers can do what they like on your machine.

    Args:
        dataset: one of the package's generators; the task's number is its seed.
        horizon: how many answers may be given; a right one ends the episode.
        config: options of the generator, such as {"max_terms": 3}.
        trusted: whether answers may be run as code; without it, generators that do so are refused.
    """
    if horizon < 1:
        raise StepCreditError(f"reasoning_gym_tasks: got {horizon=}, expected 1 or more")
    package = extra("reasoning_gym", "text world reasoning_gym_tasks", name="envs")
    known = extra("reasoning_gym.factory", "text world reasoning_gym_tasks", name="envs").DATASETS
    if dataset not in known:
        raise UnknownName("data set of reasoning-gym", dataset, known)
    if not trusted and _RUNS.search(inspect.getsource(known[dataset][0].score_answer)):
        raise StepCreditError(
            f"reasoning_gym_tasks: {dataset} judges an answer by running it as Python code",
            hint="trusted=True, where nothing can be lost",
        )
    return ReasoningGymTasks(package, dataset, horizon, dict(config or {}))
