"""What every search policy keeps to, whatever its models do."""

import json

import numpy as np
import pytest
from worlds import WRITING, Always, Failing, chain, forgetful, models, options, sums

from stepcredit.errors import StepCreditError
from stepcredit.search import POLICIES, solve

# A published system that is a preset of another policy is tested as that preset.
NAMES = [n for n in POLICIES.names(presets=True) if "@" in n or POLICIES.get(n).preset is None]
(ONE,) = sums(1, seed=4)
LIMITS = [
    {"calls": 1},
    {"calls": 7},
    {"tokens": 5},
    {"tokens": 60},
    {"decode": 70},
    {"score": 1},
    {"score": 3, "judge": 3},
    {"judge": 1, "calls": 12},
]
# Nothing is chosen by an opinion of what is right.
ONE_TRY = (
    "arbitrage",
    "booststep",
    "chain_of_mindset",
    "critique_refine@exit",
    "critique_refine@se",
    "glimprouter",
    "swe_search@moatless",
    "trad",
)
CARELESS = {
    "opinions fail": {"others": Failing(1.0)},
    "scores are NaN now and then": {"scorer": forgetful},
    "opinions fail now and then": {"others": Failing(0.4)},
    "the sampler fails": {"sampler": Failing(1.0, sampler=True)},
    "the sampler fails now and then": {"sampler": Failing(0.4, sampler=True)},
    "empty texts": {"sampler": Always("")},
    "no separator": {"sampler": Always("on and on and on")},
    "no separator, no end": {"sampler": Always(" on", ended=False)},
    "no end": {"sampler": Always("one more line\n", ended=False)},
}


def search(name, task=ONE, **given):
    """What one search finds."""
    asked = given.pop("models", None) or models()
    return dict(solve([task], name, asked, writing=WRITING, **options(name), **given))[0]


def check(found, limits=None):
    """A trace that is a tree and plain data; no more spent than may be."""
    trace = found.trace()
    assert json.loads(json.dumps(trace, allow_nan=False)) == trace
    for place, row in enumerate(trace["nodes"]):
        assert row["node"] == place and (place == 0) == (row["parent"] is None)
        assert place == 0 or row["parent"] < place
    if found.node is not None:
        assert found.node is found.tree.nodes[found.node.place] and found.stopped in ("done", "budget")
    for kind, most in (limits or {}).items():
        assert getattr(found.ledger, kind) <= most, f"{kind}: {getattr(found.ledger, kind)} of {most}"
    return trace


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_an_answer_and_its_trace_is_a_tree(name):
    found = search(name)
    trace = check(found)
    assert found.answer and found.stopped == "done" and trace["spent"]["calls"] >= 1
    assert found.node.ended and found.node.kept


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_it_whoever_runs_beside_it(name):
    first, again = search(name, seed=5), search(name, seed=5)
    beside = dict(solve([*sums(3), ONE], name, models(), writing=WRITING, seed=5, **options(name)))[3]
    assert first.trace() == again.trace() == beside.trace()


@pytest.mark.parametrize("name", NAMES)
def test_it_acts_in_a_live_environment_or_says_why_not(name):
    task = chain()
    before = task.world.state
    for limits in (None, {"tool": 4}):
        try:
            found = search(name, task, limits=limits)
        except StepCreditError as error:
            assert "live environment" in error.message
            return
        check(found, limits)
        assert task.world.state == before
        acted = [n for n in found.tree.nodes if n.observation is not None]
        assert found.ledger.tool >= len(acted) >= 1
        if limits is None:
            assert found.node is not None and found.node.ended


@pytest.mark.parametrize("name", NAMES)
def test_no_limit_is_exceeded(name):
    for limits in LIMITS:
        check(search(name, limits=limits), limits)


@pytest.mark.parametrize("case", CARELESS)
@pytest.mark.parametrize("name", NAMES)
def test_it_ends_whatever_its_models_do(name, case):
    found = search(name, models=models(**CARELESS[case]))
    check(found)
    if case == "the sampler fails":
        assert not found.answer and found.ledger.calls == 0 and found.notes
    failed = [n for n in found.tree.nodes if n.status == "failed"]
    assert all(n.score != n.score and n.reason for n in failed)


@pytest.fixture(scope="module")
def tasks():
    return sums(40, seed=7)


@pytest.fixture(scope="module")
def alone(tasks):
    """How often one solution is right."""
    found = dict(solve(tasks, "majority", models(), writing=WRITING, n=20))
    return np.mean([n.text == f"Answer: {t.reference}" for i, t in enumerate(tasks) for n in found[i].tree.leaves()])


def test_the_toy_is_right_as_often_as_it_should(alone):
    assert abs(alone - 0.7**2) < 0.06


@pytest.mark.parametrize("name", NAMES)
def test_with_right_opinions_it_beats_a_sample(tasks, alone, name):
    """What tries once is as good as a sample and no better; 40 tasks tell that to within 0.15."""
    found = dict(solve(tasks, name, models(), writing=WRITING, seed=2, **options(name)))
    right = np.mean([found[i].answer == task.reference for i, task in enumerate(tasks)])
    assert right >= (alone - 0.15 if name.startswith(ONE_TRY) else alone + 0.2)
