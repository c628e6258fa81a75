"""What every kind of evidence owes: a card, presets that set what there is, a price where a model is asked."""

import inspect
import re

import pytest

from stepcredit.data.columns import TABLE
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


def test_what_the_table_of_columns_names_as_their_maker_makes_them():
    named = [(c.name, kind) for c in TABLE for kind in re.findall(r"--kind ([a-z0-9_@-]+)", c.made_by)]
    assert len(named) > 20
    for column, kind in named:
        assert column in get(kind).card.adds, f"{kind} makes no {column}"


def test_every_column_that_evidence_makes_names_a_kind_that_does():
    free = {"outcome", "reward", "state", "match", "accept", "well_formed", "progress"}
    for kind in KINDS:
        for name in get(kind).card.adds:
            known = next((c for c in TABLE if c.name == name), None)
            if known is not None and name not in free:
                assert "--kind" in known.made_by, f"{name}, which {kind} makes, does not say so"
