"""Who is measured: credit methods by name, and plain estimators that a method should beat."""

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stepcredit.bench.branches import branches
from stepcredit.credit import assign, get, names
from stepcredit.credit.card import Card
from stepcredit.credit.registry import Method
from stepcredit.credit.run import applicable, fill
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import cell_mean, cells, center

OURS = "stepcredit"
QUALITY = "@quality"  # a preset of ours that scores steps: no advantage, so its sd is no interval of one


def entries(batch: Batch, chosen: Sequence[str] = ()) -> list[str]:
    """The names to measure on such a batch: those chosen, or every method that it has the columns for, our quality
    score and the plain estimators.

    Raises:
        StepCreditError: a chosen method cannot run on such a batch, or there is none of this name.
    """
    for name in chosen:
        why = why_not(name, batch)
        if why:
            raise StepCreditError(f"{name} cannot be measured here: {why}")
    if chosen:
        return list(dict.fromkeys(chosen))
    able = [name for name in names() if applicable_here(get(name), batch) is None]
    scores = [name + QUALITY for name in able if ours(name) and QUALITY[1:] in get(name).presets]
    return [*able, *scores, *(name for name, method in _PLAIN.items() if applicable(method, batch) is None)]


def applicable_here(method: Method, batch: Batch) -> str | None:
    """None if the method can be measured on such a batch, else why not. A method on trees is given the rollouts of a
    task that began alike as a tree, where states and actions tell which did."""
    if on_tree(method) and not batch.layout.is_tree and "state" in batch and "action" in batch:
        return applicable(method, branches(batch).batch)
    return applicable(method, batch)


def why_not(name: str, batch: Batch) -> str | None:
    """The same for a method or plain estimator by name."""
    return applicable_here(_PLAIN.get(name) or get(name), batch)


def on_tree(method: Method) -> bool:
    """Whether it asks for a tree."""
    return "tree" in inspect.signature(method.function).parameters


def ours(name: str) -> bool:
    """Whether the entry is of our own making: its name, or that of its file, says so."""
    return Path(name).name.startswith(OURS)


class Judged(NamedTuple):
    """[S] credit, and the standard error that the method gives with it, if it does."""

    credit: Floats
    sd: Floats | None = None


def judge(name: str, batch: Batch) -> Judged:
    """Credit of a batch's steps by the method or plain estimator of this name. What it prints goes to stderr.

    Raises:
        StepCreditError: the method failed, whatever it raised; its credit is infinite. The text is for a table.
    """
    try:
        with redirect_stdout(sys.stderr):
            if name in _PLAIN:
                found = Judged(np.asarray(_PLAIN[name].function(*fill(_PLAIN[name], batch, None, [])), float))
            else:
                apart = on_tree(get(name)) and not batch.layout.is_tree
                tree = branches(batch) if apart else None
                given = assign(tree.batch if tree else batch, name)
                sd = None if given.per == "token" else given.extras.get("sd")
                found = Judged(given.steps[tree.node] if tree else given.steps, sd)
    except StepCreditError:
        raise
    except (Exception, SystemExit) as error:  # a method of anyone's
        raise StepCreditError(f"{type(error).__name__}: {error}") from error
    if np.isinf(found.credit).any():
        raise StepCreditError("credit is infinite")
    return found


def same_edge(layout: Layout, outcome: Floats, state: Ints, next_state: Ints) -> Floats:
    """[S] the mean group advantage of the prompt's identical steps, identical: same state, same next state."""
    edge = cells(layout.step_group, state, next_state)
    advantage = center(outcome, layout.group, spread="none")[layout.rollout]
    return cell_mean(advantage, edge)[edge]


def _plain(name: str, function: Callable[..., Floats]) -> Method:
    card = Card(name, "", "", "derived", needs="states", bias="", departures="")
    return Method(name, name, function, card, {})


_PLAIN = {name: _plain(name, function) for name, function in (("same edge", same_edge),)}
