"""Worlds of TextWorld, ScienceWorld and TextArena as text worlds; each package is required by its name or skipped."""

import random
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

import stepcredit as sc
from conftest import skip_or_fail
from stepcredit.envs import text
from stepcredit.envs.play import expert, play


def package(name):
    try:
        # Their own warnings at import are theirs.
        with warnings.catch_warnings(action="ignore"):
            return import_module(name)
    except ImportError:
        skip_or_fail(name, f"{name} is not installed")


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    """Makes a world of TextWorld; its games are kept in one folder."""
    package("textworld")
    folder = tmp_path_factory.mktemp("games")
    return lambda **options: text.get("text_world_games")(folder=folder, **options)


@pytest.fixture
def arena():
    """Makes a world of TextArena."""
    package("textarena")
    return text.get("text_arena")


@pytest.fixture(scope="module")
def lesson():
    """A task of ScienceWorld, begun once: a Java machine takes seconds to start."""
    package("scienceworld")
    episode = text.get("science_world")(task="find-living-thing").episode()
    yield episode
    episode.close()


@pytest.mark.parametrize(
    ("challenge", "level"), [("coin_collector", 3), ("simple", 1), ("treasure_hunter", 11), ("cooking", 2)]
)
def test_the_policy_of_textworld_wins_from_where_others_went(games, challenge, level):
    world = games(challenge=challenge, level=level)
    episode, rng = world.episode(), random.Random(0)
    first, info = episode.reset(seed=1)
    assert first.startswith(episode._state.told["objective"])
    for _ in range(6):
        episode.step(rng.choice(episode.actions()))
    while not episode.ended:
        assert episode.expert() in episode.actions()
        episode.step(episode.expert())
    assert episode.outcome == 1
    assert episode.reset(seed=1) == (first, info)
    episode.close()


def test_only_what_a_game_of_textworld_admits_reaches_it(games):
    episode = games().episode()
    episode.reset(seed=1)
    before = episode.state
    for written in ("restart", "undo\nlook", "tw-extra-infos description", "\ud800", "x" * 5000, "take sun"):
        observation, *_, info = episode.step(written)
        assert observation.startswith("Nothing happens: ")
        assert not info["valid"]
        assert episode.state == before
    assert episode.step(f"  {episode.expert().upper()} ")[4]["valid"]
    assert episode.state != before


def test_a_fork_of_a_game_of_textworld_goes_its_own_way(games):
    episode = games(challenge="treasure_hunter", level=11).episode()
    episode.reset(seed=1)
    episode.step(episode.expert())
    twin, before = episode.fork(), episode.state
    path = []
    while not twin.ended:
        path.append(twin.expert())
        last = twin.step(path[-1])
    assert episode.state == before
    twin.close()
    assert [episode.step(action) for action in path][-1] == last


