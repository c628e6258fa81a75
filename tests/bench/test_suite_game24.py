"""The suite of Game of 24: real rollouts, simulated ones, what the figures are and what happens when things fail."""

import json

import numpy as np
import pytest

from stepcredit.bench import metrics
from stepcredit.bench.suite import Store, measure
from stepcredit.bench.suites import _game24_scores as score
from stepcredit.bench.suites import _game24_worlds as worlds
from stepcredit.bench.suites import game24 as suite
from stepcredit.credit import assign
from stepcredit.data import Batch
from stepcredit.data.formats.game24_cot import rollouts
from stepcredit.data.rows import Rows
from stepcredit.envs import game24
from stepcredit.errors import StepCreditError

TINY = {"simulated": True, "n": (12,), "draws": 2, "puzzles": 30, "methods": ("grpo", "same edge", "q_minus_v")}
METHOD = """
import numpy as np
from stepcredit.credit import Card, Result

CARD = Card(title="T", paper="none", bibtex="@misc{t}", evidence="derived", needs="outcome", bias="", departures="")


def mine(layout, outcome):
    BODY
"""


def run(tmp_path=None, **settings):
    chosen = suite.Settings(**{**TINY, **settings})
    return suite.result(chosen, measure(suite.cells(chosen), Store(None, {})))


def written(path, policy=None, count=12, n=10, body=None):
    """A file as a model would leave it: the texts of a simulated policy; and the rollouts themselves."""
    policy = policy or game24.Policy(seed=1, skill=6.0)
    made = game24.sample(worlds.fresh_puzzles(count, 0), n, policy, seed=0)
    lines = []
    for i in range(0, len(made), n):
        ones = made[i : i + n]
        texts = ["Steps:\n" + "\n".join(s.text for s in r.steps) for r in ones]
        lines.append({"puzzle": ones[0].puzzle, "rollouts": texts, "correct": [int(r.outcome) for r in ones]})
    path.write_text("".join(json.dumps(x) + "\n" for x in lines))
    return made


def by(rows, method, n=12, given=None):
    (one,) = [r for r in rows if (r["method"], r["n"], r["given"]) == (method, n, given or n)]
    return one


def test_a_batch_without_records_is_the_same_batch():
    puzzles, policy = worlds.fresh_puzzles(6, 1), game24.Policy(seed=2)
    fast, slow = worlds.simulated(puzzles, 5, policy, 3), game24.batch(puzzles, 5, policy, 3)
    assert fast.columns.keys() == slow.columns.keys() and fast.records is None
    for name in slow.columns:
        np.testing.assert_array_equal(fast[name], slow[name], err_msg=name)
        assert fast.keys.get(name) == slow.keys.get(name)
    for axis in ("group", "rollout"):
        np.testing.assert_array_equal(getattr(fast.layout, axis), getattr(slow.layout, axis))


def test_figures_are_those_of_the_metrics_on_the_sampled_rows():
    settings = suite.Settings(**{**TINY, "draws": 1, "seed": 3})
    rows = run(seed=3, draws=1).rows
    puzzles = worlds.fresh_puzzles(settings.puzzles, 3)
    whole = worlds.simulated(puzzles, suite.GIVEN, game24.Policy(seed=3000), 3000)
    drawn = worlds.draw(whole.layout.group, 12, np.random.default_rng([3, 12, 0]))
    batch, kept = whole.take(drawn), np.isin(whole.layout.rollout, drawn)
    won = np.bincount(batch.layout.group, batch["outcome"])
    mixed = ((won > 0) & (won < 12))[batch.layout.step_group]
    decision = batch["truth.decision"] > 0
    at = mixed & decision
    good, truth, prompt = batch["truth.good"] > 0, batch["truth.advantage"], batch.layout.step_group
    for given, credit in ((12, assign(batch, "grpo").steps), (100, assign(whole, "grpo").steps[kept])):
        row = by(rows, "grpo", given=given)
        c, t = credit[mixed], truth[mixed]
        want = {
            "same_mixed": metrics.same(credit[at], good[at], batch["state"][at], prompt[at]).value,
            "pooled_mixed": metrics.pooled(credit[at], good[at]).value,
            "pooled_all": metrics.pooled(credit[decision], good[decision]).value,
            "strat_mixed": metrics.strat(credit[at], good[at], batch.layout.turn[at]).value,
            "rho_mixed": metrics.rho(c, t).value,
            "mse_mixed": np.mean((t - max(c @ t / (c @ c), 0) * c) ** 2) / np.mean(t**2),
            "pairs": metrics.same(credit[at], good[at], batch["state"][at], prompt[at]).n,
            "mixed": np.sum((won > 0) & (won < 12)),
            "unjudged": 0,
        }
        np.testing.assert_allclose([row[name] for name in want], list(want.values()), atol=2e-6)
        low, high = row["same_mixed_interval"]
        assert low <= row["same_mixed"] <= high and low < high
    constant = metrics.pooled(metrics.per_depth(good[at], batch.layout.turn[at]), good[at]).value
    assert by(rows, "constant per depth")["pooled_mixed"] == pytest.approx(constant, abs=2e-6)


