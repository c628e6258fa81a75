import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from train_rig import config, quiet, settings, torch, weights, yaml

import stepcredit as sc
from stepcredit.app.view.answers import Head
from stepcredit.app.view.dynamics import dynamics
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.rows import part
from stepcredit.data import Reading
from stepcredit.envs import text
from stepcredit.errors import DataError, StepCreditError
from stepcredit.train import run
from stepcredit.train.watch import Watch, read

pytestmark = quiet

COMMAND = [sys.executable, "-m", "stepcredit", "train"]


def command(*given, **more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run([*COMMAND, *map(str, given)], capture_output=True, text=True, env=environment, **more)


def trained(folder, **given):
    warned = []
    result = run.train(config(folder, **given), screen=run.Screen(warn=warned.append))
    return result, warned


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run from its beginning to its end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, trained(folder)[0]


def test_a_run_leaves_a_model_its_metrics_and_its_curve(whole):
    folder, result = whole
    lines = read(folder / "metrics.jsonl")
    steps = [line for line in lines if "loss" in line]
    assert [(line["step"], line["rollouts"]) for line in steps] == [(1, 8), (2, 16), (3, 24), (4, 32)]
    assert all(0 <= line["rollouts/valid"] <= 1 and "credit/dead_groups" in line for line in steps)
    assert [line["step"] for line in lines if "eval_success" in line] == [0, 4]
    assert result["rollouts"] == 32
    assert 0 < result["share_of_time_in_credit"] < 1
    assert weights(folder / "model").isfinite().all()
    assert not torch.equal(weights(folder / "model"), weights(folder / "start"))
    assert {p.name for p in (folder / "checkpoints").glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    assert (folder / "curve.svg").stat().st_size > 1000


def test_rollouts_are_kept_with_the_credit_that_they_were_trained_on(whole):
    folder, result = whole
    assert result["kept"] == str(folder / "rollouts.jsonl")
    runs = list(Reading(result["kept"]))
    assert [run.policy_version for run in runs] == [v for v in range(4) for _ in range(8)]
    assert [run.group for run in runs[8:16]] == ["1/0"] * 4 + ["1/1"] * 4
    assert {run.extra["seed"] for run in runs} <= set(range(20))
    batch = sc.read(result["kept"])
    trained_on = batch["credit.gigpo"]
    assert np.array_equal(sc.assign(batch, "gigpo").steps, trained_on)
    assert np.allclose(batch["advantage"], trained_on)
    spread = [line["credit/spread"] for line in read(folder / "metrics.jsonl") if "loss" in line]
    version = batch["policy_version"][batch.layout.rollout]
    assert np.allclose([trained_on[version == v].std() for v in range(4)], spread)
    assert all(step.text and step.observation and step.tokens.n > 0 for run in runs for step in run.steps)


def test_the_page_of_training_shows_what_was_kept(whole):
    batch = sc.read(whole[0] / "rollouts.jsonl")
    answers = Memory([part(batch, [sc.assign(batch, "gigpo")], names=["gigpo"])], Head())
    told = dynamics(answers, [whole[0]])
    assert told["axis"] == "policy version" and told["checkpoints"] == [0, 1, 2, 3, 4]
    shown = {metric["name"]: metric["series"] for metric in told["metrics"] if metric["source"] == "runs"}
    assert shown["zero"][0]["at"] == [0, 1, 2, 3] and None not in shown["zero"][0]["values"]
    assert told["histograms"][0]["method"] == "gigpo" and np.sum(told["histograms"][0]["counts"]) > 0
    assert any(metric["source"] == "training" for metric in told["metrics"])


def test_a_run_that_is_killed_and_goes_on_comes_to_the_same_weights(whole, tmp_path):
    folder = tmp_path / "run"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(settings(folder, rl={"steps": 4})))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([*COMMAND, str(file)], env=environment, stderr=subprocess.PIPE, text=True)
    metrics, until = folder / "metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if metrics.exists() and '"step": 3' in metrics.read_text():
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (folder / "checkpoints" / "checkpoint-2").is_dir()
    again = command(file, "--resume")
    assert again.returncode == 0, again.stderr
    assert torch.equal(weights(folder / "model"), weights(whole[0] / "model"))
    told, plain = ([{**line, "seconds": 0} for line in read(f / "metrics.jsonl")] for f in (folder, whole[0]))
    same = ("step", "rollouts", "loss", "rollouts/success", "eval_success", "credit/spread")
    pick = [
        [{n: line.get(n) for n in same} for line in lines if "train_runtime" not in line] for lines in (told, plain)
    ]
    assert pick[0] == pick[1]
    assert (folder / "rollouts.jsonl").read_bytes() == (whole[0] / "rollouts.jsonl").read_bytes()
    assert "Success on tasks that training never met" in again.stdout


def test_a_folder_in_use_and_other_settings_are_refused(whole):
    folder, _ = whole
    with pytest.raises(StepCreditError, match=r"is not empty.*\n.*--resume goes on"):
        run.train(config(folder))
    with pytest.raises(StepCreditError, match="other settings: seed: was 0, is 1"):
        run.train(config(folder, seed=1), resume=True)


def test_a_checkpoint_that_is_cut_short_is_named_with_the_one_before(whole):
    folder, _ = whole
    part = folder / "checkpoints" / "checkpoint-4" / "model.safetensors"
    before = part.read_bytes()
    part.write_bytes(before[: len(before) // 2])
    try:
        with pytest.raises(DataError, match=r"(?s)model\.safetensors.*rm -r .*checkpoint-4.*checkpoint-2"):
            run.train(config(folder), resume=True)
    finally:
        part.write_bytes(before)


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path):
    plan = run.plan(config(tmp_path / "run"))
    assert plan["rollouts"] == 32
    assert plan["columns"]["state"] == "the rollouts"
    assert plan["parameters"] == plan["trained"] > 10_000
    assert set(plan["at_most_seconds"]) == {"warmup", "learning", "evaluation"}
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_is_trained_alone_and_merged_at_the_end(tmp_path):
    plan = run.plan(config(tmp_path / "plan", model={"lora": {"r": 2, "alpha": 4}}))
    assert plan["trained"] < plan["parameters"] / 4
    trained(tmp_path / "run", model={"lora": {"r": 2, "alpha": 4}}, rl={"steps": 2})
    before, after = weights(tmp_path / "run" / "start"), weights(tmp_path / "run" / "model")
    assert before.shape == after.shape
    assert not torch.equal(before, after)


def test_a_model_of_a_folder_is_trained_on_and_the_trainers_trackers_are_told(whole, tmp_path):
    path = str(whole[0] / "model")
    _, _ = trained(
        tmp_path / "run", model={"path": path}, warmup={"demonstrations": 0}, rl={"steps": 1}, trackers=["tensorboard"]
    )
    assert torch.equal(weights(tmp_path / "run" / "start"), weights(path))
    assert list((tmp_path / "run").rglob("events.out.tfevents*"))
    with pytest.raises(StepCreditError, match="no model can be loaded from 'nowhere'"):
        trained(tmp_path / "other", model={"path": "nowhere"})


def test_lessons_are_in_prompts_and_in_checkpoints(tmp_path):
    folder = tmp_path / "run"
    # The world's own texts are short; lessons need room.
    trained(
        folder, experience={"lessons": 1}, rl={"steps": 2, "max_tokens": 512}, model={"size": {"width": 32, "heads": 2}}
    )
    kept = json.loads((folder / "checkpoints" / "checkpoint-2" / "library.json").read_text())
    assert kept["lessons"]
    assert "Task: Two rooms" in kept["lessons"][0]["text"]


def test_failures_are_tried_again_for_a_method_that_learns_from_retries(tmp_path):
    trained(
        tmp_path / "run",
        retry={},
        method={"name": "r3l"},
        world={"options": {"size": 2, "horizon": 14}},
        rl={"steps": 2, "tasks_per_step": 6},
    )
    shares = [line["rollouts/retried"] for line in read(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    assert all(0 <= share <= 1 for share in shares)
    assert any(shares)
    kept = list(Reading(tmp_path / "run" / "rollouts.jsonl"))
    replayed = [
        [s.evidence["advantage"] for s in r.steps[: r.evidence["pivot"]]] for r in kept if "pivot" in r.evidence
    ]
    assert any(replayed) and all(x is None for row in replayed for x in row)
    assert any(s.evidence["advantage"] for r in kept for s in r.steps)


def test_evidence_without_a_model_reaches_the_method(tmp_path):
    trained(tmp_path / "run", evidence=[{"kind": "state", "options": {"near": "minhash"}}], rl={"steps": 1})
    assert [line["step"] for line in read(tmp_path / "run" / "metrics.jsonl") if "loss" in line] == [1]


class Breaks(text.get("key_door_rooms")(size=2).__class__):
    """Breaks in tasks of even numbers, or in all."""

    odd_ones = True

    def act(self, state, action):
        if self.odd_ones is False or state.plan.key[0] == 0:
            raise RuntimeError("the floor gives way")
        return super().act(state, action)


def test_a_rollout_that_breaks_has_no_outcome_and_all_of_them_end_the_run(tmp_path, monkeypatch):
    made = Breaks(2, 6)
    demos = run._world(config(tmp_path))
    monkeypatch.setattr(run.warmup, "demonstrations", lambda world, *rest, f=run.warmup.demonstrations: f(demos, *rest))
    monkeypatch.setattr(run, "_world", lambda _: made)
    _, warned = trained(tmp_path / "run", rl={"steps": 2, "tasks_per_step": 6})
    assert any("the world broke in" in text and "the floor gives way" in text for text in warned)
    broken = [line["rollouts/broken"] for line in read(tmp_path / "run" / "metrics.jsonl") if "loss" in line]
    assert any(0 < share < 1 for share in broken)
    kept = list(Reading(tmp_path / "run" / "rollouts.jsonl"))
    unknown = [run for run in kept if run.outcome is None]
    assert len(unknown) == round(sum(broken) * 24) and all("the floor" in run.extra["failure"] for run in unknown)
    made.odd_ones = False
    with pytest.raises(StepCreditError, match="broke in every rollout: RuntimeError: the floor gives way"):
        trained(tmp_path / "all")


def test_a_model_that_writes_no_action_is_shown(tmp_path):
    with pytest.raises(
        StepCreditError, match=r"(?s)0 of \d+ turns were actions.*the model wrote, for instance, '.*warmup"
    ):
        trained(tmp_path / "run", warmup={"steps": 0, "demonstrations": 5})


def test_a_loss_that_diverges_ends_the_run_before_the_weights_are_lost(tmp_path, monkeypatch):
    from stepcredit.train.trainer import Trainer

    usual = Trainer._compute_loss

    def third(self, *given):
        loss = usual(self, *given)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(Trainer, "_compute_loss", third)
    with pytest.raises(StepCreditError, match=r"(?s)step 3: the loss diverged.*learning_rate.*checkpoint-2"):
        trained(tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "checkpoint-2"
    assert weights(checkpoint).isfinite().all()


@pytest.mark.parametrize("room", [10_000, 80_000])
def test_a_full_disk_is_called_so(tmp_path, room):
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, usual[1]))
    try:
        with pytest.raises(StepCreditError, match="the disk is full"):
            trained(tmp_path / "run", rl={"steps": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_too_little_memory_names_what_to_lower(tmp_path):
    with pytest.raises(StepCreditError, match=r"(?s)out of memory.*rows_per_pass"), run._explained(tmp_path):
        torch.empty(1 << 60)


def test_tasks_that_teach_nothing_for_long_are_told_once():
    warned = []
    watch = Watch(None, warn=warned.append)
    for step in range(25):
        watch.log(step, step, {"credit/dead_groups": 0.95})
    assert len(warned) == 1
    assert "95% of the tasks of the last 10 steps taught nothing" in warned[0]
    assert "warmup.steps" in warned[0]


def test_a_line_of_metrics_that_a_kill_cut_short_is_dropped_when_the_run_goes_on(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 2, "seconds": 7.5}\n{"step": 3, "seconds": 9.0}\n{"step": 4, "sec')
    watch = Watch(file, after=2)
    assert [line["step"] for line in read(file)] == [2]
    assert watch.seconds() >= 7.5
    assert np.isclose(watch.seconds(), 7.5, atol=5)


def test_the_command_prints_a_config_that_it_takes_and_says_what_is_wrong_in_one_line(tmp_path):
    shown = command("--example", "key_door_rooms")
    file = Path(tmp_path / "config.yaml")
    file.write_text(shown.stdout.replace("steps: 100 ", "stepz: 100 "))
    wrong = command(file)
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines() == ["error: no setting of rl named 'stepz'", "  hint: did you mean 'steps'?"]
