"""Outcomes and credit as large as numbers get, or endless: told as they are, and nothing overflows (warnings fail)."""

import json
import math

import numpy as np
import pytest
from view_kit import needed, save

from stepcredit.app.view import judging
from stepcredit.app.view.building import Order
from stepcredit.app.view.export import write_page
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.query import Query
from stepcredit.app.view.store import Store, cache_folder
from stepcredit.data import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose.graph import scaled
from stepcredit.lint import check_batch


def runs(*outcomes):
    """Three tasks with these outcomes, also as evidence, reward and credit of steps."""

    def step(i, r, outcome):
        told = {} if outcome is None or math.isinf(outcome) else {"mine": outcome}
        return Step(
            text=f"a{(r + i) % 3}",
            state=f"s{r * i % 3}",
            action=f"a{(r + i) % 2}",
            evidence={} if not told else {"value": outcome},
            credit=told,
        )

    return [
        Rollout(group=f"g{g}", rollout=r, outcome=o, policy_version=g, steps=[step(i, r, o) for i in range(4)])
        for g in range(3)
        for r, o in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    "outcomes",
    [(1e308, -1e308, 1e308), (1e308, -1e308, 1e308, -1.7e308), (1e308, 0.0, 1.0, None), (5e-324, -1e-310, 0.0)],
)
def test_an_index_of_extreme_numbers_tells_them_and_warns_of_nothing(tmp_path, outcomes):
    needed()
    path = save(tmp_path / "runs.jsonl", runs(*outcomes))
    store = Store(Order((str(path),), diagnose=tuple(judging.diagnosers())), cache_folder(tmp_path / "cache"))
    store.here()
    query = Query(store.folder, store.root)
    try:
        look = Looking(query, None, {"dynamics": [path]})
        asked = [look.state(), look.runs(), look.dynamics(), look.group(0), *(look.run(i) for i in range(4))]
        json.dumps(asked, allow_nan=False)
        assert look.runs()["columns"]["outcome"][: len(outcomes)] == list(outcomes)
        seen = look.run(0)["numbers"]["evidence"]["value"]
        assert seen == [pytest.approx(outcomes[0], rel=1e-5)] * 4, "beyond what half the room holds"
    finally:
        query.close()
        store.drop()


@pytest.mark.parametrize(
    "outcomes", [(1e308, -1e308), (1e308, -1e308, 0.0), (math.inf, -math.inf, 0.5, None), (math.inf, 0.0, 3.0)]
)
def test_a_page_of_extreme_outcomes_is_written(tmp_path, outcomes):
    batch = Batch.from_records(runs(*outcomes))
    assert write_page(tmp_path / "page.html", batch).stat().st_size > 100_000
    check_batch(batch, "mine")


def test_success_is_the_share_of_the_way_whatever_its_length():
    known = {
        (1e308, -1e308, 0.0, None): [1, 0, 0.5, math.nan],
        (5e-324, -5e-324): [1, 0],
        (math.inf, -math.inf, 7.0, None): [1, 0, 0.5, math.nan],
        (math.inf, 3.0, -3.0): [1, 0, 0],
        (-math.inf, 3.0, -3.0): [0, 1, 1],
        (math.inf, math.inf): [1, 1],
        (-math.inf, None): [0, math.nan],
    }
    for outcomes, success in known.items():
        np.testing.assert_array_equal(scaled(outcomes), success)


def test_names_that_differ_by_case_alone_stay_apart(tmp_path):
    names = ["A", "a", "GRPO", "x'y\"z", '"><script>', "n" * 300, *(f"c{i}" for i in range(100))]
    step = Step(text="x", credit=dict.fromkeys(names, 1.0), evidence={"Mine": 1.0, "mine": 2.0})
    path = save(
        tmp_path / "runs.jsonl", [Rollout(group="g", rollout=r, outcome=float(r), steps=[step]) for r in (0, 1)]
    )
    store = Store(Order((str(path),), methods=("grpo",)), cache_folder(tmp_path / "cache"))
    store.here()
    query = Query(store.folder, store.root)
    found = query.numbers(1)
    query.close()
    store.drop()
    assert {f"credit.{m['name']}" for m in query.head.methods} <= found.keys()
    assert {f"credit.{n} of the file" for n in names} <= found.keys()
    assert (found["evidence.Mine"], found["evidence.mine"]) == ([1.0], [2.0])
