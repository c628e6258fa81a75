"""Search over made-up facts: what is found, what is gold, when an answer is right."""

import sys

import numpy as np
import pytest
from text_worlds import begun, make

import stepcredit as sc
from stepcredit.envs import text
from stepcredit.envs.play import expert, noisy, play
from stepcredit.envs.text.multi_hop_search import normal
from stepcredit.errors import MissingExtra
from stepcredit.evidence import retrieval as evidence
from stepcredit.ops import wilson


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_each_gold_document_names_the_next_and_the_last_the_answer(hops):
    world = make("multi_hop_search", hops=hops)
    for seed in range(10):
        question = world.start(seed).question
        documents = {d.title: d for d in question.documents}
        assert len(set(question.gold)) == hops
        assert question.about == question.gold[0]
        assert question.about in question.text
        assert question.answer not in question.text
        for title, after in zip(question.gold, [*question.gold[1:], question.answer], strict=True):
            assert after in documents[title].names
            assert after in documents[title].text


def test_the_document_of_a_name_is_found_first():
    world = make("multi_hop_search", people=40)
    start = world.start(0)
    assert all(world.retrieve(start, d.title)[0] == d for d in start.question.documents)


def test_queries_find_the_same_every_time():
    one, two = make("multi_hop_search", found=10), make("multi_hop_search", found=10)
    for query in ("was born in", "city", "company founded by mayor"):
        assert one.retrieve(one.start(4), query) == two.retrieve(two.start(4), query)


def test_ties_stand_in_the_order_of_the_documents():
    """Every city says once that it is one; all are as long."""
    world = make("multi_hop_search", found=40)
    start = world.start(1)
    found = world.retrieve(start, "mayor")
    documents = [d for d in start.question.documents if "mayor" in d.text]
    lengths = {d.title: len(d.text.split()) for d in documents}
    same = [d for d in found if lengths[d.title] == lengths[found[0].title]]
    assert same == [d for d in documents if d in same]
    assert len(same) > 1


def test_words_that_no_document_has_are_refused():
    episode = begun("multi_hop_search")
    for query in ("quantum", "🐦", "...", "\x00", "$(reboot)"):
        assert episode.step(f"search {query}")[4]["reason"] == "no document has these words"


def test_a_state_is_the_gold_documents_seen():
    episode = begun("multi_hop_search", hops=2, found=1)
    gold = episode.world.gold(episode._state)
    other = next(d.title for d in episode._state.question.documents if d.title not in gold)
    before = episode.state
    episode.step(f"search {other}")
    assert episode.state == before == "seen: none"
    episode.step(f"search {gold[1]}")
    episode.step(f"search {gold[0]}")
    assert episode.state == f"seen: {gold[0]}, {gold[1]}"


@pytest.mark.parametrize("form", ["{}", " {}. ", "the {}", "THE {}!"])
def test_answers_are_right_without_case_punctuation_and_articles(form):
    episode = begun("multi_hop_search")
    answer = episode._state.question.answer
    assert episode.step("answer " + form.format(answer.upper()))[1:3] == (1, True)


def test_an_answer_in_a_sentence_is_not_exact():
    episode = begun("multi_hop_search")
    answer = episode._state.question.answer
    assert episode.step(f"answer It is {answer}")[1:3] == (0, True)
    assert normal("  The  Río-Grande, ") == "río grande"


def test_records_tell_what_was_found_so_that_evidence_can_score_searches():
    world = make("multi_hop_search", hops=3, found=1)
    runs = play(world.episode, expert, seeds=range(3))
    gold = {str(seed): list(world.gold(world.start(seed))) for seed in range(3)}
    batch = evidence.retrieval(sc.Batch.from_records(runs), measure="new", reference=gold)
    score = batch.columns["score"].reshape(3, 4)
    np.testing.assert_allclose(score[:, :3], 1 / 3)
    assert np.isnan(score[:, 3]).all()


def test_mistakes_of_a_noisy_expert_cost_success():
    runs = play(make("multi_hop_search").episode, noisy(expert, 0.5, seed=0), seeds=range(30), n=2)
    won = sum(run.outcome for run in runs)
    low, high = wilson(won, len(runs))
    assert low > 0
    assert high < 1


def test_without_the_package_the_world_says_which_extra_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtra, match=r"stepcredit\[envs\]"):
        text.get("multi_hop_search")()