def test_games_of_textworld_are_made_once_and_repeat_in_other_processes(games, tmp_path):
    world = games(challenge="treasure_hunter", level=3)
    first = world.episode().reset(seed=2)
    made = {file: file.stat().st_mtime_ns for file in world.folder.iterdir()}
    assert world.episode().reset(seed=2) == first
    assert {file: file.stat().st_mtime_ns for file in world.folder.iterdir()} == made
    code = (
        "from stepcredit.envs import text\n"
        f"world = text.get('text_world_games')(challenge='treasure_hunter', level=3, folder={str(tmp_path)!r})\n"
        "print(repr(world.episode().reset(seed=2)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == f"{first!r}\n"
    assert "stepcredit" not in run.stderr


def test_a_folder_of_games_that_nobody_named_goes_with_the_process(games):
    code = (
        "from stepcredit.envs import text\n"
        "world = text.get('text_world_games')(level=1)\n"
        "world.episode().reset(seed=0)\n"
        "print(world.folder, len(list(world.folder.iterdir())))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    folder, files = run.stdout.split()
    assert int(files) == 2
    assert not Path(folder).exists()


def test_the_gold_path_of_scienceworld_earns_the_whole_task(lesson):
    first, info = lesson.reset(seed=1)
    assert first.startswith("Your task is to find a(n) living thing.")
    rewards = []
    while not lesson.ended:
        rewards.append(lesson.step(lesson.expert())[1])
    assert lesson.outcome == pytest.approx(1)
    assert sum(reward > 0 for reward in rewards) > 1
    assert lesson.reset(seed=1) == (first, info)


def test_scienceworld_repeats_though_animals_wander(lesson):
    def walked(luck):
        lesson.reset(seed=0, options={"luck": luck})
        out = []
        while not lesson.ended:
            out.append(lesson.step(lesson.expert()))
        return out

    assert walked(0) == walked(0)


def test_a_fork_of_scienceworld_goes_its_own_way_and_its_machine_ends(lesson):
    lesson.reset(seed=1)
    for _ in range(3):
        lesson.step(lesson.expert())
    twin, before = lesson.fork(), lesson.state
    machine = twin._state.inner._gateway.java_process
    assert (twin.state, twin.expert()) == (before, lesson.expert())
    path = [twin.expert()]
    last = twin.step(path[-1])
    assert lesson.state == before
    assert lesson.step(path[-1]) == last
    assert machine.poll() is None
    twin.close()
    assert machine.poll() is not None


def test_what_scienceworld_does_not_know_changes_nothing(lesson):
    lesson.reset(seed=1)
    before, gold = lesson.state, lesson.expert()
    for written in ("fly home", "\x00", "\ud800🐦", "x" * 5000, "0"):
        observation, *_, info = lesson.step(written)
        assert observation.startswith("Nothing happens: ")
        assert not info["valid"]
        assert (lesson.state, lesson.expert()) == (before, gold)
    assert len(lesson.actions()) > 100
    lesson.step("look around")
    assert (lesson.state, lesson.expert()) == (before, None)


def test_a_java_machine_that_dies_comes_out_and_the_next_task_has_another(lesson):
    world = lesson.world
    episode = world.episode()
    episode.reset(seed=1)
    episode._state.inner._gateway.java_process.kill()
    episode._state.inner._gateway.java_process.wait()
    with pytest.raises(Exception, match=r"Answer from Java|Connection|network|connect|Errno"):
        episode.step("look around")
    assert episode.ended
    episode.reset(seed=1)
    assert episode.step("look around")[4]["valid"]
    episode.close()


@pytest.mark.parametrize(
    "env_id",
    [
        "TicTacToe-v0",
        "ConnectFour-v0",
        "KuhnPoker-v0",
        "Nim-v0",
        "PigDice-v0-short",
        "FrozenLake-v0",
        "TowerOfHanoi-v0",
    ],
)
def test_listed_moves_of_textarena_are_valid_and_repeat(arena, env_id):
    world, rng = arena(env_id=env_id), random.Random(0)
    episode, chances = world.episode(), random.getstate()
    first = episode.reset(seed=3)
    assert world.episode().reset(seed=3) == first
    while not episode.ended:
        twin, move = episode.fork(), rng.choice(episode.actions())
        observation, reward, terminated, truncated, info = episode.step(move)
        assert info["valid"], info["reason"]
        assert twin.step(move) == (observation, reward, terminated, truncated, info)
        assert twin.step("[99]")[4]["valid"] is False if not twin.ended else True
    assert -1 <= episode.outcome <= 1
    assert random.getstate() == chances


def test_invalid_moves_of_textarena_change_nothing(arena):
    episode = arena(horizon=6).episode()
    episode.reset(seed=0)
    episode.step("[4]")
    before = episode.state
    for written in ("[4]", "[9]", "center", "\ud800", "x" * 20_000):
        observation, reward, terminated, _, info = episode.step(written)
        assert observation.startswith("Nothing happens: ")
        assert (reward, terminated, info["valid"]) == (0, False, False)
        assert episode.state == before
    assert episode.ended


def test_the_opponent_is_a_function(arena):
    heard = []

    def first_listed(told, moves, chances):
        heard.append(told)
        return moves[0]

    episode = arena(opponent=first_listed).episode()
    episode.reset(seed=0)
    told = episode.step("[8]")[0]
    assert "Player 0 placed their symbol (O) in cell 8." in heard[0]
    assert "Player 1 placed their symbol (X) in cell 0." in episode.step("[7]")[0] + told
    episode.step("[6]")
    assert (episode.outcome, episode.ended) == (1, True)


def test_an_opponent_that_breaks_the_rules_comes_out(arena):
    episode = arena(opponent=lambda told, moves, chances: "[8]").episode()
    episode.reset(seed=0)
    with pytest.raises(sc.StepCreditError, match=r"opponent's move '\[8\]' is invalid: cell 8 is already occupied"):
        episode.step("[8]")
    assert episode.ended


def test_luck_moves_the_opponent(arena):
    world = arena()
    said = set()
    for luck in range(6):
        episode = world.episode()
        episode.reset(seed=0, options={"luck": luck})
        said.add(episode.step("[4]")[0])
    assert len(said) > 1


def test_games_of_textarena_that_cannot_be_played_say_why(arena):
    with pytest.raises(sc.StepCreditError, match="SecretMafia-v0-raw is no game for one or two players"):
        arena(env_id="SecretMafia-v0")
    with pytest.raises(sc.StepCreditError, match="cannot play Debate-v0-raw here: ValueError: OpenRouter API key"):
        arena(env_id="Debate-v0")
    with pytest.raises(sc.StepCreditError, match="counts a loss as an invalid move"):
        arena(env_id="Minesweeper-v0")
    episode = arena(env_id="IteratedPrisonersDilemma-v0").episode()
    with pytest.raises(sc.StepCreditError, match="the moves of this game are not listed"):
        episode.reset(seed=0) and episode.step("I will cooperate.")


def test_rollouts_of_textworld_are_records(games, tmp_path):
    runs = play(games().episode, expert, seeds=[1], n=2)
    sc.write(runs, tmp_path / "runs.jsonl")
    assert sc.read(tmp_path / "runs.jsonl").layout.R == 2
    assert [run.outcome for run in runs] == [1, 1]


@pytest.mark.parametrize("name", ["text_world_games", "text_arena"])
def test_many_run_side_by_side_in_threads(request, name):
    """As one after the other."""
    world = request.getfixturevalue("games" if name == "text_world_games" else "arena")()

    def first_listed(episodes, read):
        return [episode.actions()[0] for episode in episodes]

    threads = play(world.episode, first_listed, seeds=[1], n=4, seconds=120)
    assert threads == play(world.episode, first_listed, seeds=[1], n=4)
    assert all(run.outcome is not None for run in threads)
