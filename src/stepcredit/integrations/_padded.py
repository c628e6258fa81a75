"""Padded tensors of a trainer in, per-token advantages in the same shape out; what every padded adapter shares."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stepcredit.credit import Credit, get, names
from stepcredit.credit import assign as assign_credit
from stepcredit.credit.run import RewardFrom, applicable
from stepcredit.data import from_arrays, scatter
from stepcredit.data.layout import Bools, Floats
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.lint import Report, check
from stepcredit.lint.rule import Severity
from stepcredit.ops import cells

_LOG = logging.getLogger(__name__)

# What a batch makes by itself: a column -> those of which one is enough (stepcredit.credit.run).
_MADE_OF = {
    "reward": ("outcome",),
    "outcome": ("reward",),
    "token_reward": ("reward", "outcome"),
    "logratio": ("token_logratio",),
    "next_state": ("state",),
    "votes": ("label",),
}


class LintFailed(StepCreditError):
    """The advantages that a trainer was about to use are not sane; `report` says what and where."""

    def __init__(self, report: Report, method: str) -> None:
        self.report = report
        super().__init__(
            f"advantages of {method} failed the check before they were used:\n{report}",
            hint="mend what the report names; fail_on='never' trains on, lint_every=0 does not look",
        )


@dataclass(frozen=True, eq=False)
class Padded:
    """Credit in the shape of the trainer's tensors.

    advantages: [B, T] 0 outside `mask`. mask: [B, T] what the loss may count: sampled, judged, and not taken out by the
    method's train_mask. clip_scale, loss_weight: [B, T] 1 outside the mask; None where the method has none. stats:
    numbers for a tracker. report: of the linter, where this call ran it.
    """

    advantages: Floats
    mask: Bools
    credit: Credit
    stats: Mapping[str, float]
    clip_scale: Floats | None = None
    loss_weight: Floats | None = None
    report: Report | None = None


class Assigner:
    """One credit method with its options, called on batch after batch of a training run.

    Args:
        method: a name of `stepcredit methods`, with or without a preset. options: its own.
        reward: where step rewards and outcomes disagree: "reward", "outcome" or "sum".
        lint_every: run the linter at calls 1, 1 + k, 1 + 2k, ...; 0 = never.
        fail_on: raise LintFailed on a finding of this severity or graver; "never" only reports.
        carry: where this trainer lets a user put a column, for errors.

    Raises:
        UnknownName: no such method, preset or option.
    """

    def __init__(
        self,
        method: str,
        *,
        reward: RewardFrom | None = None,
        lint_every: int = 50,
        fail_on: Severity | Literal["never"] = "error",
        carry: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.method, self.reward, self.options = method, reward, dict(options or {})
        self.found = get(method)
        self.found.check_options(self.options)
        self.lint_every, self.fail_on, self.carry, self.calls = lint_every, fail_on, carry, 0
        self._told = False

    @property
    def pooled(self) -> bool:
        """Whether credit depends on other tasks of the batch, so that every process must see all of it."""
        return "other_prompts" in self.found.given(self.options).waives

    def __call__(self, *, group: Any, response_mask: Any, **columns: Any) -> Padded:
        """Credit of one batch.

        Args:
            group, response_mask, columns: as `stepcredit.from_arrays` takes them, padded.

        Raises:
            LayoutError: arrays that do not fit. MissingColumn: the method needs what is not there. LintFailed.
        """
        began = time.perf_counter()
        batch = from_arrays(group=group, response_mask=response_mask, **columns)
        try:
            credit = assign_credit(batch, self.method, reward=self.reward, **self.options)
        except MissingColumn as error:
            if self.carry is None:
                raise
            run = ", ".join(n for n in serves(batch.columns) if applicable(get(n), batch) is None)
            raise MissingColumn(error.message, hint=f"{self.carry}. Methods that run as it is: {run}") from None
        shape = np.shape(response_mask)
        rows, columns_ = int(shape[0]), int(shape[1])
        padded = self._padded(credit, (rows, columns_))
        report = self._lint(credit)
        stats = {**credit_stats(credit), "seconds": time.perf_counter() - began}
        if stats.get("compared") == 0 and not self._told and "state" in (*self.found.needs, *self.found.uses):
            self._told = True
            _LOG.warning(
                "%s compares steps taken in the same state, and no two rollouts of a task share one: it compares "
                "nothing. Make states coarser (normalize them, leave out what never repeats)",
                self.method,
            )
        if report is not None:
            stats["lint_errors"] = float(sum(f.severity == "error" for f in report.findings))
            stats["lint_warnings"] = float(sum(f.severity == "warning" for f in report.findings))
        return Padded(*padded[:2], credit, stats, *padded[2:], report)

    def _padded(self, credit: Credit, shape: tuple[int, int]) -> tuple[Floats, Bools, Floats | None, Floats | None]:
        batch = credit.batch
        values = credit.tokens
        keep = ~np.isnan(values)
        if "train_mask" in credit.extras:
            keep &= credit.extra_tokens("train_mask") != 0
        mask = scatter(batch, keep, shape, fill=0.0) == 1
        advantages = scatter(batch, np.where(keep, values, 0.0), shape, fill=0.0)
        extra = [
            scatter(batch, np.where(keep, credit.extra_tokens(n), 1.0), shape, fill=1.0) if n in credit.extras else None
            for n in ("clip_scale", "loss_weight")
        ]
        return advantages, mask, extra[0], extra[1]

    def _lint(self, credit: Credit) -> Report | None:
        self.calls += 1
        if not self.lint_every or (self.calls - 1) % self.lint_every:
            return None
        report = check(credit)
        if report.exit_code(self.fail_on):
            raise LintFailed(report, self.method)
        return report


def credit_stats(credit: Credit) -> dict[str, float]:
    """Numbers for a tracker: of credit per step, and of tasks without any signal.

    judged, zero: shares of the steps. mean, spread, lowest, highest: of judged credit. dead_groups: share of tasks in
    which no judged step has credit other than 0. steps: per rollout. compared, where there are states: share of the
    steps whose state another rollout of the task was in too.
    """
    layout, steps = credit.batch.layout, credit.steps
    judged = steps[~np.isnan(steps)]
    live = np.zeros(layout.G, bool)
    live[layout.step_group[np.nan_to_num(steps) != 0]] = True
    some = judged.size > 0
    return {
        **({"compared": _compared(credit)} if "state" in credit.batch else {}),
        "judged": judged.size / max(steps.size, 1),
        "zero": float(np.mean(judged == 0)) if some else 0.0,
        "mean": float(judged.mean()) if some else 0.0,
        "spread": float(judged.std()) if some else 0.0,
        "lowest": float(judged.min()) if some else 0.0,
        "highest": float(judged.max()) if some else 0.0,
        "dead_groups": float(np.mean(~live)) if layout.G else 0.0,
        "steps": layout.S / max(layout.R, 1),
    }


def _compared(credit: Credit) -> float:
    layout = credit.batch.layout
    met = cells(layout.step_group, credit.batch["state"])
    rollouts = np.bincount(met[np.unique(cells(met, layout.rollout), return_index=True)[1]], minlength=met.size)
    return float(np.mean(rollouts[met] > 1)) if met.size else 0.0


def serves(columns: Iterable[str]) -> list[str]:
    """Methods that run where only these columns are carried, beside masks, turns and groups.

    >>> "gigpo" in serves(["outcome"]), "gigpo" in serves(["outcome", "state"])
    (False, True)
    """
    have = set(columns)
    have |= {name for name, of in _MADE_OF.items() if have & set(of)}
    return [name for name in names() if set(get(name).needs) <= have]
