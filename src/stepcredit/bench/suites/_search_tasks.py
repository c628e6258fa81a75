"""What the search suite plays on: Game of 24 with tabular models whose every value is known."""

from collections.abc import Mapping, Sequence

from stepcredit.bench.suites._game24_worlds import fresh_puzzles
from stepcredit.envs import game24
from stepcredit.search import Found, Task, Writing


def answer(text: str) -> str | None:
    """What stands behind "Answer:" in the last line; None where there is none or the model gave up."""
    last = text.rstrip().rpartition("\n")[2]
    found = last.removeprefix("Answer:").strip() if last.startswith("Answer:") else ""
    return None if found in ("", "no solution") else found


WRITING = Writing(max_tokens=32, longest=256, depth=8, temperature=1.0, ends=r"^Answer:", answer=answer)


def tasks(count: int, seed: int) -> list[Task]:
    """Solvable puzzles, drawn without replacement."""
    return [Task(f"Make 24 from {p}, each number once.\n", p, p) for p in fresh_puzzles(count, seed)]


def right(task: Task, said: str | None) -> float:
    """1 if the answer makes 24 of the task's numbers, else 0."""
    return float(said is not None and game24.solves(task.name, said))


def solved(found: Mapping[int, Found], given: Sequence[Task]) -> list[float]:
    """Per task whether its answer is right."""
    return [right(t, found[i].answer) for i, t in enumerate(given)]