def test_means_over_samplings_leave_out_what_is_undefined():
    nan = float("nan")
    samples = [
        {"a": {"x": np.array([1.0, nan])}},
        {"a": {"x": np.array([2.0, nan])}},
        {"a": {"x": np.array([nan, 5.0])}},
    ]
    parts = [score.tally(samples[:1]), score.tally(samples[1:])]
    np.testing.assert_array_equal(score.means(json.loads(json.dumps(parts)))["a"]["x"], [1.5, 5.0])


def test_every_entry_is_compared_with_the_first_and_with_the_larger_batch():
    found = run(methods=("grpo", "q_minus_v", "same edge"), n=(8, 12))
    rows = found.rows
    assert {r["method"] for r in rows if r["given"] == r["n"]} == {"grpo", "q_minus_v", "same edge", *score.BASELINES}
    constant = by(rows, "constant")
    assert constant["same_mixed"] == constant["pooled_all"] == 0.5 and np.isnan(constant["rho_mixed"])
    assert {x["method"] for x in found.more["paired"]} == {"grpo"}
    assert {x["other"] for x in found.more["paired"]} == {"q_minus_v", "same edge", *score.BASELINES}
    for x in found.more["paired"]:
        own, other = (by(rows, x[k], x["n"])[x["metric"]] for k in ("method", "other"))
        np.testing.assert_allclose(x["difference"], own - other, atol=1e-9)
    (gap,) = [x for x in found.more["gap"] if (x["rival"], x["n"], x["metric"]) == ("same edge", 12, "mse_mixed")]
    near, far = by(rows, "same edge"), by(rows, "same edge", given=100)
    assert (gap["rival_n"], gap["rival_given"]) == (near["mse_mixed"], far["mse_mixed"])
    told = [x for x in found.more["gap"] if not np.isnan(x["closed"])]
    want = [(x["ours"] - x["rival_n"]) / (x["rival_given"] - x["rival_n"]) for x in told]
    np.testing.assert_allclose([x["closed"] for x in told], want)
    assert "mse_mixed" in {x["metric"] for x in told}
    assert all((x["rival_given"] > x["rival_n"]) != (x["metric"] == "mse_mixed") for x in told)
    assert found.tables[0].title.startswith("simulated: N = 8; 30 puzzles, 2 samplings")
    shown = [row[1] for row in found.tables[0].rows]
    assert shown == sorted(shown, reverse=True)
    assert [p.name for p in found.plots] == ["game24-simulated-same", "game24-simulated-rho"]


