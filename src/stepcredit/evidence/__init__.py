"""What is known about steps: one file per kind of evidence, which adds columns to a batch and says what it costs."""

from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.evidence.registry import Kind, get, names

__all__ = ["Cost", "EvidenceCard", "Kind", "get", "names"]
