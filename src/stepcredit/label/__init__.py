"""Labels for steps, bought as cheaply as possible: one pipeline (`run`), one file per published system (`systems`)."""

from stepcredit.label.labels import Labels, after_error, first_wrong, soft_window
from stepcredit.label.run import SYSTEMS, label
from stepcredit.label.work import Setting, Work
from stepcredit.llm.requests import side_by_side

__all__ = ["SYSTEMS", "Labels", "Setting", "Work", "after_error", "first_wrong", "label", "side_by_side", "soft_window"]
