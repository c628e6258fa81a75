"""A baseline: always the last step."""

from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.constant import constant
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Baseline: the last step",
    paper="stepcredit (no paper)",
    bibtex="""@misc{stepcredit, title={stepcredit: step-level credit assignment}, year={2026}}""",
    evidence="derived",
    asks=(),
    needs="nothing",
    cost="nothing",
    departures="None: this is the definition.",
)


def last_step(case: Case) -> Verdict:
    """The last step. Scores and confidence as `constant` has them."""
    return constant(case, step=-1)
