import msgspec
import pytest
from train_rig import config, settings, yaml

from stepcredit.errors import DataError, MissingColumn, StepCreditError, UnknownName
from stepcredit.train.config import changed, decode
from stepcredit.train.example import example
from stepcredit.train.run import check


def test_the_example_of_a_world_is_the_defaults_with_its_options():
    made = decode(example("frozen_lake"))
    assert made.world.name == "frozen_lake"
    assert made.world.options == {"size": 4, "holes": 0.2, "slip": 0.0, "horizon": 20}
    made.world.name, made.world.options = "key_door_rooms", {}
    assert made == decode("seed: 0")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("rl: {stpes: 3}", UnknownName, "no setting of rl named 'stpes'.*did you mean 'steps'"),
        ("modle: {}", UnknownName, "no setting named 'modle'.*did you mean 'model'"),
        ("model: {lora: {rank: 3}}", UnknownName, "no setting of model.lora named 'rank'"),
        ("evidence: [{kinds: state}]", UnknownName, "no setting of evidence named 'kinds'"),
        ("rl: {steps: 0}", DataError, "rl.steps: expected `int` >= 1"),
        ("rl: {steps: many}", DataError, "rl.steps: expected `int`, got `str`"),
        ("trackers: [mlflow]", UnknownName, "no tracker named 'mlflow'.*there are: tensorboard, trackio, wandb"),
        ("loss: {type: gprO}", UnknownName, "no loss of TRL named 'gprO'.*did you mean 'grpo'"),
        ("rl: [", DataError, "is no YAML: .*line 1"),
        ("- 1", DataError, "is no config; got list"),
        ("loss: {rows_per_pass: 7}", StepCreditError, "loss.rows_per_pass: 7 does not divide the 64 rollouts"),
        ("loss: {iterations: 3}", StepCreditError, "checkpoints.every: 20 is no multiple of loss.iterations, 3"),
        ("model: {size: {width: 30, heads: 4}}", StepCreditError, "width 30 is no multiple of heads"),
        ("retry: {}\nrl: {rollouts_per_task: 5}", StepCreditError, "expected an even number"),
        ("rl: {max_tokens: 16}", StepCreditError, "no room for a prompt"),
    ],
)
def test_a_config_that_cannot_work_is_refused_with_the_setting_named(text, kind, said):
    with pytest.raises(kind, match=f"(?s){said}"):
        decode(text)


def test_a_learning_rate_without_a_point_is_a_number():
    assert decode("loss: {learning_rate: 1e-4}").loss.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"world": {"name": "key_dor_rooms"}}, UnknownName, "did you mean 'key_door_rooms'"),
        ({"world": {"options": {"sise": 2}}}, UnknownName, "no option of world key_door_rooms named 'sise'"),
        ({"world": {"options": {"size": 99}}}, StepCreditError, "2 <= size <= 13"),
        ({"method": {"name": "gigop"}}, UnknownName, "did you mean 'gigpo'"),
        ({"method": {"options": {"gama": 0.9}}}, UnknownName, "gama"),
        ({"method": {"name": "capo"}}, MissingColumn, "nothing here carries.*methods that run as it is: .*gigpo"),
        ({"evidence": [{"kind": "monte_carlo"}]}, StepCreditError, "asks for a .*kinds that ask no model: .*state"),
        ({"trackers": ["trackio"]}, StepCreditError, "trackio is not installed.*pip install trackio"),
        ({"retry": {"pivot": "sibling"}}, StepCreditError, "gigpo takes no `pivot`.*r3l"),
        (
            {"retry": {"pivot": "nowhere.py:judge"}, "method": {"name": "r3l"}},
            StepCreditError,
            "no Python file 'nowhere.py'",
        ),
    ],
)
def test_names_that_do_not_exist_and_columns_that_nothing_carries_are_refused_before_the_model_is_built(
    tmp_path, given, kind, said
):
    with pytest.raises(kind, match=f"(?s){said}"):
        check(config(tmp_path, **given))


def test_a_method_is_told_where_its_columns_come_from(tmp_path):
    near = {"kind": "state", "options": {"near": "minhash"}}
    _, taken = check(config(tmp_path, evidence=[near]))
    assert taken["state"] == "evidence state"
    assert taken["reward"] == "the rollouts"


def test_what_may_change_when_a_run_goes_on_and_what_may_not(tmp_path):
    before = msgspec.to_builtins(config(tmp_path))
    assert changed(before, config(tmp_path / "b", rl={"steps": 9}, eval={"every": 1})) == []
    assert changed(before, config(tmp_path, seed=1)) == ["seed: was 0, is 1"]
    now = config(tmp_path, method={"options": {"gamma": 0.5}})
    assert "method.options.gamma: was None, is 0.5" in changed(before, now)


def test_settings_of_the_rig_are_read_as_written(tmp_path):
    made = decode(yaml.safe_dump(settings(tmp_path)))
    assert (made.rl.steps, made.model.size.width, made.output) == (4, 32, str(tmp_path))
