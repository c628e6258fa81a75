"""Visual actions against evidence, and documents against right ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import from_arrays
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn, UnknownName
from stepcredit.evidence.retrieval import coverage, ndcg, precision, reciprocal_rank, retrieval
from stepcredit.evidence.visual_match import Look, iou, looks, visual_match

GOLD = {"valid_segments": [2], "valid_frames": [[30, 50]], "valid_bounding_box": [[40, [0, 0, 10, 10]]]}


def of(*texts, **gold):
    return Batch.from_records([Rollout(group="g", rollout="a", steps=[Step(text=t) for t in texts], extra=gold)])


def test_the_worked_example_of_the_specification():
    batch = of("FIND_SEGMENT(x) = [2, 5]", "FIND_FRAME(x) = 40", "SPATIAL_ZOOM(x) = [0, 0, 10, 4]", **GOLD)
    made = visual_match(batch)
    assert made["reward.visual"].tolist() == [0.75] and made["label"].tolist() == [-1, 1, 1]


def test_one_segment_without_brackets_is_one_segment():
    assert looks("FIND_SEGMENT(x) = 2") == [Look("segment", 2.0)]
    assert visual_match(of("FIND_SEGMENT(x) = 2", **GOLD))["reward.visual"].tolist() == [1]


def test_decimals_are_numbers_and_no_numbers_are_nothing():
    assert looks("SPATIAL_ZOOM(x) = [0.5, .5, 1., 2]")[0].box == (0.5, 0.5, 1, 2)
    assert looks("FIND_FRAME(x) = [ , 3.3.3,]") == [] and looks("") == []


@given(st.text(alphabet="FIND_SEGMTRALZOP()=[], 0123.\n", max_size=60) | st.text(max_size=40))
def test_no_text_breaks_the_reader(text):
    made = visual_match(of(text, **GOLD))
    assert (0 <= made["reward.visual"][0] <= 1 and made["label"][0] in (-1, 0, 1)) or np.isnan(made["label"][0])


boxes = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@given(boxes, boxes)
def test_overlap_is_that_of_counted_cells(a, b):
    cells = [{(x, y) for x in range(q[0], q[2]) for y in range(q[1], q[3])} for q in (a, b)]
    union = len(cells[0] | cells[1])
    assert iou(a, b) == pytest.approx(len(cells[0] & cells[1]) / union if union else 0, abs=1e-5)
    assert iou(a, b) == iou(b, a)


def test_any_of_several_boxes_of_a_frame_will_do():
    gold = {"valid_bounding_box": [[4, [0, 0, 10, 10]], [4, [50, 50, 60, 60]]]}
    looked = "FIND_FRAME(x) = 4\nSPATIAL_ZOOM(x) = [0, 0, 10, 10]"
    made = visual_match(of(looked, looked, "SPATIAL_ZOOM(x) = [50, 50, 60, 60]", **gold))
    assert made["reward.visual"].tolist() == [1] and made["label"].tolist() == [1, 0, 1]


def test_steps_may_be_read_by_a_function_and_remember_frames():
    batch = Batch.from_records(
        [Rollout(group="g", rollout="a", steps=[Step(extra={"f": 40}), Step(extra={"b": [0, 0, 9, 10]})], extra=GOLD)]
    )

    def parse(step):
        return [Look("frame", 40)] if "f" in step.extra else [Look("box", None, tuple(step.extra["b"]))]

    made = visual_match(batch, parse=parse)
    assert made["reward.visual"].tolist() == [1] and made["label"].tolist() == [1, 1]


def test_evidence_of_another_form_is_refused_and_so_is_none_at_all():
    with pytest.raises(DataError, match="evidence has another form") as error:
        visual_match(of("x", valid_frames=[3]))
    assert error.value.rollout == "a"
    with pytest.raises(DataError, match="no rollout says where the evidence is"):
        visual_match(of("x"))


def test_a_rollout_that_never_looked_has_no_reward_and_no_labels():
    made = visual_match(of("thinking", **GOLD))
    assert made["reward.visual"].tolist() == [0] and np.isnan(made["label"]).all()


def test_a_shared_step_has_the_mean_label_of_its_rollouts():
    extra = {"valid_segments": [2]}
    tree = Batch.from_records(
        [
            Rollout(group="g", rollout=0, steps=[Step(id="s", text="FIND_SEGMENT(x) = 2")], extra=extra),
            Rollout(group="g", rollout=1, prefix=["s"], steps=[Step(text="FIND_SEGMENT(x) = 2")], extra=extra),
        ]
    )
    made = visual_match(tree)
    assert made["label"].tolist() == [1, 0] and made["reward.visual"].tolist() == [1, 1]


names = st.lists(st.sampled_from("abcdxyz"), max_size=8)


@given(names, st.lists(st.sampled_from("abc"), min_size=1, max_size=3), st.sampled_from([None, 1, 3, 10]))
def test_measures_of_rank_are_those_of_plain_loops(items, right, k):
    ranked = [x for i, x in enumerate(items) if x not in items[:i]][:k]
    gain = sum(1 / np.log2(i + 2) for i, x in enumerate(ranked) if x in right)
    best = sum(1 / np.log2(i + 2) for i in range(min(len(set(right)), k or 99)))
    assert ndcg(items, right, k) == pytest.approx(gain / best)
    places = [i + 1 for i, x in enumerate(ranked) if x in right]
    assert reciprocal_rank(items, right, k) == (1 / places[0] if places else 0)
    assert coverage(items, right) == len(set(items) & set(right)) / len(set(right))
    assert np.isnan(precision(items, right)) == (not items)


def test_documents_of_bare_arrays_and_references_of_every_kind():
    batch = Batch.from_records(
        Rollout(group=g, rollout=g, steps=[Step(observation='["a", "b"]'), Step()]) for g in "pq"
    )
    made = retrieval(batch, items="observation", reference={"p": ["a"], "q": ["c"]}, into="progress", measure="seen")
    assert made["progress"].tolist() == [1, 1, 0, 0]
    assert made.notes[-1] == "progress: seen of 'observation'; 4 of 4 steps judged"
    for wrong, error in ((["a", ["b"]], DataError), ("{", DataError), ("3", DataError)):
        with pytest.raises(error, match="list of names"):
            retrieval(batch, items="observation", reference=lambda r, wrong=wrong: wrong)
    with pytest.raises(UnknownName, match="coverage"):
        retrieval(batch, measure="coverge")
    with pytest.raises(MissingColumn, match="needs column 'documents'"):
        retrieval(batch, reference={"p": [], "q": []})
    with pytest.raises(MissingColumn, match="'state' holds none"):
        retrieval(batch, into="state")
    bare = from_arrays(group=["g"], rollout=["a"], outcome=[1], observation=['["a"]'])
    with pytest.raises(Exception, match="holds arrays alone"):
        retrieval(bare, items="observation")
