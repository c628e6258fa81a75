"""CreditGRPOTrainer: checkpoints that go on exactly, and those that must not; several processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trl_rig import GRPOTrainer, dataset, make, quiet, rollouts, spread_run, torch, weights

from stepcredit.errors import DataError, StepCreditError
from stepcredit.integrations import _checkpoint
from stepcredit.integrations._padded import Assigner

pytestmark = quiet
HERE = Path(__file__).parent
RUN = {
    "credit": "gigpo", "credit_options": {"gamma": 0.9}, "credit_lint_every": 2, "save_strategy": "steps",
    "save_steps": 2, "max_steps": 4,
}  # fmt: skip


def run(folder, resume=None, **changed):
    # One epoch of prompts: TRL's sampler does not save the order that it draws anew each epoch.
    trainer = make(folder, odd, data=dataset(8), rollout_func=sampled, **{**RUN, **changed})
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def odd(completion_ids, **kwargs):
    """The share of odd tokens."""
    return [float(np.mean([t % 2 for t in ids])) for ids in completion_ids]


def sampled(prompts, trainer):
    """Two turns of four tokens, drawn by torch's generator as sampling would, with a tool's token between them."""
    draws = torch.randint(3, 90, (len(prompts), 9)).tolist()
    return {
        "prompt_ids": [trainer.processing_class(prompt)["input_ids"] for prompt in prompts],
        "completion_ids": draws,
        "logprobs": [[0.0] * 9 for _ in prompts],
        "env_mask": [[1] * 4 + [0] + [1] * 4 for _ in prompts],
        "state": [["start", ids[0] % 2] for ids in draws],
    }


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of four steps with checkpoints at 2 and 4: (its trainer, its folder)."""
    folder = tmp_path_factory.mktemp("straight")
    return run(folder), folder


def test_a_run_that_goes_on_from_a_checkpoint_ends_where_the_straight_run_ends(straight, tmp_path):
    trainer, folder = straight
    again = run(tmp_path, str(folder / "checkpoint-2"))
    assert torch.equal(weights(again), weights(trainer))
    logged = [[row for row in t.state.log_history if row.get("step", 0) > 2] for t in (again, trainer)]
    for mine, theirs in zip(*logged, strict=True):
        assert {k: mine[k] for k in mine if "credit/" in k and "time" not in k} == {
            k: theirs[k] for k in theirs if "credit/" in k and "time" not in k
        }


def test_the_checkpoint_says_what_the_credit_was(straight):
    state = json.loads((straight[1] / "checkpoint-2" / "stepcredit.json").read_text())
    assert (state["method"], state["calls"], state["options"]["gamma"]) == ("gigpo", 2, 0.9)
    assert state["options"]["omega"] == 1.0  # defaults too: they may change


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"credit": "grpo", "credit_options": {}}, "is of another credit: method was 'gigpo', is 'grpo'"),
        ({"credit_options": {"gamma": 0.8}}, "credit: gamma was 0.9, is 0.8"),
        ({"credit_reward": "outcome"}, "reward was None, is 'outcome'"),
    ],
)
def test_another_credit_is_an_error_unless_it_is_said_to_change(straight, tmp_path, changed, said):
    checkpoint = str(straight[1] / "checkpoint-2")
    with pytest.raises(StepCreditError, match=said):
        run(tmp_path, checkpoint, **changed)
    trainer = run(tmp_path, checkpoint, credit_resume="change", max_steps=3, **changed)
    assert trainer.state.global_step == 3


def test_the_same_credit_under_another_name_is_the_same(straight, tmp_path):
    trainer = run(tmp_path, str(straight[1] / "checkpoint-2"), credit_options={"gamma": "0.9", "omega": 1}, max_steps=3)
    assert trainer.state.global_step == 3


def test_a_run_that_had_no_credit_says_so(tmp_path):
    plain = make(tmp_path, kind=GRPOTrainer, rollout_func=rollouts(), save_strategy="steps", save_steps=1)
    plain.train()
    with pytest.raises(StepCreditError, match=r"trained without stepcredit(.|\n)*credit_resume=\"change\""):
        run(tmp_path, True)
    assert run(tmp_path, True, credit_resume="change", max_steps=2).state.global_step == 2


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "stepcredit.json"],
)
def test_a_checkpoint_cut_in_half_names_the_file_and_the_one_before(straight, name):
    file = straight[1] / "checkpoint-4" / name
    whole = file.read_bytes()
    try:
        for kept in (len(whole) // 2, len(whole) - 1 - name.endswith(".json"), 0):
            file.write_bytes(whole[:kept])
            with pytest.raises(DataError, match=rf"{name}: is cut short or damaged(.|\n)*checkpoint-2'"):
                straight[0].train(resume_from_checkpoint=True)
    finally:
        file.write_bytes(whole)
    _checkpoint.whole(straight[1] / "checkpoint-4")


def test_the_first_checkpoint_has_none_before_it(tmp_path):
    folder = tmp_path / "checkpoint-7"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"\0\0\0")
    with pytest.raises(DataError, match="there is no checkpoint before it"):
        _checkpoint.whole(folder)
    with pytest.raises(DataError, match="no checkpoint here"):
        _checkpoint.whole(tmp_path / "checkpoint-8")


def test_options_that_are_functions_are_known_by_name():
    assigner = Assigner("gigpo", options={"gamma": 0.5})
    assigner.options["gamma"] = weights
    assert _checkpoint.described(assigner)["options"]["gamma"] == "trl_rig.weights"


# Several processes

SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
import torch
torch.set_num_threads(1)
from trl_rig import spread_run
spread_run(Path(sys.argv[1]), 6)
"""


def launch(folder, processes):
    """The script in so many processes, as torchrun starts them."""
    script = folder / "run.py"
    script.write_text(SCRIPT.format(tests=str(HERE.parent), here=str(HERE)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
              "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            text=True,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        for rank in range(processes)
    ]
    for process in running:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told[-3000:]


def loaded(file):
    with np.load(file) as arrays:
        return dict(arrays)


def test_two_processes_compute_what_one_does_where_groups_are_split_over_them(tmp_path):
    """12 rows in groups of 4: one process with all, and two whose border (row 6) cuts the second group."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    spread_run(one, 12)
    launch(two, 2)
    alone, *ranks = (loaded(file) for file in (one / "rank0.npz", two / "rank0.npz", two / "rank1.npz"))
    assert [r["credit_row"].tolist() for r in ranks] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    for name in ("advantages", "tool_mask", "credit_clip_scale", "completion_ids"):
        np.testing.assert_allclose(np.concatenate([r[name] for r in ranks]), alone[name], atol=1e-6)
    assert alone["num_items_in_batch"] == ranks[0]["num_items_in_batch"] == ranks[1]["num_items_in_batch"] == 3 * 9
    np.testing.assert_array_equal(ranks[0]["all"], ranks[1]["all"])
    trained = [np.load(two / f"weights{r}.npy") for r in (0, 1)]
    np.testing.assert_array_equal(*trained)
    np.testing.assert_allclose(trained[0], np.load(one / "weights0.npy"), atol=2e-5)
    # What is wrong on one process stops both, by the number of the row among all.
    for name, said in (("gain", "column 'gain', row 6: got 1 values, expected 2"), ("credit", "row 6: 'group' is no")):
        told = [(two / f"{name}{r}.txt").read_text() for r in (0, 1)]
        assert told[0] == told[1]
        assert told[0].startswith(said)
