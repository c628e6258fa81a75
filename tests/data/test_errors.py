"""Errors are the same in another process."""

import pickle

import pytest

from stepcredit.errors import DataError, MissingColumn, MissingExtra, UnknownName


@pytest.mark.parametrize(
    "error",
    [
        DataError("is torn", file="a.jsonl", row=3, got={"x": 1}, hint="mend it"),
        MissingColumn("no state", hint="--states last"),
        UnknownName("method", "gigp", ["gigpo", "grpo"]),
        MissingExtra("torch", "torch", "a loop"),
    ],
)
def test_an_error_crosses_processes_whole(error):
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert twin.__dict__ == error.__dict__