def test_a_run_that_was_cut_off_goes_on_to_the_same_figures(tmp_path):
    settings = suite.Settings(**TINY)
    cells = suite.cells(settings)
    assert len(cells) == 2
    whole = measure(cells, Store(None, {}))

    def killed():
        raise KeyboardInterrupt

    first = Store(tmp_path / "store.jsonl", {"suite": "game24"})
    with pytest.raises(KeyboardInterrupt):
        measure([cells[0], cells[1]._replace(make=killed)], first)
    again = Store(tmp_path / "store.jsonl", {"suite": "game24"})
    assert list(again.values) == [cells[0].key]
    resumed = measure([cells[0]._replace(make=killed), cells[1]], again)
    np.testing.assert_equal(suite.result(settings, resumed).rows, suite.result(settings, whole).rows)


def test_a_method_that_fails_costs_no_other_its_figures(tmp_path):
    bad = tmp_path / "mine.py"
    bad.write_text(METHOD.replace("BODY", "raise ZeroDivisionError('no luck')"))
    found = run(methods=("grpo", str(bad)), draws=1)
    row = by(found.rows, str(bad))
    assert "no luck" in row["error"] and np.isnan(row["same_mixed"])
    assert by(found.rows, "grpo")["same_mixed"] > 0.5 and "error" not in by(found.rows, "grpo")
    assert f"{bad} failed (N = 12, given 12): ZeroDivisionError: no luck" in found.tables[0].note
    assert found.tables[0].rows[-1][0] == str(bad)
    infinite = tmp_path / "other" / "mine.py"
    infinite.parent.mkdir()
    infinite.write_text(METHOD.replace("BODY", "return np.full(layout.S, np.inf)"))
    assert "infinite" in by(run(methods=("grpo", str(infinite)), draws=1).rows, str(infinite))["error"]


def test_unjudged_decisions_are_counted_and_intervals_are_checked(tmp_path):
    method = tmp_path / "mine.py"
    body = "c = np.where(layout.turn == 0, np.nan, 0.0); return Result(c, sd=np.full(layout.S, 1e-5))"
    method.write_text(METHOD.replace("BODY", body))
    row = by(run(methods=(str(method),), draws=1).rows, str(method))
    assert row["unjudged"] == 30 * 12
    assert row["covered_nonzero"] == 0 and 0 < row["covered"] < 1
    assert row["width"] == pytest.approx(2 * 1.645e-5, abs=1e-6)


def test_truth_of_written_lines_is_that_of_the_world_they_come_from(tmp_path):
    made = written(tmp_path / "file.jsonl")
    world = worlds.real(tmp_path / "file.jsonl")
    steps = [s for r in made for s in r.steps]
    line = np.array([s.action not in ("answer", "stop") for s in steps])
    np.testing.assert_array_equal(world.decision, [s.alive_before and x for s, x in zip(steps, line, strict=True)])
    good = [s.alive_after and x for s, x in zip(steps, line, strict=True)]
    np.testing.assert_array_equal(world.good, good)
    seen = world.decision
    prompt = world.batch.layout.step_group
    pairs = {(p, s.state) for p, s, x in zip(prompt.tolist(), steps, seen, strict=True) if x}
    assert len(np.unique(world.state[seen])) == len(pairs)


def test_states_and_next_states_are_those_that_the_importer_gives(tmp_path):
    written(tmp_path / "file.jsonl", count=3)
    batch = worlds.real(tmp_path / "file.jsonl").batch
    given = Batch.from_records(
        r for line in (tmp_path / "file.jsonl").read_text().splitlines() for r in rollouts(Rows.of([json.loads(line)]))
    )
    np.testing.assert_array_equal(batch["state"], given["state"])
    np.testing.assert_array_equal(assign(batch, "salt").steps, assign(given, "salt").steps)


def test_the_left_out_advantage_by_hand(tmp_path):
    rows = (
        [("10 - 4 = 6 (left: 5 6 6)", 1)] * 4
        + [("10 - 4 = 6", 0)] * 4
        + [("10 + 4 = 14", 0)] * 3
        + [("10 + 4 = 15", 0)] * 2
    )
    one = {"puzzle": "4 5 6 10", "rollouts": [r[0] for r in rows], "correct": [r[1] for r in rows]}
    (tmp_path / "file.jsonl").write_text(json.dumps(one) + "\n")
    world = worlds.real(tmp_path / "file.jsonl")
    drawn = np.array([0, 4, 8, 11])
    found = worlds.left_out_advantage(world, drawn)
    value = 3 / 9
    np.testing.assert_allclose(found, [3 / 6 - value] * 8 + [-value] * 5)
    assert np.isnan(worlds.left_out_advantage(world, np.arange(9))).all()


