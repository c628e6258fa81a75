"""Which rollouts to learn from, and of which prompts to draw more. A file in `select/` is a selector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.credit.registry import SELECTORS
from stepcredit.credit.run import RewardFrom, fill, read_only
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError


@dataclass(frozen=True, eq=False)
class Selection:
    """What a selector says of the rollouts of a batch. Nothing goes without a reason.

    Args:
        why: [R] 0 = kept, i = left out for `reasons[i - 1]`.
        reasons: in words.
        more: [G] further rollouts to draw of each prompt; None: nothing is asked for.
        train_mask: [S] False = the step is kept but leaves the loss; None: all train.
        priority: [G] how much a prompt is worth drawing again, NaN = not rated; None: no prompt is.
        replay: [R] index into the caller's store of what takes the place of this rollout, which is then left out; -1 =
            nothing does; None: of no rollout.
        resume: [R] steps to keep of the rollout when it is drawn anew from there; -1 = it is not; None: none is.
    """

    why: Ints
    reasons: tuple[str, ...] = ()
    more: Ints | None = None
    train_mask: Bools | None = None
    priority: Floats | None = None
    replay: Ints | None = None
    resume: Ints | None = None

    @property
    def keep(self) -> Bools:
        """[R] stays."""
        keep: Bools = self.why == 0
        return keep

    @property
    def counts(self) -> dict[str, int]:
        """Rollouts left out, by reason; reasons that struck nobody are there with 0."""
        struck = np.bincount(self.why, minlength=len(self.reasons) + 1)[1:]
        return dict(zip(self.reasons, struck.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Selected:
    """A batch after a selector: the rollouts kept (with `train_mask` as a column, where there is one), and what was
    said of all of them.

    selector: the name it was asked for by. options: all options it ran with. notes: what was derived, in words.
    """

    selector: str
    options: Mapping[str, Any]
    batch: Batch
    selection: Selection
    notes: tuple[str, ...] = ()


def select(batch: Batch, selector: str, *, reward: RewardFrom | None = None, **options: Any) -> Selected:
    """The rollouts of a batch that a selector keeps, with counts and reasons for the others.

    Args:
        selector: a name of `stepcredit methods` of the kind selector: "dapo".
        reward: as in `assign`.
        options: the selector's own.

    Raises:
        UnknownName: no such selector or option. MissingColumn: a column it needs is not there. LayoutError: it leaves
            out a rollout whose steps others share.
    """
    found = SELECTORS.get(selector)
    bound = found.check_options(options)
    notes: list[str] = []
    with np.errstate(invalid="ignore"):
        made = found.function(*map(read_only, fill(found, batch, reward, notes)), **bound)
    if not isinstance(made, Selection):
        raise LayoutError(f"{selector} returned a {type(made).__name__}; expected a Selection")
    check_selection(made, batch, selector)
    kept = batch if made.train_mask is None else batch.with_columns(train_mask=made.train_mask)
    if not made.keep.all():
        kept = _kept(kept, made, selector)
    left = [f"{n} of {batch.layout.R} rollouts left out: {why}" for why, n in made.counts.items() if n]
    for note in left:
        kept = kept.with_note(f"{selector}: {note}")
    return Selected(selector, {**found.options, **bound}, kept, made, tuple(notes))


def _kept(batch: Batch, made: Selection, selector: str) -> Batch:
    """The rollouts that stay. Rollouts that share steps stay or leave together."""
    try:
        return batch.take(np.flatnonzero(made.keep))
    except LayoutError:
        lay, gone = batch.layout, ~made.keep
        shared = np.isin(lay.rollout[lay.paths.rows], np.flatnonzero(gone)) & made.keep[lay.paths.rollout]
        at = int(np.argmax(shared))
        held, stays = int(lay.rollout[lay.paths.rows[at]]), int(lay.paths.rollout[at])
        raise LayoutError(
            f"{selector} leaves out rollout {batch.rollout_name(held)!r} ({made.reasons[made.why[held] - 1]}), which "
            f"holds steps that rollout {batch.rollout_name(stays)!r} passes too",
            hint="in a tree use a selector that leaves out whole prompts, or mask steps instead",
        ) from None


def check_selection(made: Selection, batch: Batch, selector: str) -> None:
    """What a selector may say of a batch: lengths, ranges, a reason for each rollout that leaves.

    Raises:
        StepCreditError: it says something else. LayoutError: of another length.
    """
    sizes = {"why": "R", "replay": "R", "resume": "R", "more": "G", "priority": "G", "train_mask": "S"}
    whole = {"why": (0, len(made.reasons)), "replay": (-1, None), "resume": (-1, None), "more": (0, None)}
    for name, axis in sizes.items():
        values = getattr(made, name)
        if values is None:
            continue
        size = getattr(batch.layout, axis)
        if np.shape(values) != (size,):
            raise LayoutError(f"{selector} returned {name} of shape {np.shape(values)}; expected ({size},)")
        kind = "i" if name in whole else "f" if name == "priority" else "b"
        if values.dtype.kind != kind:
            raise StepCreditError(f"{selector} returned {name} as {values.dtype}")
        low, high = whole.get(name, (None, None))
        wild = np.zeros(size, bool) if low is None else values < low
        wild |= False if high is None else values > high
        if wild.any():
            raise StepCreditError(f"{selector} returned {name} {values[wild][0]}; expected {low}..{high or ''}")
    if made.replay is not None and np.any(made.keep & (made.replay >= 0)):
        r = int(np.argmax(made.keep & (made.replay >= 0)))
        raise StepCreditError(f"{selector} replaces rollout {batch.rollout_name(r)!r} and keeps it too")
    if made.resume is not None and np.any(made.resume > batch.layout.steps):
        r = int(np.argmax(made.resume > batch.layout.steps))
        raise StepCreditError(f"{selector} resumes rollout {batch.rollout_name(r)!r} after step {made.resume[r]}")
