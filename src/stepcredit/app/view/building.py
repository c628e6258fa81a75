"""From files to the parts of an index, whole tasks at a time."""

import inspect
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stepcredit.app.options import Files, OnError, normalized, with_some_states
from stepcredit.app.view import judging
from stepcredit.app.view.answers import Head
from stepcredit.app.view.rows import Part, part
from stepcredit.credit import Credit, assign, get
from stepcredit.credit.registry import names as all_methods
from stepcredit.credit.run import RewardFrom, applicable
from stepcredit.data import Batch
from stepcredit.data.redact import Redactor
from stepcredit.errors import MissingColumn, StepCreditError, UnknownName

STEPS = 50_000
"""Most steps of a part, where a task is not larger."""
FIRST = ("gigpo", "hgpo", "salt", "stepcredit_graph")
"""Methods that stand first where they can run: what people mean by credit of steps."""
OF_FILE = " of the file"
"""Ends the name of credit that the file holds, as a trainer wrote it; it stands before all that is computed here."""
_LINT_SHOWN = 50


@dataclass(frozen=True)
class Order:
    """What to read, and what to make of it: all that an index depends on.

    digests: of the contents of files that stand elsewhere each time (fetched ones), "" for others; () = of none.
    methods: names; () = all that the columns allow. diagnose: methods without a model; () = none. redact: take secrets
    out of what is kept. The other fields are the load options of every command.
    """

    files: tuple[str, ...]
    digests: tuple[str, ...] = ()
    format: str | None = None
    map: tuple[str, ...] = ()
    on_error: str = "raise"
    segment: str | None = None
    states: str | None = None
    normalize: str = ""
    methods: tuple[str, ...] = ()
    reward: RewardFrom | None = None
    diagnose: tuple[str, ...] = ()
    redact: bool = False
    steps: int = STEPS


