"""The library of lessons: admission, novelty, rounds, recall, files."""

import json

import numpy as np
import pytest
from evidence_goldens import cases
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.errors import DataError, UnknownName
from stepcredit.evidence.experience_library import Clusters, Lesson, Library, Memory, Taught, render

ADMIT, NOVEL, RENDER, EVICT = cases("experience_library")


def texts(library, zone="golden"):
    return [one.text for one in library.lessons(zone)]


def filled(n=12, **options):
    library = Library(**options)
    for i in range(n):
        library.add("golden", "method", f"{chr(97 + i)}" * 9, i / 10)
    library.add("warning", "mistake", "do not", 0.5)
    return library


def test_a_full_level_takes_a_lesson_only_for_a_worse_one_as_the_official_code_does():
    library = Library(golden=ADMIT["capacity"])
    fates = [library.add("golden", "method", text, score) for text, score in ADMIT["adds"]]
    assert [fate in ("added", "replaced") for fate in fates] == ADMIT["took"]
    assert texts(library) == ADMIT["left"]
    assert fates == ["added", "added", "replaced", "rejected", "replaced", "rejected"]


def test_an_equal_score_does_not_replace():
    library = Library(warning=2)
    for text, score in (("one two", 0.6), ("three four", 0.7)):
        library.add("warning", "mistake", text, score)
    assert library.add("warning", "mistake", "five six", 0.65) == "replaced"
    assert library.add("warning", "mistake", "seven eight", 0.65) == "rejected"
    assert texts(library, "warning") == ["three four", "five six"]


def test_each_level_has_its_own_room_and_none_is_no_room():
    library = Library(golden=1, warning=0)
    assert library.add("golden", "method", "one", 1) == library.add("golden", "principle", "two", 0) == "added"
    assert library.add("warning", "mistake", "three", 1) == "rejected" and len(library) == 2


@pytest.mark.parametrize("case", NOVEL["novel"], ids=range(len(NOVEL["novel"])))
def test_what_is_known_is_what_the_official_code_calls_not_novel(case):
    known, text, novel, score = case
    library = Library()
    library.add("golden", "method", known, 0.5)
    assert (library.add("golden", "example", text, 0.8) == "added") == novel
    assert library.lessons("golden", "method")[0].score == score
    assert library.add("warning", "mistake", text, 0.8) == "added"


def test_a_worse_repetition_lowers_nothing():
    library = Library()
    library.add("golden", "method", "open the door", 0.5)
    assert library.add("golden", "method", "Open the door ", 0.2) == "known"
    assert library.lessons("golden")[0].score == 0.5


def teach(text, score):
    return [Taught(i * 15 + text * 2, "method" if score >= 0 else "mistake", abs(score)) for i in "xyz"]


def test_a_round_reads_the_best_and_the_worst_and_admits_so_many():
    read = []

    def extract(text, score):
        read.append(text)
        return teach(text, score)

    library = Library()
    words = ["alpha", "bravo", "carol", "delta", "echo", "foxtrot", "golf"]
    counts = library.evolve(
        [(w, i / 10) for i, w in enumerate(words)], [(w + "!", -i) for i, w in enumerate(words)], extract
    )
    assert read == ["golf", "foxtrot", "echo", "delta", "golf!", "foxtrot!"]
    assert counts == {"golden added": 10, "warning added": 5}
    few = Library().evolve(
        [("a", 1.0)], [], lambda text, score: [Taught(c * 9, "method", 1) for c in "abcd"], most_golden=2
    )
    assert few == {"golden added": 2}
    assert library.lessons("golden")[0].source == "golf"


def test_unknown_zones_and_levels_are_named():
    with pytest.raises(UnknownName, match="mistake"):
        Library().add("warning", "method", "x", 1)
    with pytest.raises(UnknownName, match="golden"):
        Library().lessons("gold")


def test_the_best_are_those_of_the_highest_score_for_the_task():
    library = filled(3)
    library.add("golden", "principle", "only here", 9, task_type="other")
    assert [one.score for one in library.best("golden", "q", 2)] == [9, 0.2]
    assert [one.score for one in library.best("golden", "q", 2, task_type="mine")] == [0.2, 0.1]
    assert library.best("warning", "q", 0) == []


