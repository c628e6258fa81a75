"""Credit methods: columns in, one number per step (or token) out. A file in `methods/` is a method."""

from stepcredit.credit.card import Card, Preset, Result
from stepcredit.credit.registry import Method, get, names
from stepcredit.credit.run import Credit, applicable, assign, on_columns

__all__ = ["Card", "Credit", "Method", "Preset", "Result", "applicable", "assign", "get", "names", "on_columns"]
