"""Which rollouts to learn from, and of which prompts to draw more. A file in `select/` is a selector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.credit.registry import SELECTORS
from stepcredit.credit.run import RewardFrom, fill, read_only
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import LayoutError


@dataclass(frozen=True, eq=False)
class Selection:
    """What a selector says of the rollouts of a batch. Nothing goes without a reason.

    Args:
        why: [R] 0 = kept, i = left out for `reasons[i - 1]`.
        reasons: in words.
        more: [G] further rollouts to draw of each prompt; None: nothing is asked for.
        train_mask: [S] False = the step is kept but leaves the loss; None: all train.
        priority: [G] how much a prompt is worth drawing again; None: not rated.
        replay: [R] index into the caller's store of what takes this rollout's place, -1 = it stays; None: none does.
    """

    why: Ints
    reasons: tuple[str, ...] = ()
    more: Ints | None = None
    train_mask: Bools | None = None
    priority: Floats | None = None
    replay: Ints | None = None

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
        UnknownName: no such selector or option. MissingColumn: a column it needs is not there.
    """
    found = SELECTORS.get(selector)
    bound = found.check_options(options)
    notes: list[str] = []
    with np.errstate(invalid="ignore"):
        made = found.function(*map(read_only, fill(found, batch, reward, notes)), **bound)
    if not isinstance(made, Selection):
        raise LayoutError(f"{selector} returned a {type(made).__name__}; expected a Selection")
    _check(selector, made, batch)
    kept = batch if made.train_mask is None else batch.with_columns(train_mask=made.train_mask)
    if not made.keep.all():
        kept = kept.take(np.flatnonzero(made.keep))
    left = [f"{n} of {batch.layout.R} rollouts left out: {why}" for why, n in made.counts.items() if n]
    for note in left:
        kept = kept.with_note(f"{selector}: {note}")
    return Selected(selector, {**found.options, **bound}, kept, made, tuple(notes))


def _check(selector: str, made: Selection, batch: Batch) -> None:
    sizes = {"why": "R", "replay": "R", "more": "G", "priority": "G", "train_mask": "S"}
    for name, axis in sizes.items():
        values = getattr(made, name)
        size = getattr(batch.layout, axis)
        if values is not None and np.shape(values) != (size,):
            raise LayoutError(f"{selector} returned {name} of shape {np.shape(values)}; expected ({size},)")
    if made.why.size and (made.why.min() < 0 or made.why.max() > len(made.reasons)):
        raise LayoutError(f"{selector} gave reason {made.why.max()} of {len(made.reasons)}")
