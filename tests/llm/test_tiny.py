"""The small real model: its chains, its tokenizer, what it learns, what is written."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from stepcredit.errors import StepCreditError
from stepcredit.llm import local, tiny


def test_chains_calculate_from_left_to_right_modulo_ten():
    for chain in tiny.data(50, seed=1):
        value, rest = int(chain.task[0]), chain.task[1:-2]
        for op, digit in zip(rest[::2], rest[1::2], strict=True):
            value = (value + int(digit) if op == "+" else value * int(digit)) % 10
        assert chain.answer == str(value) and chain.steps[-1] == f"#{value}" and chain.outcome == 1
        assert len(chain.steps) == len(rest) // 2 + 1


def test_a_wrong_link_carries_on_and_the_answer_stays_right():
    chains, right = tiny.data(200, seed=1, wrong=1.0), tiny.data(200, seed=1)
    assert [c.task for c in chains] == [c.task for c in right]
    assert [c.answer for c in chains] == [c.answer for c in right]
    assert [c.answer for c in chains] != [c.steps[-1][1:] for c in chains]
    for chain in chains:
        links = chain.steps[:-1]
        for before, after in pairwise(links):
            assert after[0] == before[-1]
        assert chain.steps[-1] == f"#{links[-1][-1]}"
        assert chain.outcome == float(chain.answer == links[-1][-1])


def test_verify_reads_the_last_answer_line():
    assert tiny.verify(["#1\n#2", "3\n#1", "", "x#2"], ["2", "2", "2", "2"]).tolist() == [1, 0, 0, 0]


def test_records_of_one_task_are_one_group():
    chain = tiny.data(1, seed=3)[0]
    one, two = tiny.records([chain, chain])
    assert one.group == two.group == chain.task and one.rollout != two.rollout
    assert [s.text for s in one.steps] == list(chain.steps) and one.extra["gold"] == chain.answer


def test_every_character_is_a_token_and_newlines_survive_a_reload(tiny_model):
    text = "a b\n\n 1+1=2\n"
    for words in (local.load(tiny_model).tokenizer, tiny.tokenizer()):
        ids = words(text)["input_ids"]
        assert len(ids) == len(text) and words.decode(ids) == text
        assert words.unk_token_id not in ids and words.padding_side == "left"


def test_equal_seeds_give_equal_models_and_leave_the_random_state_alone(torch, transformers):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, _ = tiny.build(1, steps=3)
    assert torch.equal(before, torch.get_rng_state())
    two, _ = tiny.build(1, steps=3)
    three, _ = tiny.build(2, steps=3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), three.parameters(), strict=True))


def test_prefixes_carry_information_about_the_answer(engine):
    chains = [c for c in tiny.data(60, seed=77) if len(set(c.steps)) == len(c.steps)]
    task = engine.forcer([f"{c.task}\n" for c in chains], [f"#{c.answer}" for c in chains])
    told = ["\n".join((c.task, *c.steps[:-1], "")) for c in chains]
    end = engine.forcer(told, [f"#{c.answer}" for c in chains])
    at_task = np.array([x[1] for x in task])
    at_end = np.array([x[1] for x in end])
    assert np.exp(at_end).mean() > 0.9 > 0.6 > np.exp(at_task).mean()
    wrong = ["\n".join((c.task, *c.steps[:-2], c.steps[-2][:-1] + str((int(c.answer) + 1) % 10), "")) for c in chains]
    misled = np.array([x[1] for x in engine.forcer(wrong, [f"#{c.answer}" for c in chains])])
    assert np.exp(misled).mean() < 0.1


def test_a_file_is_no_place_for_a_model(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StepCreditError, match="needs a folder"):
        tiny.save(path, None, None)


def test_importing_loads_neither_torch_nor_transformers():
    code = "import stepcredit.llm.local, stepcredit.llm.tiny, sys; print({'torch', 'transformers'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
