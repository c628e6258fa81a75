"""Worlds of gymnasium, BabyAI and reasoning-gym as text worlds."""

import random
import sys
import warnings
from collections import Counter
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest

import stepcredit as sc
from conftest import skip_or_fail
from stepcredit.envs import tabular, text
from stepcredit.envs.play import expert, noisy, play
from stepcredit.envs.text._outside import quiet
from stepcredit.envs.text.gymnasium_toy import _basic_strategy
from stepcredit.envs.text_world import walk
from stepcredit.envs.vector import Vector

PACKAGES = {"gymnasium_toy": "gymnasium", "babyai": "minigrid", "reasoning_gym_tasks": "reasoning_gym"}
WORLDS = [
    ("gymnasium_toy", {}),
    ("gymnasium_toy", {"env_id": "CliffWalkingSlippery-v1"}),
    ("gymnasium_toy", {"env_id": "Taxi-v4"}),
    ("gymnasium_toy", {"env_id": "Blackjack-v1"}),
    ("babyai", {}),
    ("babyai", {"env_id": "BabyAI-UnlockPickup-v0", "horizon": 200}),
    ("reasoning_gym_tasks", {"horizon": 3}),
]
HOSTILE = [
    "",
    " \n",
    "fly home",
    "go",
    "go up\x00",
    "answer",
    "\ud800🐦",
    "{way}",
    "go " + "x" * 10_000,
    "pick up\npick up",
]


def make(name, **options):
    if find_spec(PACKAGES[name]) is None:
        skip_or_fail(PACKAGES[name], f"{PACKAGES[name]} is not installed")
    return text.get(name)(**options)


@pytest.fixture(params=WORLDS, ids=lambda w: f"{w[0]}-{w[1].get('env_id', '')}")
def world(request):
    name, options = request.param
    return make(name, **options)


def sensible(episodes, read):
    """What the expert does, and where it does not know, what is listed first."""
    return [episode.expert() or episode.actions()[0] for episode in episodes]


def toy(env_id="FrozenLake-v1", **options):
    return make("gymnasium_toy", env_id=env_id, **options)


def test_a_task_has_one_beginning(world):
    one, two = world.episode(), world.episode()
    first = one.reset(seed=4)
    if not one.ended:
        one.step((one.actions() or ["answer 1"])[0])
    assert one.reset(seed=4) == first == two.reset(seed=4)
    assert set(first[1]) == {"state", "valid", "reason"}


@pytest.mark.parametrize("written", HOSTILE)
def test_hostile_text_spends_a_step_and_changes_nothing(world, written):
    episode = world.episode()
    episode.reset(seed=1)
    before, actions = episode.state, episode.actions()
    observation, reward, terminated, _, info = episode.step(written)
    assert observation.startswith("Nothing happens: ")
    assert (reward, terminated, info["valid"], episode.steps) == (0, False, False, 1)
    assert (episode.state, episode.actions()) == (before, actions)


def test_calls_that_name_no_tool_or_lack_arguments_say_so(world):
    episode = world.episode()
    episode.reset(seed=1)
    assert not episode.call("fly", {})[4]["valid"]
    named = next((tool for tool in world.tools if tool.parameters), None)
    if named is not None:
        assert "needs" in episode.call(named.name, {})[4]["reason"]


def test_text_and_tool_calls_are_the_same_actions(world):
    by_text, by_call = world.episode(), world.episode()
    by_text.reset(seed=2)
    by_call.reset(seed=2)
    while not by_text.ended and by_text.steps < 30:
        written = by_text.expert() or by_text.actions()[0]
        action = world.read(written)
        assert by_text.step(written) == by_call.call(action.name, dict(action.arguments))


def test_a_fork_goes_its_own_way_with_the_same_luck(world):
    one = world.episode()
    one.reset(seed=3, options={"luck": 1})
    if not one.ended and world.horizon > 3:
        one.step(one.expert())
    if one.ended:
        return
    two, before = one.fork(), one.state
    path = []
    while not two.ended and len(path) < 12:
        path.append(two.expert() or two.actions()[0])
        two.step(path[-1])
    assert one.state == before
    for action in path:
        one.step(action)
    assert (one.state, one.outcome, one.ended, one.steps) == (two.state, two.outcome, two.ended, two.steps)


