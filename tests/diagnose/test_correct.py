"""CORRECT and its cache of schemata: what is learned, kept, found again, and never told of the run itself."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from judges import Answers, case_of, judged, run_of
from msgspec import structs

from stepcredit.data.records import Blame, Rollout, Step
from stepcredit.diagnose import diagnose
from stepcredit.diagnose.metrics import within
from stepcredit.diagnose.schemata import SchemaCache, Words, annotation, learn, log_text, source_of
from stepcredit.errors import DataError, StepCreditError

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "correct.json").read_text())
SCHEMA = "signatures: {what} goes wrong\ncontext: {what} at hand\nheuristics: check the {what}\ntwice"
TOPICS = {
    "dates": "the year of the calendar month and the day of the week",
    "sums": "adding numbers of a bill with tax and discount",
    "maps": "driving roads from one city to the next by distance",
}


@pytest.fixture(autouse=True)
def _(sklearn):
    """Logs are compared by scikit-learn where there is no embedder."""


def failure(topic, name="0", step=1, **more):
    steps = [Step(text=f"{TOPICS[topic]} part {i}", agent="AB"[i % 2]) for i in range(4)]
    blame = [Blame(by="people", step=step, agent="B", reason=f"the {topic} were misread")]
    extra = {"gold": "SECRET-42"}
    given = {"group": topic, "rollout": name, "task": f"About {topic}: {TOPICS[topic]}", "outcome": 0.0}
    return Rollout(**{**given, "steps": steps, "blame": blame, "extra": extra, **more})


def writer(prompt):
    return SCHEMA.format(what=next(t for t in TOPICS if f"About {t}" in prompt))


def learned(cache=None, names=("0", "1"), **options):
    cache = SchemaCache() if cache is None else cache
    judge = Answers(writer)
    runs = [failure(topic, name, step=int(name)) for topic in TOPICS for name in names]
    for i, run in enumerate(runs):
        run.steps[0].text += f" of run {i}"
    left = learn(runs, {"judge": judge}, cache, **options)
    return cache, judge, left


def test_a_schema_is_written_from_each_annotated_failure_once():
    cache, judge, left = learned()
    assert len(cache) == 6 and len(judge.asked) == 6 and not left
    first = cache.schemata[0]
    assert first.text == SCHEMA.format(what="dates").replace("heuristics", "how to detect it")
    assert (first.group, first.rollout, first.by, first.step, first.agent) == ("dates", "0", "people", 0, "B")
    assert "step 0, by B. Why: the dates were misread" in judge.asked[0] and "SECRET-42" in judge.asked[0]
    again = Answers(writer)
    learn([failure("dates", "9", step=2)], {"judge": again}, cache)
    learn([failure("dates", "9", step=2)], {"judge": again}, cache)
    assert len(again.asked) == 1 and len(cache) == 7


def test_the_file_is_only_added_to_and_read_again(tmp_path):
    path = tmp_path / "schemata.jsonl"
    learned(SchemaCache(path))
    before = path.read_bytes()
    learn([failure("maps", "7")], {"judge": Answers(writer)}, SchemaCache(path))
    assert path.read_bytes().startswith(before) and len(SchemaCache(path)) == 7
    assert [s.rollout for s in SchemaCache(path).schemata][-1] == "7"


def test_a_line_that_a_killed_process_left_unfinished_is_passed_over(tmp_path):
    path = tmp_path / "schemata.jsonl"
    learned(SchemaCache(path), names=("0",))
    path.write_bytes(path.read_bytes()[:-40])
    cache = SchemaCache(path)
    assert len(cache) == 2
    learn([failure("maps", "7")], {"judge": Answers(writer)}, cache)
    assert [s.group for s in SchemaCache(path).schemata] == ["dates", "sums", "maps"]
    path.write_bytes(b"x" * 200_000)
    SchemaCache(path).add(cache.schemata[0])
    assert len(SchemaCache(path)) == 1


def test_a_file_that_is_no_cache_is_refused_with_its_row(tmp_path):
    path = tmp_path / "wrong.jsonl"
    path.write_text('{"source": 1}\n')
    with pytest.raises(DataError, match="not a schema"):
        SchemaCache(path)
    for given in (None, tmp_path / "none.jsonl"):
        with pytest.raises(StepCreditError, match="no cache"):
            judged("correct", case_of(), Answers("step: 1"), cache=given)
    with pytest.raises(StepCreditError):
        judged("correct", case_of(), Answers("step: 1"), cache=SchemaCache(), k=0)
    with pytest.raises(StepCreditError, match="judge"):
        learn([failure("dates")], {}, SchemaCache())


def test_the_most_alike_runs_come_first_and_never_the_run_itself():
    cache, _, _ = learned()
    case = case_of(failure("sums", "0", step=0))
    case.steps[0].text += " of run 2"
    assert source_of(case) == cache.schemata[2].source
    near = cache.near(case, 3)
    assert (near[0].schema.group, near[0].schema.rollout) == ("sums", "1")
    assert near[0].likeness > near[1].likeness and cache.schemata[2] not in [n.schema for n in near]
    assert all(n.schema.group != "sums" for n in cache.near(case, 6, apart="task"))
    assert len(cache.near(case, 60)) == 5 and cache.near(case, 0) == [] and SchemaCache().near(case, 5) == []
    copy = case_of(failure("sums", "another name", step=0, group="another task"))
    copy.steps[0].text += " of run 2"
    assert cache.schemata[2] not in [n.schema for n in cache.near(copy, 60)]


def test_the_worked_example_of_the_neighbors():
    cosine = GOLDEN["cosine"]

    def embed(texts):
        found = [next((c for n, c in cosine.items() if f"pool run {n}." in t), 1.0) for t in texts]
        return np.array([[c, np.sqrt(1 - c * c)] for c in found])

    cache = SchemaCache(embedder=embed)
    runs = [failure("dates", n, task=f"About dates: pool run {n}.") for n in cosine]
    learn(runs, {"judge": Answers(writer)}, cache)
    near = cache.near(case_of(runs[-1]), GOLDEN["k"])
    assert [n.schema.rollout for n in near] == GOLDEN["neighbors"]
    assert [n.likeness for n in near] == pytest.approx([cosine[name] for name in GOLDEN["neighbors"]])
    for k, share in GOLDEN["within"].items():
        assert within(GOLDEN["predicted"], GOLDEN["gold"], int(k)).mean() == pytest.approx(share)


def test_schemata_guide_the_judge_and_the_right_answer_is_not_told():
    cache, _, _ = learned()
    judge = Answers("step: 2\nagent: A\nreason: as in the schema")
    verdict = judged("correct", case_of(failure("sums", "new")), judge, cache=cache, k=2)
    (prompt,) = judge.asked
    assert (verdict.step, verdict.agent) == (2, "A")
    assert (
        "[[0 schema 1]]\nsignatures: sums goes wrong" in prompt
        and "schema 2]]" in prompt
        and "schema 3]]" not in prompt
    )
    assert "that you may ignore" in prompt and "SECRET-42" not in prompt and "were misread" not in prompt
    assert [row[0] for row in verdict.evidence["schemata"]] == ["sums", "sums"]
    told = judged("correct", case_of(failure("sums", "new")), judge, cache=cache, tell=True, apart="task")
    assert "SECRET-42" in judge.asked[1] and not any(row[0] == "sums" for row in told.evidence["schemata"])


def test_the_variant_for_hosted_models_names_agent_and_step_of_the_source():
    cache, _, _ = learned()
    judge = Answers(("Agent Name: A\nStep Number: 0\nReason for Mistake: x",))
    verdict = judged("correct@cloud", case_of(failure("maps", "new")), judge, cache=cache, k=1)
    assert verdict.step == 0 and "(in that run: step " in judge.asked[0] and ", by B)" in judge.asked[0]
    assert len(judged("correct@who-and-when-generated", case_of(), judge, cache=cache).evidence["schemata"]) == 1
    assert (
        len(judged("correct@who-and-when-crafted", case_of(), judge, cache=cache, form="lines").evidence["schemata"])
        == 6
    )


def test_an_empty_cache_and_votes_and_limits():
    judge = Answers("step: 3")
    verdict = judged(
        "correct", case_of(run_of(8)), judge, cache=SchemaCache(), votes=2, limit=100, cut=120, seed=4, retries=0
    )
    assert verdict.evidence["schemata"] == [] and "schema" not in judge.asked[0]
    assert len(judge.asked) > 2 and verdict.confidence == 1.0 and "windows" in verdict.evidence


def test_what_cannot_be_learned_is_said_and_not_kept():
    cache = SchemaCache()
    plain = failure("dates", "0", blame=[])
    right = failure("sums", "1", blame=[Blame(by="p", step=0, label=1.0), Blame(by="p", step=99), Blame(by="p")])
    down = failure("maps", "2")
    left = learn([plain, right, down], {"judge": Answers(None)}, cache, retries=2, cut=200)
    assert set(left) == {("dates", "0"), ("sums", "1"), ("maps", "2")} and not len(cache)
    assert "did not answer" in left["maps", "2"]
    assert annotation(right) is None and annotation(down, by="nobody") is None
    assert learn([down], {"judge": Answers(("signatures",))}, cache, by="people", at_once=1)["maps", "2"].startswith(
        "the judge's"
    )
    assert "nobody names" in learn([down], {"judge": Answers(writer)}, cache, by="nobody")["maps", "2"]


def test_runs_like_those_in_the_cache_are_not_learned_again_below_delta():
    cache, _, _ = learned(names=("0",))
    judge = Answers(writer)
    like = learn([failure("dates", "twin")], {"judge": judge}, cache, delta=0.5)
    assert not judge.asked
    assert "alike" in like["dates", "twin"] and len(cache) == 3
    learn([failure("dates", "twin")], {"judge": Answers(writer)}, cache, delta=1.01)
    assert len(cache) == 4 and SchemaCache().likeness(case_of()) == 0.0


@pytest.mark.parametrize("at_once", [1, 2, 256])
@pytest.mark.parametrize("embedded", [False, True])
def test_of_runs_that_are_alike_one_is_learned_however_many_are_asked_about_at_once(at_once, embedded):
    def embed(texts):
        return np.array([[1.0, 0.0] if "About maps" in t else [0.0, 1.0] for t in texts])

    runs = [failure(topic, str(i)) for i in range(4) for topic in ("maps", "sums")]
    for i, run in enumerate(runs):
        run.steps[0].text += f" and number {i}"
    cache = SchemaCache(embedder=embed if embedded else None)
    left = learn(runs, {"judge": Slow(writer)}, cache, delta=0.5, at_once=at_once)
    assert [(s.group, s.rollout) for s in cache.schemata] == [("maps", "0"), ("sums", "0")]
    assert set(left) == {(r.group, r.rollout) for r in runs[2:]} and all("alike" in why for why in left.values())


class Slow:
    """A judge whose last answers come first."""

    def __init__(self, says):
        self.answers, self.n = Answers(says), 0

    async def each(self, request):
        self.n += 1
        await asyncio.sleep(0.02 / self.n)
        return self.answers([request.prompt])[0]


def test_what_is_passed_over_is_told_by_task_and_run():
    runs = [failure(topic, "0", blame=[]) for topic in TOPICS]
    assert set(learn(runs, {"judge": Answers(writer)}, SchemaCache())) == {(topic, "0") for topic in TOPICS}


def test_likeness_is_the_same_whether_the_cache_grew_or_was_read_whole(tmp_path):
    path = tmp_path / "schemata.jsonl"
    grown, _, _ = learned(SchemaCache(path), delta=1.01)
    case = case_of(failure("sums", "new"))
    assert grown.likeness(case) == pytest.approx(SchemaCache(path).likeness(case)) and 0.5 < grown.likeness(case) < 1
    again = grown.schemata[2]
    grown.add(structs.replace(again, log="something else entirely"))
    assert grown.likeness(case) == pytest.approx(SchemaCache(path).likeness(case))


def test_words_give_cosines_of_tf_idf():
    words = Words(["alpha beta", "alpha gamma gamma", "delta"], width=2**12)
    found = words.to("alpha beta")
    assert found[0] == pytest.approx(1.0) and 0 < found[1] < 0.6 and found[2] == 0
    assert not words.to("").any()


def test_a_whole_diagnosis_opens_the_file_by_its_name(tmp_path):
    path = tmp_path / "schemata.jsonl"
    learned(SchemaCache(path))
    judge = Answers("step: 2")
    runs = [failure(topic, "0") for topic in TOPICS]
    found = list(diagnose(runs, ["correct"], {"judge": judge}, options={"correct": {"cache": str(path), "k": "2"}}))
    assert [one.verdicts["correct"].step for one in found] == [2, 2, 2]
    assert all(len(one.verdicts["correct"].evidence["schemata"]) == 2 for one in found)
    assert log_text(case_of(runs[0])).startswith("task: About dates")