def test_an_embedder_ranks_by_likeness_and_is_asked_once_about_a_lesson():
    asked = []

    def embed(given_):
        asked.extend(given_)
        return np.array([[1.0, 0.0] if "b" in t else [0.0, 1.0] for t in given_])

    library = filled(3, embedder=embed)
    assert [one.text for one in library.best("golden", "b!", 1)] == ["bbbbbbbbb"]
    library.best("golden", "c", 1)
    assert asked.count("bbbbbbbbb") == 1


def test_recall_waits_for_a_library_and_remembers_until_it_changes():
    library = filled()
    memory = Memory(library)
    assert memory.recall("a room", step=4) == [] and Memory(Library()).recall("x") == []
    assert Memory(filled(8)).recall("x") == []
    found = memory.recall("a room", step=5)
    assert [one.score for one in found] == [1.1, 1.0, 0.5] and [one.uses for one in found] == [1, 1, 1]
    assert memory.recall("A ROOM ") is found and found[0].uses == 1
    library.add("golden", "method", "better than all", 2)
    # Linked to the cluster as they were; another place gets the new one.
    assert [one.score for one in memory.recall("a room")] == [1.1, 1.0, 0.5]
    assert memory.recall("another place")[0].score == 2


def test_what_the_library_dropped_is_not_recalled():
    library = filled(11, golden=11)
    memory = Memory(library, golden=1, warning=0)
    (old,) = memory.recall("a room")
    library._lessons["golden", "method"].remove(old)
    library.version += 1
    assert memory.recall("a room")[0].id != old.id


def test_a_full_cache_takes_no_more():
    memory = Memory(filled(), cached=1)
    first = memory.recall("one")
    assert memory.recall("two") is not memory.recall("two") and memory.recall("one") is first


def test_the_least_used_cluster_makes_room_as_in_the_official_code():
    clusters, kept = Clusters(most=EVICT["most"]), []
    for observation in EVICT["observations"]:
        clusters.find(observation)
        kept.append(sorted(c.representative for c in clusters._all))
    assert kept == EVICT["kept"]


def test_an_evicted_cluster_is_not_found_again():
    clusters = Clusters(most=1)
    old = clusters.find("aaaa", "task")
    clusters.find("bbbb", "task")
    assert clusters.find("aaaa", "task") is not old and len(clusters) == 1


def test_observations_are_alike_only_behind_equal_beginnings_and_in_one_task_type():
    clusters = Clusters()
    one = clusters.find("You are in the kitchen. You see a mug 1.")
    assert clusters.find("You are in the kitchen. You see a mug 2.") is not one
    long = clusters.find("k" * 300 + "a mug 1 on the table")
    assert clusters.find("k" * 300 + "a mug 2 on the table") is long and long.members == 2
    assert clusters.find("k" * 300 + "a mug 2 on the table", "cook") is not long


@pytest.mark.parametrize("case", RENDER["render"], ids=range(len(RENDER["render"])))
def test_lessons_are_rendered_as_in_the_official_code(case):
    golden, warning, want = case
    lessons = [Lesson(i, "golden", "method", t, 1) for i, t in enumerate(golden)]
    lessons += [Lesson(i, "warning", "mistake", t, 1) for i, t in enumerate(warning)]
    assert render(lessons, most=RENDER["most"]) == want


@given(
    st.lists(
        st.tuples(st.sampled_from(["principle", "method"]), st.text(max_size=20), st.floats(0, 1), st.text(max_size=3)),
        max_size=8,
    )
)
def test_a_library_is_the_same_after_a_file(entries):
    library = Library(golden=3, similar=0.9)
    for level, text, score, task in entries:
        library.add("golden", level, text, score, task_type=task or None)
    again = Library.from_json(library.to_json())
    assert again.lessons("golden") == library.lessons("golden") and again.to_json() == library.to_json()
    assert (again.golden, again.warning, again.similar) == (3, 50, 0.9)


def test_files(tmp_path):
    library = filled()
    library.save(tmp_path / "library.json")
    again = Library.load(tmp_path / "library.json")
    assert again.lessons("golden") == library.lessons("golden")
    assert again.add("golden", "example", "something else", 1) == "added"
    assert again.lessons("golden", "example")[0].id == 13


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "golden": 1, "warning": 1, "similar": 1}', "null"],
)
def test_what_is_no_library_is_refused(text):
    with pytest.raises(DataError):
        Library.from_json(text)


def test_a_lesson_of_no_level_is_refused():
    raw = json.loads(filled(1).to_json())
    raw["lessons"][0]["level"] = "mistake"
    with pytest.raises(UnknownName):
        Library.from_json(json.dumps(raw))
