"""How many samples does a vote need? Adaptive self-consistency and Blend-ASC against a fixed number of samples.

On answer distributions of known mode and margin (p1 - p2: how far the likeliest answer is ahead), and on the answers
of a small transformer to sums of reasoning-gym: trained here, asked 64 times or more, then drawn from what it said.

Plain self-consistency is a curve: its accuracy with the first n of 1, 2, 3, ... samples. A policy of accuracy a that
drew s samples a task saves the factor  n(a) / s,  n(a): samples a task at which the curve reaches a.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import Continue, Request
from stepcredit.plugins import extra
from stepcredit.protocols import Sample
from stepcredit.search import Search, Task, Writing, solve
from stepcredit.search.policies.adaptive import blend

N = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
REPEATS = 32
WRITING = Writing(ends="^#", answer=lambda text: text.removeprefix("#") or None)
MARGINS = "five answers, margins ~ Beta(1/2, 1)"
MODEL = "reasoning-gym chain_sum, a small transformer"
_NEED = "answers of a small transformer"


@dataclass(frozen=True)
class Way:
    """A way to spend samples. budget: samples a task that all tasks share (Blend-ASC); None: each task for itself."""

    name: str
    policy: str
    options: Mapping[str, Any]
    budget: int | None = None


_FIVE: Mapping[str, Any] = {"most": 200, "batch": 5}
WAYS = (
    Way("ASC .95, at most 40", "adaptive", {}),
    Way("ASC .90, at most 200, by fives", "adaptive", {"settled": 0.9, **_FIVE}),
    Way("ASC .95, at most 200, by fives", "adaptive", _FIVE),
    Way("ESC, at most 40", "esc", {}),
    Way("PPR-1v1, at most 200, by fives", "ppr_1v1", _FIVE),
    *(Way(f"Blend-ASC {b}", "blend", {}, b) for b in (4, 8, 16, 32)),
    *(Way(f"Blend-ASC {b}, at most {8 * b} a task", "blend", {"most": 8 * b}, b) for b in (4, 8, 16, 32)),
    *(Way(f"Blend-ASC {b}, threshold .95", "blend", {"rule": "threshold"}, b) for b in (4, 8, 16, 32)),
)
"""Ways are compared at the samples that they took, so that one which stops early is not charged for its budget."""


def _two(margin: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda rng, n: np.tile([(1 + margin) / 2, (1 - margin) / 2], (n, 1))


def _margins(rng: np.random.Generator, n: int) -> Floats:
    """Five answers; margins of density ~ m^(-1/2) near 0, what is left spread evenly."""
    second = (1 - rng.beta(0.5, 1, n)) / 5
    return np.column_stack([1 - 4 * second, *[second] * 4])


def _misled(rng: np.random.Generator, n: int) -> Floats:
    """As `_margins`, and in one task of five the right answer (the first) is not the likeliest."""
    p = _margins(rng, n)
    p[::5, [0, 1]] = p[::5, [1, 0]]
    return p


FAMILIES: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "two answers, margin .4": _two(0.4),
    "two answers, margin .2": _two(0.2),
    "two answers, margin .1": _two(0.1),
    MARGINS: _margins,
    "the same, one task of five misled": _misled,
}


@dataclass(frozen=True)
class Answers:
    """What may be answered to each task, with which chance, and which answer is right (its place; -1: none of them)."""

    chances: Sequence[Floats]
    right: Sequence[int]
    seed: int = 0

    async def each(self, request: Request) -> list[Sample]:
        """Whole solutions: an answer each; a draw has one answer for ever."""
        assert isinstance(request, Continue)
        edges = np.cumsum(self.chances[int(request.prompt)])
        key = f"{self.seed}|{request.prompt}|{request.draw}".encode()
        words = (int.from_bytes(blake2b(key, digest_size=7, salt=i.to_bytes(8, "little")).digest(), "little")
                 for i in range(request.n))  # fmt: skip
        places = np.searchsorted(edges, [w / 2**56 * edges[-1] for w in words], side="right").tolist()
        return [Sample(f"#{place}", ended=True, written=1) for place in places]

    def marks(self, found: Mapping[int, str | None]) -> list[float]:
        """Per task whether what was answered is right."""
        return [float(found[i] == str(right)) for i, right in enumerate(self.right)]


def known(family: str, tasks: int, seed: int) -> Answers:
    """A family of tasks of known chances; the first answer is the right one."""
    p = FAMILIES[family](np.random.default_rng([seed, *family.encode()]), tasks)
    return Answers(list(p), [0] * tasks, seed)


def curve(answers: Answers, seed: int) -> list[list[float]]:
    """[N][tasks] how often the vote over the first n samples is right; of equals the first seen."""
    rng = np.random.default_rng([seed, 7])
    out = np.zeros((len(N), len(answers.right)))
    for task, (p, right) in enumerate(zip(answers.chances, answers.right, strict=True)):
        drawn = rng.choice(p.size, (REPEATS, N[-1]), p=p / p.sum())
        out[:, task] = (_votes(drawn, p.size) == right).mean(1)
    return [row.tolist() for row in out]


def _votes(drawn: Ints, kinds: int) -> Ints:
    """[N, repeats] the leading answer after so many of [repeats, samples]."""
    samples = drawn.shape[1]
    first = np.stack([np.where((drawn == k).any(1), (drawn == k).argmax(1), samples) for k in range(kinds)])
    counts = np.stack([np.cumsum(drawn == k, axis=1)[:, np.array(N) - 1] for k in range(kinds)])
    level = counts - first[:, :, None] / (samples + 1)
    return np.asarray(level.argmax(0).T)


def spend(answers: Answers, way: Way, repeats: int, seed: int) -> dict[str, list[float]]:
    """Per task how often a way is right, and the samples that it took, mean of the repeats."""
    tasks = [Task(str(i), str(i)) for i in range(len(answers.right))]
    right, samples = np.zeros((2, len(tasks)))
    for r in range(repeats):
        models = {"sampler": answers}
        if way.budget is None:
            found = dict(solve(tasks, way.policy, models, writing=WRITING, seed=seed + r, **way.options))
        else:
            searches = [Search(t, WRITING, seed=seed + r) for t in tasks]
            step = max(len(tasks) // 25, 1)
            plan = blend(searches, budget=way.budget, draws=step, **way.options)
            found = dict(enumerate(dict(drive([plan], models))[0]))
        right += answers.marks({i: f.answer for i, f in found.items()})
        samples += [found[i].ledger.calls for i in range(len(tasks))]
    return {"right": (right / repeats).tolist(), "samples": (samples / repeats).tolist()}


def known_cell(family: str, name: str, tasks: int, repeats: int, seed: int) -> Any:
    """The curve of a family (no name), or what one way makes of it."""
    answers = known(family, tasks, seed)
    return spend(answers, next(w for w in WAYS if w.name == name), repeats, seed) if name else curve(answers, seed)


def model_cell(tasks: int, steps: int, samples: int, repeats: int, seed: int) -> dict[str, Any]:
    """Curve and ways on the answers of a transformer that is trained here, and how good it is."""
    answers, told = _answers(tasks, steps, samples, seed)
    found: dict[str, Any] = {"": curve(answers, seed)}
    return {"found": found | {w.name: spend(answers, w, repeats, seed) for w in WAYS}, "model": told}


def can_train() -> str:
    """Why there is no small model to train; "" = there is."""
    lacking = [name for name in ("torch", "transformers", "reasoning_gym") if find_spec(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def _answers(tasks: int, steps: int, samples: int, seed: int) -> tuple[Answers, dict[str, float]]:
    """What a transformer, trained for so many steps on sums of two or three numbers, says to others: the share of each
    answer among its samples."""
    from stepcredit.llm import local, tiny

    extra("torch", _NEED, name="llm").set_num_threads(1)
    shown, asked = _sums(steps * 32, seed + 5), _sums(tasks, seed + 99)
    model, words = tiny.build(seed, steps=steps, pairs=shown, batch_size=32, lr=0.004)
    engine = local.Local(model, words, batch_size=512)
    said = engine.sampler([question for question, _ in asked], n=samples, max_tokens=8)
    chances, right = [], []
    for row, (_, answer) in zip(said, asked, strict=True):
        count = Counter(s.text for s in row)
        chances.append(np.array(list(count.values()), float) / len(row))
        right.append(list(count).index(answer) if answer in count else -1)
    alone = [p[r] if r >= 0 else 0.0 for p, r in zip(chances, right, strict=True)]
    top = [float(int(p.argmax()) == r) for p, r in zip(chances, right, strict=True)]
    told = {"tasks": tasks, "samples": samples, "steps": steps}
    return Answers(chances, right, seed), told | {"one": float(np.mean(alone)), "mode": float(np.mean(top))}


def _sums(count: int, seed: int) -> list[tuple[str, str]]:
    """(sum, answer) of chain_sum of reasoning-gym."""
    gym = extra("reasoning_gym", _NEED, name="envs")
    entries = gym.create_dataset(
        "chain_sum", size=count, seed=seed, min_terms=2, max_terms=3, min_digits=1, max_digits=2
    )
    return [(e["question"].rpartition(": ")[2].removesuffix(" =") + "\n", e["answer"]) for e in entries]
