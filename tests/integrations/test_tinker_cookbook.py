"""tinker-cookbook 0.5: real trajectories to real datums, with an advantage per token."""

import pytest
from peer_packages import peer

import stepcredit as sc
from stepcredit.integrations.tinker_cookbook import assemble_with, install

GIGPO = {"gamma": 1.0, "spread": "none"}


@pytest.fixture
def book():
    peer("tinker")
    return peer("tinker_cookbook.rl.types")


def transition(book, ob, tokens, state=None, reward=0.0, **metrics):
    import tinker
    from tinker_cookbook.completers import TokensWithLogprobs

    return book.Transition(
        ob=tinker.ModelInput.from_ints(ob),
        ac=TokensWithLogprobs(tokens=tokens, maybe_logprobs=[-1.0] * len(tokens)),
        reward=reward,
        episode_done=False,
        metrics=metrics,
        logs={} if state is None else {"stepcredit/state": state},
    )


def groups(book, second_ob=(1, 2, 10, 11, 3), final=(0.0, 0.0), **metrics):
    first = [
        transition(book, [1, 2], [10, 11], "s"),
        transition(book, list(second_ob), [12, 13, 14], "u", 1.0, **metrics),
    ]
    trajectories = [
        book.Trajectory(transitions=steps, final_ob=None)
        for steps in (first, [transition(book, [1, 2], [10, 15], "s")])
    ]
    return [book.TrajectoryGroup(trajectories, list(final), [{}, {}])]


def lists(data, name):
    return [datum.loss_fn_inputs[name].to_torch().tolist() for datum in data]


def test_one_merged_datum_has_the_credit_of_both_turns(book):
    data, places = assemble_with("gigpo", **GIGPO)(groups(book), None)
    assert lists(data, "target_tokens") == [[2, 10, 11, 3, 12, 13, 14], [2, 10, 15]]
    assert lists(data, "advantages") == [[0, 1, 1, 0, 0.5, 0.5, 0.5], [0, -1, -1]]
    assert lists(data, "mask") == [[0, 1, 1, 0, 1, 1, 1], [0, 1, 1]]
    assert places == [{"group_idx": 0, "traj_idx": 0}, {"group_idx": 0, "traj_idx": 1}]


def test_a_context_that_starts_anew_is_a_datum_of_its_own(book):
    data, places = assemble_with("gigpo", **GIGPO)(groups(book, second_ob=(4, 5)))
    assert lists(data, "advantages") == [[0, 1, 1], [0, 0.5, 0.5, 0.5], [0, -1, -1]]
    assert [p["traj_idx"] for p in places] == [0, 0, 1]


def test_it_equals_the_cookbook_where_the_method_does(book):
    processing = peer("tinker_cookbook.rl.data_processing")
    theirs, _ = processing.assemble_training_data(groups(book), processing.compute_advantages(groups(book)))
    ours, _ = assemble_with("dr_grpo")(groups(book))
    for name in ("advantages", "mask", "target_tokens", "logprobs"):
        assert lists(ours, name) == lists(theirs, name)


def test_turns_that_the_cookbook_masks_stay_masked(book):
    data, _ = assemble_with("dr_grpo")(groups(book, **{book.PARSE_ERROR_MASKED_METRIC_KEY: 1.0}))
    assert lists(data, "mask")[0] == [0, 1, 1, 0, 0, 0, 0]
    assert lists(data, "advantages")[0] == [0, 0.5, 0.5, 0, 0, 0, 0]


def test_the_groups_final_reward_counts_on_the_last_turn(book):
    data, _ = assemble_with("dr_grpo")(groups(book, final=(0.0, 2.0)))
    assert lists(data, "advantages") == [[0, -0.5, -0.5, 0, -0.5, -0.5, -0.5], [0, 0.5, 0.5]]


def test_one_streamed_group_is_no_batch_and_a_missing_state_names_the_logs(book):
    with pytest.raises(sc.StepCreditError, match="tinker-cookbook hands over one group"):
        assemble_with("reinforce_plus_plus")(groups(book))
    bare = groups(book)
    for trajectory in bare[0].trajectories_G:
        for step in trajectory.transitions:
            step.logs.clear()
    with pytest.raises(sc.MissingColumn, match="stepcredit/<column>"):
        assemble_with("gigpo")(bare)


def test_it_stands_in_the_cookbooks_loop(book, monkeypatch):
    train = peer("tinker_cookbook.rl.train")
    monkeypatch.setattr(train, "assemble_training_data", train.assemble_training_data)
    install("gigpo", **GIGPO)
    assert train.assemble_training_data.__module__ == "stepcredit.integrations.tinker_cookbook"
