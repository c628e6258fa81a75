"""Cases of the files in goldens/: rollouts as in a file, options, and the columns that must come out."""

import json
from pathlib import Path

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.records import rollout_from_dict

FOLDER = Path(__file__).parent / "goldens"


def cases(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def batch_of(rollouts):
    return Batch.from_records([rollout_from_dict(r) for r in rollouts])


def assert_columns(batch, want, within=1e-9):
    for name, values in want.items():
        got = np.asarray(batch[name], float)
        np.testing.assert_allclose(got, np.array(values, float).reshape(got.shape), rtol=0, atol=within, err_msg=name)
