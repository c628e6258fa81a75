"""prime-rl: contract of its published classes (559b44772, 0.8.1.dev); it is not on PyPI.

By hand at that commit: `install` in prime-rl's own table, `score_group` on its own base class, and the annotated traces
through its own `iter_trainable_branches`, `_loss_weights` and `_prune_zero_advantages`. What a trace is:
test_verifiers.py.
"""

import asyncio
import sys
from types import ModuleType
from types import SimpleNamespace as Object

import pytest

import stepcredit as sc
from stepcredit.integrations.prime_rl import install


@pytest.fixture
def table(monkeypatch):
    """The names that the adapter uses, as prime-rl publishes them."""

    class Algorithm:
        def __init__(self, config, policy_pool):
            self.policy_pool = policy_pool

    base = ModuleType("prime_rl.orchestrator.algo.base")
    base.Algorithm = Algorithm
    base.iter_trainable_traces = lambda episodes: ((e, t) for e in episodes for t in e.traces)
    algo = ModuleType("prime_rl.orchestrator.algo")
    algo.ALGORITHM_CLASSES = {"grpo": Algorithm}
    for name in ("prime_rl", "prime_rl.orchestrator"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, algo.__name__, algo)
    monkeypatch.setitem(sys.modules, base.__name__, base)
    return algo.ALGORITHM_CLASSES


def episode(reward, *sizes):
    nodes = [Object(sampled=True, mask=[False] + [True] * n, logprobs=[-1.0] * n, loss_weights=None) for n in sizes]
    task = Object(key="t", hash=None, data=None)
    rewards = {} if reward is None else {"right": reward}
    return Object(
        traces=[Object(nodes=nodes, info={}, task=task, agent=Object(name="a"), rewards=rewards, reward=reward)]
    )


def test_a_group_is_scored_on_the_nodes_of_its_traces(table):
    made = install("dr_grpo")
    assert table["grpo"] is made
    episodes = [episode(1.0, 2, 1), episode(0.0, 1)]
    algorithm = made(config=None, policy_pool="pool")
    asyncio.run(algorithm.score_group(episodes))
    assert [[n.advantages for n in e.traces[0].nodes] for e in episodes] == [[[0.5, 0.5], [0.5]], [[-0.5]]]
    assert algorithm.stepcredit_stats["judged"] == 1.0
    asyncio.run(algorithm.score_group([]))


def test_methods_that_pool_and_unknown_places_are_refused(table):
    with pytest.raises(sc.StepCreditError, match="prime-rl hands over the traces of one task"):
        install("reinforce_plus_plus")
    with pytest.raises(sc.UnknownName, match="no algorithm of prime-rl named 'grop'"):
        install("dr_grpo", name="grop")


def test_a_length_penalty_is_not_lost_silently(table):
    with pytest.raises(sc.StepCreditError, match="prime-rl's length_penalty"):
        install("dr_grpo")(Object(length_penalty=Object()), None)
