"""Who is measured: credit methods by name, and plain estimators that a method should beat."""

from collections.abc import Callable, Sequence
from functools import partial

from stepcredit.credit import assign, get, names
from stepcredit.credit.card import Card
from stepcredit.credit.registry import Method
from stepcredit.credit.run import applicable, fill
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import StepCreditError
from stepcredit.ops import cell_mean, cells, center

OURS = "stepcredit"


def entries(batch: Batch, chosen: Sequence[str] = ()) -> list[str]:
    """The names to measure on such a batch: those chosen, or every method that it has the columns for, our quality
    score and the plain estimators.

    Raises:
        StepCreditError: a chosen method cannot run on such a batch, or there is none of this name.
    """
    for name in chosen:
        why = applicable(_PLAIN.get(name) or get(name), batch)
        if why:
            raise StepCreditError(f"{name} cannot be measured here: {why}")
    if chosen:
        return list(dict.fromkeys(chosen))
    able = [name for name in names() if applicable(get(name), batch) is None]
    ours = [f"{name}@quality" for name in able if name.startswith(OURS) and "quality" in get(name).presets]
    return [*able, *ours, *(name for name, method in _PLAIN.items() if applicable(method, batch) is None)]


def _run(method: Method, batch: Batch) -> Floats:
    credit: Floats = method.function(*fill(method, batch, None, []))
    return credit


def credit(name: str, batch: Batch) -> Floats:
    """[S] credit of the method or plain estimator of this name."""
    return PLAIN[name](batch) if name in PLAIN else assign(batch, name).steps


def same_edge(layout: Layout, outcome: Floats, state: Ints, next_state: Ints) -> Floats:
    """[S] the mean group advantage of the prompt's identical steps, identical: same state, same next state."""
    edge = cells(layout.step_group, state, next_state)
    advantage = center(outcome, layout.group, spread="none")[layout.rollout]
    return cell_mean(advantage, edge)[edge]


def q_minus_v(layout: Layout, outcome: Floats, state: Ints, next_state: Ints) -> Floats:
    """[S] mean outcome of the identical steps less the mean outcome of all steps taken in the same state."""
    gained = outcome[layout.rollout]
    place = cells(layout.step_group, state)
    edge = cells(place, next_state)
    return cell_mean(gained, edge)[edge] - cell_mean(gained, place)[place]


def _plain(name: str, function: Callable[..., Floats]) -> Method:
    card = Card(name, "", "", "derived", needs="states", bias="", departures="")
    return Method(name, name, function, card, {})


_PLAIN = {name: _plain(name, function) for name, function in (("same edge", same_edge), ("Q - V", q_minus_v))}
PLAIN: dict[str, Callable[[Batch], Floats]] = {name: partial(_run, method) for name, method in _PLAIN.items()}
