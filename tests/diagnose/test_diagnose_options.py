"""Every option of every method that asks models, set to another value, changes what is asked or what is said."""

import pytest
from judges import case_of, run_of, tag_in
from test_correct import failure, learned
from test_judges import any_judge
from test_replay import MODEL, game24_runs, replay, sabotaged

from stepcredit.diagnose import METHODS
from stepcredit.diagnose.methods.checklist import ITEMS
from stepcredit.diagnose.replay import Tries
from stepcredit.envs import text
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import Ask, Check

HAND_OFF = text.get("hand_off")(shelves=3, gates=2)
JUDGING = {"tell": None, "cut": 150, "limit": 700, "votes": 2, "retries": 3, "seed": 5}
TEXT = {"max_tokens": 9, "temperature": 0.2, "stop": ("=",), "joiner": "\n\n", "whole": False, "compares": False}
OTHER = {
    "all_at_once": {"numbered": False, "form": "lines", **JUDGING},
    "step_by_step": {"form": "lines", "unread": "pass", **JUDGING},
    "binary_search": {"numbered": False, "form": "lines", "unread": "random", **JUDGING},
    "hybrid": {"form": "lines", "unread": "pass", **JUDGING},
    "a2p": {"form": "lines", "turns": "2", "words": 30, **JUDGING},
    "agentprocessbench": {"form": "json", "missing": "neutral", "carry": "here", **JUDGING},
    "rubric": {"items": ("Is right.",), "sound": 0.05, "points": 100.0, "most": 3, **JUDGING},
    "checklist": {"items": ITEMS[:3], "tolerate": 1, **JUDGING},
    "correct": {"cache": None, "k": 1, "apart": "task", "source": True, "form": "lines", **JUDGING},
    "counterfactual_replay": {
        "replayer": None,
        "n": 5,
        "rule": "largest",
        "least": 0.5,
        "level": 0.5,
        "family": False,
        "successes": True,
        "seed": 3,
        **TEXT,
    },
    "decisive_search": {"replayer": None, "fall": 0.9, "batch": 3, "most": 9, "level": 0.5, "seed": 3, **TEXT},
    "cdc_mas": {
        "replayer": None,
        "n": 3,
        "exact": 1,
        "permutations": 3,
        "steps": "all",
        "product": False,
        "flow": "chain",
        **{k: v for k, v in JUDGING.items() if k != "votes"},
    },
}
PAIRS = [(name, option) for name, options in OTHER.items() for option in options]


@pytest.fixture(autouse=True)
def _(sklearn):
    """Logs are compared by scikit-learn."""


@pytest.mark.parametrize("name", OTHER)
def test_no_option_is_left_out(name):
    assert set(OTHER[name]) == set(METHODS.get(name).options)


def mute(prompt):
    """A judge who cannot be read."""
    return "what?"


def sparse(prompt):
    """A judge who labels some steps and finds one step not right at all."""
    if "Label every step" in prompt:
        return '{"labels": {"0": 1, "2": -1, "3": 1}, "corrects": [5]}'
    return "chance: 0.5" if "Suppose that" in prompt else any_judge(prompt)


class Door:
    """Everybody who is asked; keeps what it is asked."""

    def __init__(self, says):
        self.says, self.asked = says, []

    async def each(self, request):
        self.asked.append(request)
        if not isinstance(request, Ask):
            return 0.0 if isinstance(request, Check) and not request.reference else await MODEL.each(request)
        found = self.says(request.prompt)
        lines = "Step Number:" in request.prompt or "add nothing to it" in request.prompt
        if lines or "<verdict" not in request.prompt:
            return found
        return f"<{tag_in(request.prompt)}>\n{found}\n</{tag_in(request.prompt)}>"


class Falling:
    """Tries whose chance falls twice."""

    def tries(self, case, kept, n, *, draw=0):
        yield []
        return [Tries(round([0.9, 0.9, 0.6, 0.6, 0.1][k] * n), n) for k in kept]

    def cost(self, case, kept, n):
        return {"samples": n * len(kept)}


def told(name, case, says, options):
    """What is asked, and what is said."""
    door = Door(says)
    planner = METHODS.get(name)
    models = dict.fromkeys(("judge", "sampler", "verifier"), door)
    ((_, verdict),) = drive([planner.function(case, **planner.check_options(options))], models)
    spent = (verdict.status, verdict.step, verdict.agent, verdict.scores.tolist(), verdict.evidence)
    return repr([[(r, getattr(r, "draw", 0)) for r in door.asked], spent, verdict.confidence, verdict.reason])


def cases(name):
    """(case, options that go with it)."""
    long = run_of(9, agents=("A", "B", "C"), texts={i: f"{i} Fact-{i % 4} " * 40 for i in range(9)})
    if name == "correct":
        cache, _, _ = learned()
        return [(case_of(failure("sums", "new")), {"cache": cache}), (case_of(long), {"cache": cache})]
    if name == "cdc_mas":
        return [(case_of(long), {}), (case_of(sabotaged(1, HAND_OFF, seed=1)), {"replayer": replay(0.3, HAND_OFF)})]
    if name in ("counterfactual_replay", "decisive_search"):
        game = next(c for c, exact in game24_runs(12) if c.rollout.outcome == 0 and exact[0] > 0.2)
        untold = run_of(4, truth=None)
        won = case_of(sabotaged(99))
        return [
            *((game, {}), (case_of(untold), {}), (won, {"replayer": replay()})),
            *((case_of(run_of(5)), {"replayer": Falling(), "n": n}) for n in (20, 100) if name[0] == "c"),
            *((case_of(run_of(5)), {"replayer": Falling(), "most": 200}) for _ in range(name[0] == "d")),
        ]
    return [(case_of(long), {})]


@pytest.mark.parametrize(("name", "option"), PAIRS)
def test_another_value_changes_something(name, option):
    changed = []
    for case, given in cases(name):
        for says in (any_judge, mute, sparse):
            if option == "replayer":
                value = None if "replayer" in given else Falling()
                if name == "cdc_mas" and value is not None:
                    continue
            elif option == "cache":
                value = learned(names=("0",))[0]
            else:
                value = OTHER[name][option]
            if option == "tell":
                value = not METHODS.get(name).options["tell"]
            other = told(name, case, says, {**given, option: value})
            changed.append(told(name, case, says, given) != other)
    assert any(changed)