class Building:
    """The parts of an index, one after the other, and what they have told so far.

    Attributes:
        head: what is known by now. runs, steps: how many were made into parts.

    Raises:
        DataError, UnknownName: as `Reading`. StepCreditError: options that do not fit.
    """

    def __init__(self, order: Order, title: str = "stepcredit", source: str = "") -> None:
        self.order = order
        for name in order.methods:
            get(name)
        if order.states in (None, "none"):
            normalized(None, order.normalize)
        self.source = Files(list(order.files), order.format, list(order.map), OnError(order.on_error), order.segment)
        self.clean = Redactor() if order.redact else None
        self.head = Head(title=title, source=source or ", ".join(order.files))
        self.head.diagnosers = judging.described(order.diagnose)
        self.runs = self.steps = 0
        self._tasks: dict[Hashable, int] = {}
        self._ran: dict[str, None] = {}
        self._skipped: dict[str, str] = {}

    def parts(self) -> Iterator[tuple[Part, Batch]]:
        """The parts, made as they are asked for, and the rollouts that each was made of."""
        batches = self.source.stream(steps=self.order.steps)
        now: Batch | None = next(batches, None)
        if now is None:  # rows that hold no run yet, as spans of one that has just begun
            self.head.notes = [*self.source.notes, *([self.source.left_out] if self.source.left_out else [])]
        several, number = False, 0
        while now is not None:
            after = next(batches, None)
            several = several or after is not None
            yield self._part(now, number, several)
            now, number = after, number + 1

    def judge(self, made: Part, batch: Batch) -> None:
        """Put verdicts into the runs of a part; the slow half of the work."""
        if self.order.diagnose:
            judging.judge(made, batch.to_records(), self.order.diagnose)
            self._cleaned(made)

    def _part(self, batch: Batch, number: int, several: bool) -> tuple[Part, Batch]:
        batch = with_some_states(batch, self.order.states, self.order.normalize)
        given, credits = self._of_file(batch), self._credits(batch, several)
        names = [c.method for c in (*given, *credits)]
        made = part(
            batch,
            [*given, *credits],
            names=names,
            first_run=self.runs,
            gids=lambda name: self._tasks.setdefault(name, len(self._tasks)),
            clean=None if self.clean is None else self.clean.rollout,
            number=number,
        )
        if self.clean is not None:
            made = without_secret_names(made, self.clean)
        self.runs += len(made.runs)
        self.steps += sum(r.n for r in made.runs)
        found = judging.lint(made, batch, credits, bool(self.order.methods))
        self._cleaned(made)
        self._note(batch, made, names, found)
        return made, batch

    def _of_file(self, batch: Batch) -> list[Credit]:
        """The credit that the rows hold."""
        names = [n.removeprefix("credit.") for n in batch.columns if n.startswith("credit.")]
        shown = {n: (n if self.clean is None else self.clean.text(n)) + OF_FILE for n in names}
        self._ran |= dict.fromkeys(shown.values())
        return [Credit(shown[n], {}, batch[f"credit.{n}"], batch) for n in names]

    def _credits(self, batch: Batch, several: bool) -> list[Credit]:
        """By the methods asked for, else by all that the columns allow; those that compare steps first."""
        out = []
        for name in self.order.methods or all_methods():
            try:
                lacks = self._lacks(name, batch, several)
                if lacks is None:
                    out.append(assign(batch, name, reward=self.order.reward))
                    self._ran[name] = None
            except MissingColumn as error:
                lacks = error.message
            except StepCreditError as error:
                if self.order.methods:
                    raise
                lacks = error.message
            if lacks is not None:
                self._skipped[name] = lacks.partition("; the batch holds")[0]
        return sorted(out, key=lambda c: rank(c.method))

    def _lacks(self, name: str, batch: Batch, several: bool) -> str | None:
        method = get(name)
        if several and "other_prompts" in method.waives:
            return f"{name} compares tasks with one another, and these are too many to hold at once"
        return None if self.order.methods else applicable(method, batch)

    def _note(self, batch: Batch, made: Part, names: Sequence[str], found: list[dict[str, Any]]) -> None:
        head = self.head
        head.evidence = sorted({*head.evidence, *(n[9:] for n in made.numbers if n.startswith("evidence."))})
        source = [*self.source.notes, *([self.source.left_out] if self.source.left_out else [])]
        head.notes = list(
            dict.fromkeys([*source, *(n for n in [*head.notes, *batch.notes] if "rows left out" not in n)])
        )
        head.lint = [*head.lint, *(f for f in found if f not in head.lint)][:_LINT_SHOWN]
        skipped = {n: why for n, why in self._skipped.items() if n not in self._ran}
        head.methods = methods([*self._ran, *skipped], skipped)
        head.forked += dict.fromkeys(r.gid for r in made.runs if r.shared)
        if self.clean is not None:  # names of evidence, and notes that quote a row
            head.title, head.source = self.clean.text(head.title), self.clean.text(head.source)
            for name in ("evidence", "notes", "lint", "methods"):
                setattr(head, name, self.clean.value(getattr(head, name)))
        head.redacted = None if self.clean is None else dict(self.clean.taken)

    def _cleaned(self, made: Part) -> None:
        if self.clean is not None:
            for run in made.runs:
                run.lint, run.verdicts = self.clean.value(run.lint), self.clean.value(run.verdicts)
            self.head.redacted = dict(self.clean.taken)


def without_secret_names(made: Part, clean: Redactor) -> Part:
    """The part with names of evidence as its cleaned records have them."""
    named = {clean.text(n) if n.startswith("evidence.") else n: v for n, v in made.numbers.items()}
    return replace(made, numbers=named)


def methods(names: Sequence[str], skipped: Mapping[str, str], *, sort: bool = True) -> list[dict[str, Any]]:
    """name, title, doc, skipped (why it could not run) of credit methods; those that ran and compare steps first."""
    out = []
    for name in sorted(names, key=lambda n: (n in skipped, *rank(n))) if sort else names:
        try:
            method = get(name)
            title, doc = method.card.title, (inspect.getdoc(method.function) or "").partition("\n\n")[0]
        except UnknownName:  # credit that the caller made, or the file holds
            title, doc = name, "as it stands in the rows, not computed here" * name.endswith(OF_FILE)
        out.append({"name": name, "title": title, "doc": " ".join(doc.split()), "skipped": skipped.get(name)})
    return out


def rank(name: str) -> tuple[int, int]:
    """Where a method stands among others: what the file holds, then those that tell the steps of a rollout apart by
    comparing them."""
    if name.endswith(OF_FILE):
        return -1, 0
    try:
        compares = get(name).grouping is not None
    except UnknownName:
        compares = False
    return (FIRST.index(name) if name in FIRST else len(FIRST)), int(not compares)
