"""Policies on a model with exact truth: asked by opinions that are right, each must beat a sample by far."""

import re

import numpy as np
import pytest

from stepcredit.envs.game24 import Policy
from stepcredit.llm.tabular import Tabular
from stepcredit.search import Task, Writing, solve
from stepcredit.search.bank import Solved, StepBank

MANNER = Writing(max_tokens=64, longest=200, depth=8, ends="^Answer:")
PUZZLES = 40
BANK = StepBank([Solved("Make 24 from 1 2 3 4, each number once.", ("3 * 4 = 12 (left: 1 2 12)", "2 * 12 = 24"))])


@pytest.fixture(scope="module")
def weak():
    return Tabular(Policy(skill=2.0), seed=1)


@pytest.fixture(scope="module")
def tasks(weak):
    rng, found = np.random.default_rng(0), {}
    while len(found) < PUZZLES:
        puzzle = " ".join(str(x) for x in sorted(rng.integers(1, 14, 4)))
        prompt = f"Make 24 from {puzzle}, each number once.\n"
        if 0.05 < weak.value(prompt) < 0.6:
            found[puzzle] = Task(prompt, name=puzzle)
    return list(found.values())


@pytest.fixture(scope="module")
def models(weak):
    strong = Tabular(Policy(skill=5.0), seed=2)

    def judge(prompts):
        return [verdicts(weak, p) for p in prompts]

    def router(prefixes, steps):
        return np.array(
            [strong.value(p) > strong.value(f"{p}{s}\n") for p, s in zip(prefixes, steps, strict=True)], float
        )

    return {
        "sampler": weak,
        "scorer": weak.scorer(),
        "judge": judge,
        "retriever": lambda queries: ["" for _ in queries],
        "strong": strong,
        "router": router,
    }


def verdicts(model, prompt):
    """All that policies ask a judge about a solution, from the truth."""
    mark = re.search(r"\[\[(\d+) task\]\]\n", prompt)
    end = prompt.rindex(f"\n[[{mark[1]} end]]")
    task, *steps = re.split(rf"\n\n\[\[{mark[1]} [^\n]*\]\]\n", prompt[mark.end() : end])
    prefix, right, value = task.strip() + "\n", [], [model.value(task.strip() + "\n")]
    for step in steps:
        right.append(model.step_is_right(prefix, step))
        prefix += step + "\n"
        value.append(model.value(prefix))
    lines = [f"Step {k}: {'+1' if r else '-1'}" for k, r in enumerate(right, start=1)]
    gain = float(np.clip(10 * (value[-1] - value[-2]), -5, 5)) if right[-1] else -5.0
    return "\n".join(
        [
            *lines,
            f"FINAL ANSWER CHECK: {'+1' if right[-1] else '-1'}",
            f"Correctness of the final answer: {'Correct' if right[-1] else 'Wrong'}",
            f"Reward: {200 * value[-1] - 100:.0f}",
            f"Gain: {gain:.1f}",
        ]
    )


def solved(model, tasks, policy, models, **options):
    found = dict(solve(tasks, policy, models, writing=MANNER, seed=3, **options))
    return np.mean([model.solved(found[i].text or "", t.prompt) for i, t in enumerate(tasks)])


@pytest.fixture(scope="module")
def alone(weak, tasks, models):
    return solved(weak, tasks, "best_of_n", models, n=1)


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("step_q@scorer", {"n": 5}),
        ("pra", {"beams": 2, "expand": 4}),
        ("r2_llms@by-problem", {"bank": BANK, "iterations": 8, "expand": 3}),
        ("prism", {"n": 4, "rounds": 2}),
        ("refcritic", {"n": 4}),
        ("swe_search", {"iterations": 20}),
        ("bavt", {"plan": False, "limits": {"calls": 20}}),
    ],
)
def test_it_beats_a_sample(weak, tasks, models, alone, policy, options):
    assert solved(weak, tasks, policy, models, **options) > alone + 0.2


def test_a_large_model_helps_where_it_would_gain(weak, tasks, models):
    """Escalating where the large model's chance is higher is nearly as good as that model, for few of its tokens."""
    pair = {"draft": models["sampler"], "sampler": models["strong"], "router": models["router"]}
    routed = dict(solve(tasks, "arbitrage", pair, writing=MANNER, seed=3, annotate=False))
    right = np.mean([weak.solved(routed[i].text or "", t.prompt) for i, t in enumerate(tasks)])
    large = solved(weak, tasks, "arbitrage", pair, annotate=False, threshold=-1.0)
    assert right > large - 0.1
    assert sum(f.ledger.decode for f in routed.values()) < sum(f.ledger.draft for f in routed.values()) / 2
