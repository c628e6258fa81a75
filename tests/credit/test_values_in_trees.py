"""Where rollouts share steps, a shared step has the mean of what it gets along each of them."""

import numpy as np
import pytest

from stepcredit.credit import get
from stepcredit.data import Batch, Layout
from stepcredit.data.layout import path_mean
from stepcredit.ops import token_paths
from stepcredit.testing import random_batch, run

# Methods whose credit of a rollout's steps follows from the rollout and its prompt's outcomes.
ALONG_PATHS = [
    "gae",
    "hicra",
    "hicra@released",
    "ma_rlhf",
    "pav",
    "prl",
    "prl@prm",
    "spa_rl",
    "spa_rl@released-data",
    "spo_chain",
    "v05",
    "verl_effective_rank",
    "verl_effective_rank@official",
    "vineppo",
    "vsrm",
]


def unrolled(batch):
    """The same rollouts with rows of their own; and which row of the tree each step and token came from."""
    lay, tokens = batch.layout, token_paths(batch.layout)
    steps = lay.paths.rows
    token_step = np.repeat(np.arange(steps.size), lay.step_tokens[steps])
    plain = Layout(lay.group, lay.paths.rollout, token_step=token_step, batch=lay.batch)
    pick = {"G": slice(None), "R": slice(None), "S": steps, "K": tokens.rows}
    return Batch(plain, {n: v[pick[batch.axis(n)]] for n, v in batch.columns.items()}), tokens


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", ALONG_PATHS)
def test_a_shared_step_has_the_mean_over_the_rollouts_that_pass_it(name, seed):
    batch, method = random_batch(seed, tree=True), get(name)
    plain, tokens = unrolled(batch)
    paths, size = (tokens, batch.layout.K) if method.card.per == "token" else (batch.layout.paths, batch.layout.S)
    want = path_mean(paths, run(method, plain)["credit"], size)
    np.testing.assert_allclose(run(method, batch)["credit"], want, atol=1e-9)