def test_the_horizon_ends_an_episode(world):
    episode = world.episode()
    episode.reset(seed=0)
    for _ in range(world.horizon - 1):
        assert not episode.step("fly home")[3]
    assert episode.step("fly home")[3]
    with pytest.raises(sc.StepCreditError, match="the episode has ended"):
        episode.step("fly home")


def test_a_closed_episode_can_begin_again(world):
    episode = world.episode()
    with pytest.raises(sc.StepCreditError, match="no episode has begun"):
        episode.step("fly home")
    first = episode.reset(seed=0)
    episode.close()
    with pytest.raises(sc.StepCreditError, match="no episode has begun"):
        episode.actions()
    assert episode.reset(seed=0) == first


def test_rollouts_are_records_with_states(world, tmp_path):
    runs = play(world.episode, noisy(sensible, 0.2, seed=0), seeds=range(2), n=3)
    assert all(isinstance(run.outcome, float) for run in runs)
    sc.write(runs, tmp_path / "runs.jsonl")
    batch = sc.read(tmp_path / "runs.jsonl")
    assert (batch.layout.G, batch.layout.R) == (2, 6)


def test_what_a_package_raises_comes_out_and_the_outcome_is_unknown():
    world = toy("Taxi-v4")
    many = Vector(world.episode, 2)
    many.reset([0, 0])

    def out_of_fuel(number):
        raise RuntimeError("out of fuel")

    many.episodes[1]._state.inner.step = out_of_fuel
    twin = many.episodes[1].fork()
    with pytest.raises(RuntimeError, match="out of fuel"):
        twin.step("go north")
    assert twin.ended
    assert many.step(["go north"] * 2).failed.tolist() == [False, True]
    assert many.failures == [None, "RuntimeError: out of fuel"]
    twin.reset(seed=0)
    assert twin.step("go north")[4]["valid"]


@pytest.mark.parametrize(
    ("env_id", "arguments"),
    [
        ("FrozenLake-v1", {}),
        ("FrozenLake-v1", {"is_slippery": False}),
        ("FrozenLake8x8-v1", {}),
        ("CliffWalkingSlippery-v1", {}),
        ("Taxi-v4", {"is_rainy": True}),
    ],
)
def test_the_expert_is_the_best_policy_of_the_table(env_id, arguments):
    """Its exact value is that of the best policy, from every state of the table."""
    world = toy(env_id, arguments=arguments, horizon=20)
    table = world.table(2)
    game = world.begin(2, 0, None)
    states = {world.toy.tell(game.inner, s): s for s in range(game.inner.observation_space.n)}
    best, value = tabular.evaluate(table, best=True).value, np.zeros(len(table.labels))
    for step in reversed(range(world.horizon)):
        after = np.zeros_like(value)
        for i in np.flatnonzero(~table.ends):
            game.inner.s, game.steps = states[table.labels[i]], step
            a = table.actions.index(world.expert(game))
            after[i] = (table.chance[i, a] * (table.reward[i, a] + value[table.next_state[i, a]])).sum()
        value = after
        reached = ~np.isnan(best[step])
        np.testing.assert_allclose(value[reached], best[step, reached], atol=1e-3)


def test_the_table_is_the_world_that_is_walked():
    world = toy(horizon=40)
    exact = tabular.evaluate(world.table(0)).value[0, 0]
    episode, outcomes, rng = world.episode(), [], np.random.default_rng(0)
    for luck in range(2000):
        list(walk(episode, lambda e: str(rng.choice(e.actions())), seed=0, luck=luck))
        outcomes.append(episode.outcome)
    assert 0 < exact < 0.1
    assert abs(np.mean(outcomes) - exact) < 4 * np.sqrt(exact * (1 - exact) / 2000)


CARDS = [(value, (4 if value == 10 else 1) / 13) for value in range(1, 11)]


def counted(hard, ace):
    return (hard + 10, True) if ace and hard <= 11 else (hard, False)


@cache
def dealt(hard, ace, cards):
    """Chances of what the dealer ends with: (points, 0 above 21; whether two cards made 21)."""
    total, _ = counted(hard, ace)
    if total >= 17:
        return {(total * (total <= 21), cards == 2 and total == 21): 1.0}
    ends = Counter()
    for card, chance in CARDS:
        for end, p in dealt(hard + card, ace or card == 1, cards + 1).items():
            ends[end] += chance * p
    return ends


