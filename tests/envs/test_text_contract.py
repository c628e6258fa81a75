"""What every text world of our own keeps to."""

import json
import re

import numpy as np
import pytest
from text_worlds import OURS, SMALL, TABLED, TASKS, begun, make

import stepcredit as sc
from stepcredit.envs import tabular
from stepcredit.envs.play import expert, play
from stepcredit.envs.text_world import walk

HOSTILE = [
    "",
    " \n\t ",
    "\x00",
    "go\x00",
    "🐦" * 500,
    "\ud800",
    "‮drawer",
    "; rm -rf / #",
    "$(reboot) `reboot` | cat /etc/passwd",
    "../../etc/passwd",
    "{0.__class__} %s {}",
    "<tool_call>{}</tool_call>",
    "x" * 1_000_000,
]
ours = pytest.mark.parametrize("name", OURS)
tabled = pytest.mark.parametrize("name", TABLED)


def fingerprint(steps):
    return [(action, observation, reward, info) for _, action, (observation, reward, _, _, info) in steps]


def random_walk(episode, seed, random, luck=0):
    return list(walk(episode, lambda e: str(random.choice(e.actions())), seed=seed, luck=luck))


def test_every_world_that_lists_its_actions_has_a_small_size_here():
    listed = [name for name in OURS if begun(name).actions()]
    assert sorted(SMALL) == sorted(listed)


@ours
def test_a_seed_is_a_task(name):
    world = make(name)
    one, two = world.episode(), world.episode()
    assert one.reset(seed=3) == two.reset(seed=3)
    assert fingerprint(walk(one, lambda e: e.expert(), seed=3)) == fingerprint(walk(two, lambda e: e.expert(), seed=3))
    assert len({world.episode().reset(seed=seed)[0] for seed in range(6)}) > 1
    assert one.reset(seed=8)[0] == make(name).episode().reset(seed=8)[0]


@ours
def test_states_are_equal_by_value_and_cannot_be_changed(name):
    world = make(name)
    one, two = world.start(5), world.start(5)
    assert one is not two
    assert (one, hash(one)) == (two, hash(two))
    assert len({world.start(seed) for seed in range(6)}) > 1
    with pytest.raises(AttributeError):
        setattr(one, one._fields[0], None)


@ours
def test_text_and_tool_calls_are_the_same_actions(name):
    episode = begun(name)
    while not episode.ended:
        for action in [*episode.actions()[:6:2], episode.expert()]:
            read = episode.world.read(action)
            by_text, by_call = episode.fork(), episode.fork()
            assert by_text.step(action) == by_call.call(read.name, read.arguments)
        episode.step(episode.expert())


@ours
def test_what_is_listed_can_be_done(name):
    episode = begun(name, seed=2)
    random = np.random.default_rng(0)
    while not episode.ended and episode.actions():
        for action in episode.actions():
            assert episode.fork().step(action)[4]["valid"], action
        episode.step(str(random.choice(episode.actions())))


@ours
def test_hostile_text_spends_a_step_and_changes_nothing(name):
    episode = begun(name)
    episode.step(episode.expert())
    for text in HOSTILE:
        twin = episode.fork()
        observation, reward, _, _, info = twin.step(text)
        assert observation.startswith("Nothing happens: ")
        assert len(observation) < 3000
        assert (reward, info["valid"], twin.state, twin.steps) == (0, False, episode.state, episode.steps + 1)


@ours
def test_hostile_arguments_never_raise(name):
    episode = begun(name)
    episode.step(episode.expert())
    for tool in episode.world.tools:
        for hostile in [*HOSTILE, None, [], {"a": 1}, 10**5000, float("nan"), True]:
            twin = episode.fork()
            observation, reward, _, _, info = twin.call(tool.name, dict.fromkeys(tool.parameters, hostile))
            assert 0 <= reward < 1
            assert len(observation) < 3000
            assert twin.steps == episode.steps + 1
            if not info["valid"]:
                assert twin.state == episode.state
        for arguments in ({}, None, [], "go", {"other": "x"}):
            if tool.parameters:
                assert not episode.fork().call(tool.name, arguments)[4]["valid"]
    assert not episode.fork().call("x" * 1_000_000, {})[4]["valid"]


@ours
def test_a_fork_goes_its_own_way(name):
    episode = begun(name, seed=1)
    episode.step(episode.expert())
    twin, before = episode.fork(), (episode.state, episode.steps, episode.outcome)
    told = []
    while not twin.ended:
        action = twin.expert()
        told.append((action, twin.step(action)))
    assert (episode.state, episode.steps, episode.outcome) == before
    assert [(action, episode.step(action)) for action, _ in told] == told
    assert episode.outcome == twin.outcome


@ours
def test_the_expert_gets_all_there_is(name):
    runs = play(make(name).episode, expert, seeds=range(TASKS.get(name, 20)))
    assert {run.outcome for run in runs} == {1.0}


