"""verifiers 0.4: credit onto the nodes of real traces, and traces as rollouts."""

import json

import pytest
from peer_packages import peer

import stepcredit as sc
from stepcredit.integrations.verifiers import TraceCredit, read_traces, rollouts

GIGPO = {"gamma": 1.0, "spread": "none"}


def record(trace, reward, turns, state=None, task="t", parents=None, **info):
    """A trace as `traces.jsonl` holds it: a prompt, then turns of (sampled tokens) with a tool's reply between."""
    nodes = [{"message": {"role": "user", "content": "go"}, "token_ids": [1, 2], "mask": [False, False]}]
    for at, size in enumerate(turns):
        parent = len(nodes) - 1 if parents is None else parents[at]
        nodes.append({
            "parent": parent, "sampled": True, "token_ids": [7, *range(size)], "mask": [False, *[True] * size],
            "logprobs": [-1.0] * size,
            "message": {"role": "assistant", "content": f"turn {at}",
                        "tool_calls": [{"id": "c", "name": "look", "arguments": "{}"}]},
        })  # fmt: skip
        reply = {"role": "tool", "tool_call_id": "c", "content": f"saw {at}"}
        nodes.append({"parent": len(nodes) - 1, "message": reply, "token_ids": [8], "mask": [False]})
    columns = {} if state is None else {"stepcredit": {"state": state}}
    return {
        "id": trace,
        "task": {"type": "T", "data": {"idx": 0}, "key": task},
        "agent": {"config": {}, "name": "solver"},
        "nodes": nodes,
        "rewards": {} if reward is None else {"right": {"score": reward, "weight": 1.0}},
        "info": {**columns, **info},
        "ok": True,
    }


RECORDS = [record("a", 1.0, [2, 3], ["s", "u"]), record("b", 0.0, [2], ["s"])]


@pytest.fixture
def real():
    trace = peer("verifiers.v1").WireTrace
    return lambda records: [trace.model_validate(r) for r in records]


def test_nodes_get_one_number_per_sampled_token(real):
    traces = real(RECORDS)
    TraceCredit("gigpo", **GIGPO)(traces)
    assert [[n.advantages for n in t.nodes if n.sampled] for t in traces] == [
        [[1.0, 1.0], [0.5, 0.5, 0.5]],
        [[-1.0, -1.0]],
    ]
    assert traces[0].branches[0].advantages == [0, 0, 0, 1, 1, 0, 0, 0.5, 0.5, 0.5, 0]
    assert all(n.advantages is None for t in traces for n in t.nodes if not n.sampled)
    assert traces[0].branches[0].loss_weights("rl") is None


def test_what_is_not_judged_has_no_weight_in_the_rl_loss(real):
    traces = real([record("a", 1.0, [2]), record("b", 0.0, [1]), record("c", None, [2])])
    TraceCredit("dr_grpo")(traces)
    assert [t.branches[0].loss_weights("rl") for t in traces] == [
        [0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]
    ]  # fmt: skip
    assert traces[2].branches[0].advantages == [0.0] * 6


def test_a_node_of_two_branches_is_credited_once(real):
    """The second turn starts anew from the prompt: two branches, one rollout."""
    traces = real([record("a", 1.0, [2, 3], ["s", "u"], parents=[0, 0]), RECORDS[1]])
    assert traces[0].num_branches == 2
    TraceCredit("gigpo", **GIGPO)(traces)
    assert [n.advantages for n in traces[0].nodes if n.sampled] == [[1.0] * 2, [0.5] * 3]


def test_turn_rewards_are_rewards_of_steps(real):
    traces = real([record("a", 1.0, [1, 1], turn_rewards=[0.25, 0.75]), record("b", 0.0, [1], turn_rewards=[0.0])])
    out = TraceCredit("step_grpo")(traces)
    assert out.credit.batch["reward"].tolist() == [0.25, 0.75, 0.0]
    assert out.credit.batch["token_old_logp"].tolist() == [-1.0] * 3


def test_credit_survives_the_file(real, tmp_path):
    traces = real(RECORDS)
    TraceCredit("gigpo", **GIGPO)(traces)
    again = real([json.loads(json.dumps(t.to_record())) for t in traces])
    assert [t.branches[0].advantages for t in again] == [t.branches[0].advantages for t in traces]


def test_columns_that_miss_a_turn_are_refused(real):
    with pytest.raises(sc.LayoutError, match="column 'state', row 0: got 1 values, expected 2"):
        TraceCredit("gigpo")(real([record("a", 1.0, [2, 3], ["s"]), RECORDS[1]]))


def test_a_file_of_traces_or_episodes_is_a_batch(tmp_path):
    plain, episodes = tmp_path / "traces.jsonl", tmp_path / "episodes.jsonl"
    plain.write_text("\n".join(map(json.dumps, RECORDS)))
    whole = {"id": "e", "task": RECORDS[0]["task"], "group": {"id": "g"}, "traces": RECORDS}
    episodes.write_text(json.dumps(whole))
    for path, group in ((plain, "t/solver"), (episodes, "g/solver")):
        batch = read_traces(path)
        assert batch.layout.S == 3
        assert batch.group_name(0) == group
        credit = sc.assign(batch, "gigpo", **GIGPO)
        assert credit.advantages() == [[1.0, 1.0, 0.5, 0.5, 0.5], [-1.0, -1.0]]


def test_records_hold_what_people_read():
    first = next(rollouts(RECORDS))
    assert (first.outcome, first.task) == (1.0, "go")
    assert [s.observation for s in first.steps] == ["saw 0", "saw 1"]
    assert first.steps[0].text == "turn 0"
    assert first.steps[0].tool_calls[0].name == "look"
    assert first.steps[1].tokens.count() == 3


def test_live_traces_are_read_like_the_file(real):
    assert list(rollouts(real(RECORDS))) == list(rollouts(RECORDS))


def test_an_unscored_trace_has_no_outcome_and_another_file_is_refused():
    assert next(rollouts([record("a", None, [1])])).outcome is None
    with pytest.raises(sc.LayoutError, match="neither a trace nor an episode: fields prompt"):
        next(rollouts([{"prompt": "x"}]))