def test_drawing_takes_n_of_each_group():
    group = np.array([0, 1, 0, 1, 1, 0, 0, 2])
    drawn = [worlds.draw(group, 2, np.random.default_rng(i)) for i in range(200)]
    for rows in drawn:
        assert (np.diff(rows) > 0).all() and np.bincount(group[rows]).tolist() == [2, 2, 1]
    share = np.bincount(np.concatenate(drawn), minlength=8) / 200
    assert np.all(np.abs(share - np.where(group == 0, 0.5, np.where(group == 1, 2 / 3, 1))) < 0.12)


def test_written_rollouts_are_measured_and_scarce_ones_told(tmp_path):
    folder = tmp_path / "game24"
    folder.mkdir()
    written(folder / "gpt4_cot_rollouts.jsonl")
    (folder / "gpt4_cot_rollouts.jsonl").rename(tmp_path / "named.jsonl")
    settings = {"simulated": False, "data": str(tmp_path / "named.jsonl"), "draws": 7, "methods": ()}
    found = run(**settings, n=(4, 12))
    near = by(found.rows, "same edge", 4)
    assert near["data"] == "real" and 0.6 < near["same_mixed"] <= 1 and "mse_mixed" not in near
    assert np.isnan(by(found.rows, "same edge", 12)["rho_mixed"])
    assert "only 10 rollouts" in "".join(t.note for t in found.tables)
    assert found.more["gap"] == []


def test_a_policy_is_fitted_where_there_is_data(tmp_path):
    written(tmp_path / "named.jsonl", policy=game24.Policy(seed=1, skill=5.0, slip=0.3))
    settings = suite.Settings(**{**TINY, "data": str(tmp_path / "named.jsonl")})
    policy = suite.cells(settings)[0].make.args[4]
    assert policy["slip"] > 0.2 and policy["skill"] > 3
    assert suite.cells(suite.Settings(**TINY))[0].make.args[4]["slip"] == game24.Policy().slip


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nothing-here/x.txt", "", "there is no game24/gpt4_cot_rollouts"),
        ("game24/gpt4_cot_rollouts.jsonl.gz", None, "nothing to read|empty|gzip"),
        (
            "file.jsonl",
            '{"task": "t", "group": 1, "rollout": 2, "outcome": 1, "steps": []}\n',
            "'puzzle' is missing(.|\n)*a row per puzzle",
        ),
    ],
)
def test_data_of_another_kind_are_refused(tmp_path, name, text, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"" if text is None else text.encode())
    with pytest.raises(StepCreditError, match=message):
        run(simulated=False, data=str(path if path.name == "file.jsonl" else tmp_path))


def test_settings_that_cannot_be_are_refused(tmp_path):
    for settings, message in (
        ({"n": (1,)}, "expected 2 or more"),
        ({"puzzles": 100_000}, "there are only"),
        ({"simulated": False}, "no data folder"),
        ({"simulated": False, "data": str(tmp_path / "no")}, "no such file"),
        ({"methods": ("gae",)}, "cannot be measured"),
    ):
        with pytest.raises(StepCreditError, match=message):
            run(**settings)


def test_real_rollouts(data):
    found = run(simulated=False, data=str(data), n=(8,), draws=5, methods=())
    grpo, salt, depth = (by(found.rows, name, 8) for name in ("grpo", "salt", "constant per depth"))
    assert 0.65 < grpo["same_mixed"] < 0.9 < salt["same_mixed"] + 0.05
    assert 0.65 < depth["pooled_mixed"] < 0.8 and depth["same_mixed"] == 0.5
    assert salt["rho_mixed"] > grpo["rho_mixed"] + 0.1
    assert all(r["unjudged"] == 0 for r in found.rows)
