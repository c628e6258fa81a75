"""Files put in order by commands: what is kept, what is right, what is refused."""

import pytest
from text_worlds import begun, make

from stepcredit.envs.play import expert, play
from stepcredit.envs.text_world import walk


def does(episode, *actions):
    return [episode.step(action) for action in actions][-1]


def files(episode):
    return dict(episode._state.files)


def test_commands_build_on_one_another():
    episode = begun("shell_files")
    does(episode, "run mkdir -p box/in", "run echo one > box/in/a.txt", "run cp box/in/a.txt b.txt; rm -r box/in")
    assert files(episode)["b.txt"] == "one\n"
    assert "box/" in files(episode)


def test_output_and_exit_status_are_told():
    episode = begun("shell_files")
    assert does(episode, "run echo hi; exit 3")[0].startswith("hi\nexit status 3\nFiles: ")
    assert does(episode, "run true")[0].startswith("(no output)\n")
    assert "(cut)" in does(episode, "run yes | head -c 3000")[0]
    assert "\x1b" not in does(episode, "run printf '\\033[2J'")[0]


def test_reading_and_writing_files():
    episode = begun("shell_files")
    before = episode.state
    does(episode, "write new/a.txt one two\nthree")
    assert files(episode)["new/a.txt"] == "one two\nthree\n"
    assert does(episode, "read new/a.txt")[0].startswith("one two\nthree\nFiles: ")
    does(episode, "run rm -r new")
    assert episode.state == before


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a//b", "./a", "a/", "x" * 101, "a\x07b", "~/\nx"])
def test_paths_that_leave_the_folder_are_refused(path):
    episode = begun("shell_files")
    assert not episode.call("write", {"path": path, "content": "x"})[4]["valid"]


def test_a_file_cannot_stand_where_a_folder_does():
    episode = begun("shell_files")
    does(episode, "run mkdir box; echo 1 > one")
    for path in ("box", "one/in"):
        assert "in the way" in does(episode, f"write {path} text")[4]["reason"]
    assert does(episode, "write box/in text")[4]["valid"]
    assert "box/" not in files(episode)
    assert not does(episode, "read nowhere")[4]["valid"]


def test_the_same_files_are_one_state_however_they_came_about():
    one, two = begun("shell_files"), begun("shell_files")
    does(one, "run printf 'x\\n' > x; printf 'y\\n' > y")
    does(two, "write y y", "write x x")
    assert one.state == two.state
    assert does(two, "run echo more >> x")[4]["state"] != one.state


def test_what_takes_too_long_or_leaves_too_much_changes_nothing():
    slow = begun("shell_files", seconds=0.3)
    before = slow.state
    assert "more than 0.3 seconds" in does(slow, "run touch x; sleep 60")[4]["reason"]
    episode = begun("shell_files")
    assert "at most 64" in does(episode, "run for i in $(seq 100); do : > f$i; done")[4]["reason"]
    assert "at most 2000 characters" in does(episode, "run " + "x" * 2001)[4]["reason"]
    assert slow.state == episode.state == before


def test_each_mistake_fails_and_the_expert_mends_it():
    episode = begun("shell_files", parts=5, horizon=40)
    for part in episode._state.parts:
        twin = episode.fork()
        does(twin, f"run {part.mistake}")
        spoiled = twin.fork()
        while spoiled.expert() != "done":
            spoiled.step(spoiled.expert())
        assert spoiled.step("done")[1] == 1
        for other in twin._state.parts:
            if other != part:
                does(twin, f"run {other.command}")
        assert does(twin, "done")[1] == 0


def test_a_file_too_many_is_not_right():
    episode = begun("shell_files")
    while episode.expert() != "done":
        episode.step(episode.expert())
    assert does(episode.fork(), "done")[1] == 1
    assert does(episode, 'run touch "it\'s left"', "done")[1] == 0
    mended = begun("shell_files", horizon=20)
    does(mended, 'run touch "it\'s left"')
    while not mended.ended:
        mended.step(mended.expert())
    assert mended.outcome == 1


def test_white_space_at_the_end_and_empty_folders_are_not_wrong():
    episode = begun("shell_files")
    while episode.expert() != "done":
        episode.step(episode.expert())
    path = next(p for p in files(episode))
    assert does(episode, f"run echo >> {path}; mkdir empty", "done")[1] == 1


def test_all_kinds_of_task_are_drawn_and_walks_repeat():
    world = make("shell_files", parts=1)
    assert len({world.start(seed).parts[0].text.split()[0] for seed in range(40)}) == 5
    runs = play(world.episode, expert, seeds=[0, 0])
    assert [s.observation for s in runs[0].steps] == [s.observation for s in runs[1].steps]
    assert len(list(walk(world.episode(), lambda e: e.expert(), seed=0))) == 2
