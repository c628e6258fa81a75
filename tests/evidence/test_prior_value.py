"""Prior values: labels, degenerate contexts, what is told from what, and embeddings of a real model."""

import numpy as np
import pytest

from stepcredit import plugins
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn, MissingExtra, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.prior_value import cost, prior_value
from stepcredit.llm import tiny

NAN = np.nan
POINT = {"easy": [1.0, 0.0], "hard": [0.0, 1.0]}


def embedder(texts):
    return np.array([POINT[t.split()[0]] for t in texts])


def tasks(*texts, outcomes=None, each=1):
    return Batch.from_records(
        [
            Rollout(
                group=g, rollout=f"{g}/{i}", task=t, outcome=None if outcomes is None else outcomes[g], steps=[Step()]
            )
            for g, t in enumerate(texts)
            for i in range(each)
        ]
    )


class Nearest:
    """Chance = share of label 1 among the points nearest to the one asked for."""

    seen = ()

    def fit(self, x, y):
        self.x, self.y = x, y
        Nearest.seen = (*Nearest.seen, (x, y))

    def predict_proba(self, asked):
        d = ((asked[:, None] - self.x[None]) ** 2).sum(-1)
        near = d == d.min(1, keepdims=True)
        p = (near * self.y).sum(1) / near.sum(1)
        return np.stack([1 - p, p], 1)


def test_the_value_is_the_classifiers_chance():
    context = [("easy a", 0.9), ("easy b", 0.4), ("easy c", 0.5), ("hard a", 0.1), ("hard b", NAN)]
    b = prior_value(tasks("easy x", "hard x", each=2), embedder, context=context, classifier=Nearest)
    np.testing.assert_allclose(b["prior_value"], [2 / 3, 0.0])
    assert b.axis("prior_value") == "G" and "4 scored tasks" in b.notes[-1]


def test_signed_scores_are_cut_at_zero_and_values_may_be_signed():
    context = {"easy a": -0.2, "easy b": 0.0, "hard a": -7.0}
    options = {**get("prior_value@v0").options, "classifier": Nearest, "context": context}
    b = prior_value(tasks("easy x", "hard x"), embedder, **options)
    np.testing.assert_allclose(b["prior_value"], [0.5, 0.0])
    options = {**get("prior_value@v0.5").options, "classifier": Nearest, "context": context}
    np.testing.assert_allclose(prior_value(tasks("easy x", "hard x"), embedder, **options)["prior_value"], [0.0, -1.0])


def test_a_context_of_one_class_has_its_rate_and_an_empty_one_none():
    for score, want in ((1.0, 1.0), (0.0, 0.0)):
        b = prior_value(tasks("easy x"), embedder, context=[("easy a", score)], classifier=Nearest)
        assert b["prior_value"].tolist() == [want]
    assert np.isnan(prior_value(tasks("easy x"), embedder, context=[])["prior_value"]).all()


def test_without_a_context_no_task_is_told_from_its_own_outcomes():
    texts = [f"{'easy' if g % 2 else 'hard'} {g}" for g in range(20)]
    outcomes = [float(g % 2) for g in range(20)]
    b = prior_value(tasks(*texts, outcomes=outcomes, each=2), embedder, classifier=Nearest)
    np.testing.assert_allclose(b["prior_value"], outcomes)
    outcomes[4] = 1.0
    other = prior_value(tasks(*texts, outcomes=outcomes, each=2), embedder, classifier=Nearest)["prior_value"]
    assert other[4] == 0 and other[2] >= 0
    with pytest.raises(MissingColumn, match="outcome"):
        prior_value(tasks("easy x"), embedder)


def test_a_large_context_is_drawn_from_by_seed():
    context = [(f"easy {i}", float(i % 3 > 0)) for i in range(100)]
    Nearest.seen = ()
    values = [
        prior_value(tasks("easy x"), embedder, context=context, classifier=Nearest, support=10, seed=s)["prior_value"][
            0
        ]
        for s in (1, 1, 2, 3, 4, 5)
    ]
    assert values[0] == values[1] and len(set(values)) > 1
    assert all(len(x) == 10 for x, _ in Nearest.seen)


def test_each_text_is_embedded_once_and_the_cost_is_that():
    asked = []

    def counting(texts):
        asked.extend(texts)
        return embedder(texts)

    b = tasks("easy x", "hard x", "easy x")
    context = [("easy x", 1.0), ("hard y", 0.0)]
    prior_value(b, counting, context=context, classifier=Nearest)
    assert sorted(asked) == ["easy x", "hard x", "hard y"]
    assert cost(b, context=context).calls == {"embed": 3} and cost(b).calls == {"embed": 2}


def test_what_is_wrong_is_named(monkeypatch):
    with pytest.raises(DataError, match="without one"):
        prior_value(tasks(""), embedder, context=[])
    with pytest.raises(StepCreditError, match="folds"):
        prior_value(tasks("easy x"), embedder, folds=1)
    with pytest.raises(StepCreditError, match="embeddings"):
        prior_value(tasks("easy x"), lambda texts: np.zeros(3), context=[("easy a", 1.0)])
    monkeypatch.setattr(plugins, "import_module", _absent)
    with pytest.raises(MissingExtra, match="scikit-learn"):
        prior_value(tasks("easy x"), embedder, context=[("easy a", 1.0), ("hard a", 0.0)])


def _absent(name):
    raise ModuleNotFoundError(name=name.partition(".")[0])


def test_logistic_regression_on_a_real_models_embeddings(engine, sklearn):
    # What a policy could find hard, and the task's text tells: chains that end by multiplying.
    chains = tiny.data(200, seed=9, links=(2, 2))
    score = {c.task: float(c.task[-4] == "+") for c in chains}
    b = Batch.from_records(tiny.records(chains[:50]))
    value = prior_value(b, engine.embedder, context={t: s for t, s in score.items() if t not in b.keys["group"]})
    easy = np.array([score[b.group_name(g)] for g in range(b.layout.G)]) == 1
    assert (value["prior_value"][easy][:, None] > value["prior_value"][~easy]).mean() > 0.8
    assert ((value["prior_value"] >= 0) & (value["prior_value"] <= 1)).all()
