"""What the search suite plays on: Game of 24 with a tabular model whose every value is known."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from stepcredit.bench.suites._game24_worlds import find, fresh_puzzles, policy_of
from stepcredit.envs import game24
from stepcredit.llm.tabular import Tabular
from stepcredit.search import Task, Writing


def answer(text: str) -> str | None:
    """What stands behind "Answer:" in the last line; None where there is none or the model gave up."""
    last = text.rstrip().rpartition("\n")[2]
    found = last.removeprefix("Answer:").strip() if last.startswith("Answer:") else ""
    return None if found in ("", "no solution") else found


WRITING = Writing(max_tokens=64, longest=256, depth=8, temperature=1.0, ends=r"^Answer:", answer=answer)


@lru_cache(maxsize=4)
def model(data: str | None, seed: int) -> Tabular:
    """The tabular model: fitted to GPT-4's lines where the data is at hand, else the default policy."""
    return Tabular(game24.Policy() if data is None else policy_of(find(data)), seed)


def tasks(count: int, seed: int) -> list[Task]:
    """Solvable puzzles, drawn without replacement."""
    return [Task(f"Make 24 from {p}, each number once.\n", p, p) for p in fresh_puzzles(count, seed)]


def solved(found: Mapping[int, Any], given: Sequence[Task]) -> list[float]:
    """Per task whether the answer makes 24 of its numbers."""
    return [float(bool(found[i].answer) and game24.solves(t.name, found[i].answer)) for i, t in enumerate(given)]