@ours
def test_an_ended_world_does_nothing_more(name):
    episode = begun(name)
    list(walk(episode, lambda e: e.expert(), seed=0))
    assert (episode.actions(), episode.expert()) == ([], None)
    with pytest.raises(sc.StepCreditError, match="ended"):
        episode.step("go")
    with pytest.raises(sc.StepCreditError, match="ended"):
        episode.call(episode.world.tools[0].name, {})


@ours
def test_the_horizon_ends_what_does_not_end_itself(name):
    episode = begun(name)
    while not episode.ended:
        truncated = episode.step("?")[3]
    assert truncated
    assert episode.steps == episode.world.horizon


@ours
def test_schemas_are_functions_that_a_model_can_call(name):
    tools = make(name).episode().tools
    assert json.loads(json.dumps(tools)) == tools
    assert len({tool["function"]["name"] for tool in tools}) == len(tools)
    for tool in tools:
        function = tool["function"]
        assert tool["type"] == "function"
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", function["name"])
        assert function["description"]
        properties = function["parameters"]["properties"]
        assert function["parameters"]["type"] == "object"
        assert function["parameters"]["required"] == list(properties)
        for what in properties.values():
            assert what["type"] == "string"
            assert what.get("enum") or what["description"]


@ours
def test_what_a_small_model_reads_is_short(name):
    for seed in range(3):
        episode = make(name).episode()
        assert len(episode.reset(seed=seed)[0]) < 500
        assert all(len(step[0]) < 400 for _, _, step in walk(episode, lambda e: e.expert(), seed=seed))


@tabled
def test_outcomes_are_shares(name):
    random = np.random.default_rng(0)
    episode = make(name).episode()
    for seed in range(5):
        random_walk(episode, seed, random)
        assert 0 <= episode.outcome <= 1


@tabled
def test_steps_of_one_state_id_go_on_alike(name):
    """Forks of walks with other pasts but one state id: the same actions bring the same."""
    random = np.random.default_rng(1)
    world, seen, compared = make(name, **SMALL[name]), {}, 0
    for _ in range(8):
        episode = world.episode()
        episode.reset(seed=1)
        while not episode.ended:
            other = seen.setdefault(episode.state, episode.fork())
            one, two = episode.fork(), other.fork()
            for _ in range(5):
                if one.ended or two.ended:
                    break
                assert one.actions() == two.actions()
                action = str(random.choice(one.actions()))
                after, again = one.step(action), two.step(action)
                assert (after[:3], after[4]) == (again[:3], again[4])
                compared += 1
            episode.step(str(random.choice(episode.actions())))
    assert compared > 20


@tabled
def test_steps_of_other_state_ids_go_on_otherwise(name):
    """The ids of all states of a task are as many as the classes of states that no actions tell apart."""
    world = make(name, **SMALL[name])
    start = world.start(1)
    moves, frontier = {}, [start]
    while frontier:
        state = frontier.pop()
        if state not in moves:
            listed = [] if world.done(state) else world.actions(state)
            moves[state] = [(a, world.act(state, world.read(a))) for a in listed]
            frontier += [branch.state for _, branches in moves[state] for branch in branches]
    kind = {s: hash((world.observe(s), world.done(s))) for s in moves}
    while True:
        finer = {
            s: hash((kind[s], tuple((a, b.chance, b.reward, b.says, kind[b.state]) for a, bs in did for b in bs)))
            for s, did in moves.items()
        }
        if len(set(finer.values())) == len(set(kind.values())):
            break
        kind = finer
    going_on = [s for s in moves if not world.done(s)]
    pairs = {(world.key(s), kind[s]) for s in going_on}
    assert len(pairs) == len({key for key, _ in pairs}) == len({k for _, k in pairs})


@tabled
def test_the_table_of_a_task_is_the_world_that_is_walked(name):
    """The mean outcome of random walks is the exact value of the uniform policy."""
    world = make(name, **SMALL[name])
    random = np.random.default_rng(0)
    exact = tabular.evaluate(world.table(1)).value[0, 0]
    episode, outcomes = world.episode(), []
    for luck in range(400):
        random_walk(episode, 1, random, luck)
        outcomes.append(episode.outcome)
    assert 0 < exact < 1
    assert abs(np.mean(outcomes) - exact) < 4 * np.sqrt(exact * (1 - exact) / 400)


@tabled
def test_the_expert_is_as_good_as_the_best_policy(name):
    world = make(name, **SMALL[name])
    for seed in range(TASKS.get(name, 6)):
        episode = world.episode()
        list(walk(episode, lambda e: e.expert(), seed=seed))
        assert episode.outcome == tabular.evaluate(world.table(seed), best=True).value[0, 0] == 1


@ours
def test_wrong_options_are_named(name):
    with pytest.raises(sc.StepCreditError, match=rf"{name}: got .*horizon=0"):
        make(name, horizon=0)
