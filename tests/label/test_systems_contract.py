"""What holds for every label system, whatever its models do."""

from hashlib import blake2b

import msgspec
import numpy as np
import pytest

from stepcredit.data.records import Rollout, Step
from stepcredit.label.labels import NONE
from stepcredit.label.rows import row_of
from stepcredit.label.run import SYSTEMS, label
from stepcredit.label.work import Setting
from stepcredit.llm.requests import Ask, BudgetSpent, Check, Continue, Failed, Force, Score
from stepcredit.protocols import Sample

OPTIONS = {}  # of systems that cannot do without one
SAID = (
    "Yes",
    "No",
    "1",
    "0.3",
    r"\boxed{-1}",
    r"\boxed{1}",
    '{"correct": true}',
    "Step 1: correct. Step 2: wrong.",
    "",
)
SHAPES = {
    "several": [("one", "two", "three"), ("one", "two", "other", "four"), ("else", "two")],
    "one step": [("lone",), ("single",)],
    "two hundred steps": [tuple(f"step {i}" for i in range(200))],
    "unicode": [("zwölf 🙂 ∑ᵢ", "\u202eright to left", "𝕏\x00"), ("naïve", "日本語")],
    "empty texts": [("", "", ""), ("a", "", "b")],
}
each_system = pytest.mark.parametrize("name", SYSTEMS.names(presets=True))


def draw(request, what=""):
    digest = blake2b(repr((request, what)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


class Models:
    """Everybody who is asked. fails: share of replies that fail. budget: requests (but checks) that are answered."""

    def __init__(self, fails=0.0, budget=None):
        self.fails, self.budget, self.asked = fails, budget, 0

    async def each(self, request):
        if not isinstance(request, Check):
            if self.budget is not None and self.asked >= self.budget:
                raise BudgetSpent("the budget is spent")
            self.asked += 1
        if draw(request, "fails") < self.fails:
            return Failed("it is down")
        return self._said(request)

    def _said(self, request):
        u = draw(request)
        match request:
            case Continue():
                texts = [
                    f"so {int(draw(request, i) * 3)}\nthen\nAnswer: {int(draw(request, -i) * 2)}"
                    for i in range(request.n)
                ]
                return [_sample(text) for text in texts]
            case Ask():
                return SAID[int(u * len(SAID))]
            case Check():
                return float(u < 0.4)
            case Score():
                return u
            case Force():
                return np.full(max(1, len(request.continuation.split())), -1 - u)


def _sample(text):
    words = tuple(w + " " for w in text.split(" "))
    return Sample(text, words, np.full(len(words), -0.5), read=3, written=len(words))


def rollouts(shape="several"):
    return [
        Rollout(
            group="p",
            rollout=i,
            task="What is asked?",
            outcome=float(i % 2),
            steps=[Step(text=t) for t in steps],
            extra={"reference": "1"},
        )
        for i, steps in enumerate(SHAPES[shape])
    ]


def run(name, models, given=None, seed=0):
    given = rollouts() if given is None else given
    card = SYSTEMS.get(name).card
    doors = dict.fromkeys((*card.asks, *card.may_ask), models)
    options = OPTIONS.get(name.partition("@")[0], {})
    ended = dict(label(given, name, doors, setting=Setting(seed=seed), **options))
    assert sorted(ended) == list(range(len(ended)))
    found = [one for place in sorted(ended) for one in ended[place]]
    check(found, given)
    return found


def check(found, given):
    """Every rollout has its labels once; they are what labels may be."""
    named = {(one.group, one.rollout): one for one in found}
    assert len(named) == len(found)
    for record in given:
        one = named.pop((record.group, record.rollout))
        assert len(one) and one.steps == tuple(s.text for s in record.steps)[: len(one)]
    assert all(str(rollout).startswith("p/drawn-") for _, rollout in named)
    for one in found:
        known = one.label[~np.isnan(one.label)]
        assert ((known >= 0) & (known <= 1)).all() and not np.isinf(one.value).any()
        assert ((one.won >= 0) & (one.won <= one.drawn)).all()
        if one.first_error not in (None, NONE):
            assert not one.label[one.first_error] >= 0.5
            assert not (one.label[: one.first_error] == 0).any()
        if one.first_error == NONE:
            assert not (one.label == 0).any()


def told(found):
    return [msgspec.json.encode(row_of(one)) for one in found]


@each_system
@pytest.mark.parametrize("shape", SHAPES)
def test_labels_fit_the_steps_of_any_shape_and_again_are_equal(name, shape):
    given = rollouts(shape)
    before = msgspec.json.encode(given)
    first = run(name, Models(), given)
    assert told(run(name, Models(), given)) == told(first)
    assert msgspec.json.encode(given) == before


@each_system
def test_where_everything_fails_nothing_is_judged_without_a_word(name):
    for one in run(name, Models(fails=1.0)):
        asked = np.isnan(one.label[:-1])
        assert not (asked.any() and one.spent) or any(one.reasons), one


@each_system
def test_where_everything_fails_and_no_outcome_is_known_nothing_is_said(name):
    given = rollouts()
    for record in given:
        record.outcome = None
    for one in run(name, Models(fails=1.0), given):
        assert np.isnan(one.label).all() and np.isnan(one.value).all() and not one.drawn.any()
        assert one.first_error is None


@each_system
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_what_fails_sometimes_is_not_judged_and_ends_nothing(name, share):
    models = Models(fails=share)
    assert told(run(name, models)) == told(run(name, Models(fails=share)))


@each_system
def test_a_budget_that_is_spent_half_way_ends_nothing(name):
    all_ = Models()
    run(name, all_)
    for budget in {0, 1, all_.asked // 2}:
        models = Models(budget=budget)
        found = run(name, models)
        assert models.asked <= budget
        if budget < all_.asked and any(np.isnan(one.label).any() for one in found):
            assert any("budget" in f"{one.reasons} {one.facts}" for one in found)