@cache
def blackjack(hard, ace, cards, dealer, best):
    """Expected reward of a hand against the card the dealer shows, by the expert or by the best policy."""
    total, soft = counted(hard, ace)
    if total > 21:
        return -1.0
    natural = cards == 2 and total == 21
    stick = sum(
        chance * p * (1 if natural and not dealers else np.sign(total - points))
        for card, chance in CARDS
        for (points, dealers), p in dealt(dealer + card, 1 in (dealer, card), 2).items()
    )
    hit = sum(chance * blackjack(hard + card, ace or card == 1, cards + 1, dealer, best) for card, chance in CARDS)
    return max(stick, hit) if best else hit if _basic_strategy(total, dealer, soft) else stick


def test_blackjack_by_basic_strategy_loses_what_the_best_policy_must():
    deals = [(a, b, d, p * q * r) for a, p in CARDS for b, q in CARDS for d, r in CARDS]
    best, ours = (sum(p * blackjack(a + b, 1 in (a, b), 2, d, best) for a, b, d, p in deals) for best in (True, False))
    assert ours == pytest.approx(best)
    world = toy("Blackjack-v1")
    outcomes = [run.outcome for run in play(world.episode, expert, seeds=range(1500))]
    assert abs(np.mean(outcomes) - ours) < 4 * np.std(outcomes) / np.sqrt(len(outcomes))
    with pytest.raises(sc.StepCreditError, match="no table of Blackjack-v1"):
        world.table(0)


def test_taxi_tells_of_passengers_and_of_what_is_not_allowed():
    episode = toy("Taxi-v4").episode()
    assert episode.reset(seed=0)[0].endswith(
        "The taxi is at row 4, column 1; the passenger is at blue and wants to yellow."
    )
    observation, reward, _, _, info = episode.step("drop off")
    assert observation.startswith("That is not allowed here.")
    assert (reward, info["valid"]) == (-10, True)
    while not episode.ended:
        episode.step(episode.expert())
    assert "the passenger is at yellow" in episode.state


def test_luck_is_what_follows_the_beginning():
    world = toy()
    for seed in range(3):
        episode = world.episode()
        first = episode.reset(seed=seed)
        walks = {
            tuple(s for s, _, _ in walk(world.episode(), lambda e: "go east", seed=seed, luck=k)) for k in range(4)
        }
        assert len(walks) > 1
        assert world.episode().reset(seed=seed, options={"luck": 9}) == first


def test_chances_that_are_not_in_the_table_leave_no_expert():
    world = toy("Taxi-v4", arguments={"fickle_passenger": True})
    episode = world.episode()
    episode.reset(seed=0)
    assert episode.expert() is None
    with pytest.raises(sc.StepCreditError, match="no table"):
        world.table(0)


@pytest.mark.parametrize("env_id", ["BabyAI-PutNextLocal-v0", "BabyAI-UnlockPickup-v0", "BabyAI-GoToSeqS5R2-v0"])
def test_the_bot_finishes_what_others_began(env_id):
    world = make("babyai", env_id=env_id, horizon=400)
    episode, rng = world.episode(), random.Random(0)
    for seed in range(4):
        episode.reset(seed=seed)
        for _ in range(25):
            if not episode.ended:
                episode.step(rng.choice(episode.actions()))
        while not episode.ended:
            episode.step(episode.expert())
        assert episode.outcome == 1


@pytest.mark.parametrize("env_id", ["BabyAI-PutNextLocal-v0", "BabyAI-UnlockPickup-v0"])
def test_actions_that_are_listed_do_something_and_others_would_not(env_id):
    """Against the package itself: every number but done, on a copy."""
    world = make("babyai", env_id=env_id)
    names = ["turn left", "turn right", "go forward", "pick up", "drop", "toggle"]
    rng = random.Random(1)
    episode = world.episode()
    episode.reset(seed=0)
    while not episode.ended:
        listed = set(episode.actions()) - {"done"}
        for number, name in enumerate(names):
            twin = episode.fork()
            twin._state.inner.step(number)
            assert (twin.state != episode.state) == (name in listed), name
        episode.step(episode.expert() if rng.random() < 0.6 else rng.choice(sorted(listed)))


def test_babyai_says_what_is_seen_and_carried():
    episode = make("babyai", env_id="BabyAI-UnlockPickup-v0").episode()
    first, _ = episode.reset(seed=0)
    assert first.startswith("Pick up the ")
    seen = []
    while not episode.ended:
        seen.append(episode.step(episode.expert())[0])
    assert any("locked" in s and "door" in s for s in seen)
    assert any("You carry a" in s and "key" in s for s in seen)
    assert all(s.startswith("You see ") and "Free fields: " in s for s in seen)


