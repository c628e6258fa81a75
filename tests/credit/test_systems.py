"""One list of every published system, whatever it is here."""

import re

import numpy as np
import pytest

import stepcredit as sc
from stepcredit import evidence, systems
from stepcredit.credit.registry import METHODS, SELECTORS
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence.run import cost

PUBLISHED = {
    "method": "a2tgpo a3 branchgrpo capo gae gigpo grpo gui_libra hgpo hicra igpo kat_step_srpo ma_rlhf opagent oprl "
    "p2s pav portool ppr prime prl propa prorag pure r3l salt scrl siop slate spa_rl spae spo_chain spo_tree srgpo "
    "step_grpo tp_grpo tp_grpo_flow ui_s1 v05 verl_effective_rank vsrm fathom_rapo",
    "preset": "doccogito dr_grpo f_grpo hi_agent matchtir rloo search_r2 slea_rl step_grpo_a swe_trace treeps_rag virl "
    "visual_step_rewards vl_dac vpr",
    "selector": "blend_asc dapo exit prof rapo scope_correct v0",
    "evidence": "calm implicit_prm lare rrm_rubric scope_ttrl",
    "label": "omegaprm mm_prm math_shepherd scan qwen_prm_lessons vl_prm alphamath groundedprm rearter autopsv spare "
    "spark fover safe_lean webstar step_gui tick refine_and_compare label/capo label/prorag label/rrm_rubric",
    "search": "beam best_of_n dvts mcts majority fobar p_true early_rejection gflownet iterative_deepening "
    "particle_filter alphamath_sbs ovm swe_search bavt prism arbitrage glimprouter pra booststep trad r2_llms cosmos "
    "step_q search/blend_asc search/adaptive",
}


@pytest.mark.parametrize(("kind", "names"), PUBLISHED.items())
def test_published_systems_are_found_as_what_they_are(kind, names):
    for name in names.split():
        assert systems.kind_of(systems.get(name)) == kind, name


def test_no_name_means_two_things():
    lists = [METHODS.names(), SELECTORS.names(), evidence.names()]
    together = [name for names in lists for name in names]
    together += [f"{room}/{name}" for room, shelf in systems.planners().items() for name in shelf.names()]
    assert sorted(together) == systems.names()


@pytest.mark.parametrize("name", systems.names())
def test_every_system_says_what_it_is_and_can_be_cited(name):
    one = systems.describe(systems.get(name))
    assert one["kind"] in systems.KINDS and one["title"] and one["paper"] and one["cost"] and one["doc"]
    assert sc.cite(name).startswith("@")
    if one["kind"] == "evidence":
        assert one["adds"]


def test_a_preset_of_a_selector_is_a_selector():
    assert systems.kind_of(systems.get("dapo")) == "selector"
    assert systems.kind_of(systems.get("rloo")) == "preset"


def test_an_unknown_name_gets_the_nearest_of_all_kinds():
    with pytest.raises(UnknownName, match="rrm_rubric"):
        systems.get("rrm_rubrik")


def judged():
    steps = [Step(text="2+2=4"), Step(text="4*3=13")]
    return sc.Batch.from_records(
        [Rollout(group="p", rollout=r, outcome=1 - r, task="?", steps=steps, extra={"gold": "13"}) for r in range(2)]
    )


def test_what_was_gathered_is_cited_with_the_method_that_used_it():
    batch = sc.gather(judged(), "judge_turn@ppr", judge=lambda prompts: [None] * len(prompts))
    assert batch.origins == {"score": "judge_turn@ppr"}
    used, unused = sc.cite(sc.assign(batch, "pure")), sc.cite(sc.assign(batch, "grpo"))
    assert sc.cite("judge_turn@ppr") in used and sc.cite("pure") in used
    assert sc.cite("judge_turn@ppr") not in unused
    assert batch.take(np.array([0])).origins == batch.origins


def test_a_paper_is_cited_once_even_where_method_and_evidence_both_name_it():
    assert sc.cite("capo", "judge_steps@capo") == sc.cite("capo")


def test_a_paper_has_one_key_whatever_cites_it():
    """`cite` tells entries apart by their keys: with two, a bibliography would list the paper twice."""
    keys: dict[str, set[str]] = {}
    for name in systems.names():
        system = systems.get(name)
        for entry in (system.card.bibtex, *(p.bibtex or "" for p in system.presets.values())):
            for one in re.split(r"(?m)^(?=@)", entry):
                for number in set(re.findall(r"\b\d{4}\.\d{5}\b", one)):
                    keys.setdefault(number, set()).add(one.partition("{")[2].partition(",")[0])
    assert len(keys) > 50
    assert {number: found for number, found in keys.items() if len(found) > 1} == {}


def test_gathering_says_which_models_are_missing():
    with pytest.raises(StepCreditError, match="asks for judge; got 0 models"):
        sc.gather(judged(), "judge_steps")


def test_the_price_is_known_before_anything_is_spent():
    spent = []

    def judge(prompts):
        spent.extend(prompts)
        return [None] * len(prompts)

    price = cost(judged(), "judge_steps", critiques=3)
    assert dict(price.calls) == {"judge": 6} and not spent
    sc.gather(judged(), "judge_steps", judge, critiques=3)
    assert len(spent) == 6
    assert str(price) == "6 judge calls"


def test_options_of_evidence_are_checked_by_name():
    with pytest.raises(UnknownName, match="critiques"):
        cost(judged(), "judge_steps", critics=3)


@pytest.mark.parametrize("name", systems.names())
def test_a_preset_of_another_paper_says_itself_how_sure_it_is(name):
    one = systems.get(name)
    if one.preset and one.preset.paper not in (None, one.card.paper):
        assert one.preset.evidence, f"{name} has the evidence level of {one.base}"
