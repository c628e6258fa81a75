"""What every kind of evidence owes: a card, presets that set what there is, a price where a model is asked."""

import inspect

import pytest

from stepcredit.evidence import get
from stepcredit.evidence.registry import built_in

KINDS = built_in()
ASKED = {"sampler", "forcer", "reference_forcer", "hidden_states", "entropies", "embedder", "equivalence"}


@pytest.mark.parametrize("name", KINDS)
def test_cards_say_what_they_must(name):
    card = get(name).card
    for field in ("title", "paper", "needs", "cost", "departures", "bibtex"):
        assert getattr(card, field).strip(), f"{name}: card says nothing of {field}"
    assert card.adds and card.bibtex.lstrip().startswith("@") and card.bibtex.count("{") == card.bibtex.count("}")


@pytest.mark.parametrize("name", KINDS)
def test_presets_set_options_that_there_are(name):
    kind = get(name)
    for label, preset in kind.presets.items():
        assert preset.source.strip() and set(preset.options) <= set(kind.options), f"{name}@{label}"


@pytest.mark.parametrize("name", KINDS)
def test_what_asks_a_model_says_its_price_by_options_of_the_same_name_and_default(name):
    kind = get(name)
    if not ASKED & set(kind.models):
        return
    assert kind.cost is not None, f"{name} asks {kind.models} and has no price"
    for option in list(inspect.signature(kind.cost).parameters.values())[1:]:
        assert option.kind is option.KEYWORD_ONLY and option.name in kind.options, f"{name}: cost({option.name})"
        assert option.default == kind.options[option.name], f"{name}: default of {option.name}"