def test_answers_are_judged_and_the_last_one_counts():
    world = make("reasoning_gym_tasks", horizon=2)
    episode = world.episode()
    episode.reset(seed=5)
    right = episode.expert()
    observation, reward, terminated, _, _ = episode.step("answer 17")
    assert (observation, reward, terminated) == ("That scores 0.", 0, False)
    assert episode.step(right)[1:3] == (1, True)
    episode.reset(seed=5)
    episode.step("answer 17")
    assert episode.step("answer 18")[1:4] == (0, True, False)
    assert episode.outcome == 0


@pytest.mark.parametrize("dataset", ["maze", "syllogism", "word_ladder", "knights_knaves", "time_intervals"])
def test_the_package_s_own_answers_score_1(dataset):
    episode = make("reasoning_gym_tasks", dataset=dataset).episode()
    for seed in range(3):
        episode.reset(seed=seed)
        assert episode.step(episode.expert())[1:3] == (1, True)


@pytest.mark.parametrize("dataset", ["countdown", "spiral_matrix", "n_queens", "simple_integration"])
def test_generators_that_run_an_answer_need_trust(dataset):
    with pytest.raises(sc.StepCreditError, match="running it as Python code"):
        make("reasoning_gym_tasks", dataset=dataset)
    episode = make("reasoning_gym_tasks", dataset=dataset, trusted=True).episode()
    episode.reset(seed=0)
    assert episode.step(episode.expert())[1] == 1


def test_no_other_generator_runs_an_answer(tmp_path):
    """An answer that would leave a file behind, to every generator that needs no trust and is quick to make."""
    world = make("reasoning_gym_tasks")
    trace = tmp_path / "trace"
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    ran = []
    for dataset in sorted(world._package.factory.DATASETS):
        if dataset in ("composite", "arc_agi", "arc_1d", "rearc"):
            continue
        try:
            episode = make("reasoning_gym_tasks", dataset=dataset, horizon=3).episode()
        except sc.StepCreditError as error:
            assert "Python code" in error.message
            continue
        episode.reset(seed=0)
        for answer in (code, f"[{code}]", f"x = {code}"):
            if not episode.ended:
                episode.step(f"answer {answer}")
        ran.append(dataset)
        assert not trace.exists(), dataset
    assert len(ran) > 80


def test_an_answer_that_the_program_cannot_read_says_so():
    episode = make("reasoning_gym_tasks", dataset="prime_factorization", horizon=2).episode()
    episode.reset(seed=0)
    *_, info = episode.step("answer two times three")
    assert not info["valid"]
    assert "cannot be read (ValueError" in info["reason"]


def test_a_program_that_cannot_judge_comes_out():
    episode = make("reasoning_gym_tasks").episode()
    episode.reset(seed=0)

    def broken(answer, entry):
        raise RuntimeError("no judge today")

    episode._state.inner.score_answer = broken
    with pytest.raises(RuntimeError, match="no judge today"):
        episode.step("answer 3")


def test_threads_that_are_quiet_leave_the_output_as_it_was():
    before = sys.stdout, sys.stderr, list(warnings.filters)
    one, two = quiet(), quiet()
    one.__enter__()
    two.__enter__()
    print("nobody reads this")
    one.__exit__(None, None, None)
    assert sys.stdout is not before[0]
    two.__exit__(None, None, None)
    assert (sys.stdout, sys.stderr, list(warnings.filters)) == before


def test_many_levels_begin_side_by_side_in_threads():
    world, before = make("babyai"), (sys.stdout, sys.stderr)
    runs = play(world.episode, expert, seeds=range(8), seconds=60)
    assert [run.outcome for run in runs] == [1] * 8
    assert (sys.stdout, sys.stderr) == before


def test_wrong_options_name_what_there_is():
    with pytest.raises(sc.UnknownName, match="did you mean 'Taxi'"):
        make("gymnasium_toy", env_id="Taxy-v4")
    with pytest.raises(sc.UnknownName, match="BabyAI-GoToObj-v0"):
        make("babyai", env_id="BabyAI-GoToObject-v0")
    with pytest.raises(sc.UnknownName, match="chain_sum"):
        make("reasoning_gym_tasks", dataset="chain_sums")
    for name in PACKAGES:
        with pytest.raises(sc.StepCreditError, match="horizon=0"):
            make(name, horizon=0)
