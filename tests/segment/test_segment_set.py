"""The open set: a file in the folder, or an entry point, is a segmenter."""

import inspect
from importlib.metadata import EntryPoint

import pytest

from stepcredit import segment
from stepcredit.data.columns import column
from stepcredit.errors import UnknownName


def test_every_member_takes_one_thing_of_a_known_kind_and_keyword_options():
    kinds = {"text", "messages", "tokens", "phrases", "token_logp", "token_ref_logp", "token_entropy"}
    for name in segment.names():
        f = segment.get(name)
        first, *options = inspect.signature(f).parameters.values()
        assert f.__name__ == name and first.name in kinds
        assert not first.name.startswith("token_") or column(first.name).axis == "K"
        assert all(option.kind is option.KEYWORD_ONLY for option in options)
        assert ">>>" in (f.__doc__ or "")


def test_private_modules_are_no_members():
    assert not [name for name in segment.names() if name.startswith("_")]
    with pytest.raises(UnknownName):
        segment.get("_spans")


def test_an_unknown_name_gets_a_hint():
    with pytest.raises(UnknownName, match="no segmenter named 'paragraph'\n  hint: did you mean 'paragraphs'"):
        segment.get("paragraph")


def test_plug_ins_are_found_and_do_not_hide_a_built_in(monkeypatch):
    points = [
        EntryPoint("words", "builtins:len", "stepcredit.segment"),
        EntryPoint("lines", "builtins:len", "stepcredit.segment"),
    ]

    def entry_points(group, name=None):
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr("stepcredit.plugins.entry_points", entry_points)
    assert "words" in segment.names() and segment.names().count("lines") == 1
    assert segment.get("words") is len
    assert segment.get("lines")("a\nb").tolist() == [[0, 1], [2, 3]]
