"""Entropy per step: by hand from a model and from columns, and a real model."""

import numpy as np
import pytest
from model_standins import Table, batch

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, Tokens
from stepcredit.errors import MissingColumn
from stepcredit.evidence import get
from stepcredit.evidence.entropy import cost, entropy, from_top
from stepcredit.llm import tiny

NAN = np.nan
H = {"ab": [1.0, 3.0], "c": [2.0]}


def model():
    return Table(lambda p, c: np.array(H[c]))


def test_mean_first_and_largest_by_hand():
    one = batch(["ab", "c", ""])
    for of, want in (("mean", [2, 2, NAN]), ("first", [1, 2, NAN]), ("max", [3, 2, NAN])):
        made = entropy(one, model(), of=of)
        np.testing.assert_allclose(made["entropy"], want)
        np.testing.assert_allclose(made["token_entropy"], [1, 3, 2])
    assert get("entropy@first-token").options["of"] == "first"


def test_the_column_stands_in_for_the_model():
    steps = [Step(text="ab", tokens=Tokens(entropy=[1.0, 3.0])), Step(text="c", tokens=Tokens(entropy=[None, 5.0]))]
    one = Batch.from_records([Rollout(group=0, rollout=0, steps=steps)])
    np.testing.assert_allclose(entropy(one, None)["entropy"], [2, NAN])
    np.testing.assert_allclose(entropy(one, None, of="first")["entropy"], [1, NAN])
    with pytest.raises(MissingColumn, match="token_entropy"):
        entropy(batch(["ab"]), None)


def test_a_failed_reply_is_not_judged_and_the_cost_is_what_is_asked():
    broken = Table(lambda p, c: None if c == "c" else np.array(H[c]))
    one = batch(["ab", "c"], ["ab", ""])
    made = entropy(one, broken)
    np.testing.assert_allclose(made["entropy"], [2, NAN, 2, NAN])
    assert len(broken.asked) == 2 and cost(one).calls == {"entropies": 2}
    assert "token_entropy" not in made


def test_texts_are_written_as_asked():
    table = model()
    entropy(batch([("ab", "seen"), "c"]), table, joiner="|", observations=False)
    assert table.asked == [("Q|", "ab"), ("Q|ab|", "c")]


def test_truncated_entropies_by_hand():
    np.testing.assert_allclose(from_top([np.log([0.5, 0.25, 0.15, 0.05])], renormalize=True), [1.1356], atol=1e-4)
    np.testing.assert_allclose(from_top([np.log([0.97, 0.02, 0.005])], renormalize=True), [0.1299], atol=1e-4)
    np.testing.assert_allclose(from_top([np.log([0.5, 0.25]), [0.0, -np.inf]], renormalize=False), [np.log(2), 0])


def test_a_real_model_is_less_sure_of_a_link_than_of_the_answer_that_repeats_it(engine):
    b = entropy(Batch.from_records(tiny.records(tiny.data(12, seed=5))), engine.entropies)
    last = b.layout.paths.left == 0
    assert b["entropy"][last].mean() < b["entropy"][~last].mean()
    np.testing.assert_allclose(
        b["entropy"][0], engine.entropies([f"{b.records[0].task}\n"], [b.records[0].steps[0].text])[0].mean(), atol=1e-4
    )
