"""Which step broke a run, who took it, and why: a verdict of each method, one file a method (`methods`)."""

from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.run import METHODS, Diagnosis, diagnose, failed

__all__ = ["METHODS", "Case", "Diagnosis", "Group", "Verdict", "diagnose", "failed"]
