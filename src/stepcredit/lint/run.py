"""Run rules: fill their arrays by name, say which could not run and why."""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import LayoutError, UnknownName
from stepcredit.lint import derive
from stepcredit.lint.arrays import array
from stepcredit.lint.registry import Found, get, names
from stepcredit.lint.report import Report, Reported
from stepcredit.lint.rule import SEVERITIES, Declared, Finding, NotChecked
from stepcredit.lint.take import Source, declared, from_layout, from_tensors
from stepcredit.ops import to_tokens

_SHOWN = 20


@runtime_checkable
class CreditLike(Protocol):
    """A `stepcredit.credit.Credit`."""

    @property
    def method(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def tokens(self) -> Floats: ...


def check(
    advantages: Any,
    response_mask: Any = None,
    group: Any = None,
    *,
    outcome: Any = None,
    rollout: Any = None,
    turn_ids: Any = None,
    token_rewards: Any = None,
    returns: Any = None,
    attention_mask: Any = None,
    length: Any = None,
    step_index: Any = None,
    method: str | None = None,
    card: Any = None,
    claims: Iterable[Literal["centered"]] = (),
    only: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
) -> Report:
    """Is this advantage tensor sane?

    The more is given, the more can be checked; a rule whose arrays are not there is reported as not checked.

    Args:
        advantages: [B, T] of a trainer (NumPy or torch); or a list of rows with the sampled tokens only, None = not
            judged; or one number per row. Or a `Credit`, which brings everything else along.
        response_mask: [B, T], 1 or True on tokens that the policy sampled. Padding may stand left or right.
        group: [B] task of each row, any keys. outcome: [B] verdict on the row's whole rollout; NaN or None = unknown.
        rollout: [B] rollout of each row, any keys, where several rows (steps) form one; default: a row is a rollout.
        step_index: [B] place of the row in its rollout. length: [B] tokens of the response as the sampler counted.
        turn_ids: [B, T] turn of each token, -1 = none; default: a run of the mask is a turn.
        token_rewards: [B, T] rewards with penalties. returns: [B, T]. attention_mask: [B, T], 0 on padding.
        method: name of the credit method, with or without a preset; card: a Card instead. What a card waives, and a
            declared design, is no fault.
        claims: "centered": credit averages 0 over the rollouts of each task.
        only, ignore: names of rules.

    Returns:
        A Report: findings, what is ok, what was not checked and why.

    Raises:
        LayoutError: shapes that do not fit. UnknownName: no such rule, method or claim.

    >>> print(check([[1.0, 1.0, 0.0]], [[1, 0, 0]], only=["off_mask"]).findings[0].message)
    1 entries outside the rows' sampled span are not 0 (largest 1)
    """
    chosen = _rules(only, ignore)
    if isinstance(advantages, CreditLike):
        return _check_credit(advantages, chosen, _claims(claims))
    facts = {"method": declared(method, card, {}), "claims": _claims(claims)}
    source = from_tensors(
        advantages,
        response_mask,
        {"token_reward": token_rewards, "returns": returns, "attention": attention_mask, "turn_id": turn_ids},
        {"outcome": outcome, "length": length, "step_index": step_index},
        {"group": group, "rollout": rollout},
        facts,
    )
    return _run(source, chosen)


def check_batch(
    batch: Batch,
    credit_name: str,
    *,
    claims: Iterable[Literal["centered"]] = (),
    only: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
) -> Report:
    """Check a credit column of a batch, `credit.<credit_name>`, such as a file holds it.

    Where `credit_name` is a known method, its card is read; else the credit is checked as anyone's, and that is noted.
    A method that is a path to a file is not known here: the name may come from data, and data runs nothing.

    Raises:
        MissingColumn: the batch has no such credit.
    """
    values = batch[f"credit.{credit_name}"]
    tokens = to_tokens(batch.layout, values)
    known = None
    if ".py" not in credit_name:
        with suppress(UnknownName):
            known = declared(credit_name, None, {})
    note = None if known else f"no method named {credit_name!r}: checked without a card"
    return _check_layout(batch, tokens, known, _rules(only, ignore), _claims(claims), note)


def _check_credit(credit: CreditLike, rules: list[Found], claims: frozenset[str]) -> Report:
    known = declared(credit.method, None, credit.options)
    return _check_layout(credit.batch, credit.tokens, known, rules, claims, None)


def _check_layout(
    batch: Batch, tokens: Floats, known: Declared | None, rules: list[Found], claims: frozenset[str], note: str | None
) -> Report:
    if known is not None and known.reads is not None and batch.layout.is_tree:
        # A shared step has the mean over its rollouts: no longer one number per rollout, whatever the method reads.
        known = replace(known, reads=known.reads | {"tree"}, holds=known.holds - {"centered"})
    source = from_layout(batch.layout, batch.columns, tokens, batch.keys)
    source.arrays.update(method=known, claims=claims)
    notes = source.notes if note is None else (*source.notes, note)
    return _run(Source(source.arrays, source.names, notes), rules)


def _rules(only: Iterable[str] | None, ignore: Iterable[str]) -> list[Found]:
    out = set(ignore)
    for name in out:
        get(name)
    return [get(name) for name in (names() if only is None else only) if name not in out]


def _claims(claims: Iterable[str]) -> frozenset[str]:
    given = frozenset([claims] if isinstance(claims, str) else claims)
    for claim in given - {"centered"}:
        raise UnknownName("claim", claim, ["centered"])
    return given


def _run(source: Source, rules: list[Found]) -> Report:
    table = _Arrays(source.arrays)
    found: list[Reported] = []
    ok: list[str] = []
    not_checked: dict[str, str] = {}
    for name, rule, function in rules:
        try:
            with np.errstate(over="raise", invalid="raise"):
                out = function(**table.arguments(function))
        except _Missing as error:
            not_checked[name] = error.reason
            continue
        except FloatingPointError:
            not_checked[name] = "its sums of these numbers are too large for numbers"
            continue
        if isinstance(out, NotChecked):
            not_checked[name] = out.reason
        elif not out:
            ok.append(name)
        else:
            found += [
                Reported(name, rule, f.severity or rule.severity, f.message, f.count, _places(f, source)) for f in out
            ]
    found.sort(key=lambda f: SEVERITIES.index(f.severity))
    notes = source.notes
    if "group" not in source.arrays:
        notes = (*notes, "no group: rules that compare rollouts of a task were not run")
    return Report(tuple(found), tuple(ok), not_checked, notes, _sizes(source.arrays))


def _sizes(given: Mapping[str, Any]) -> dict[str, int]:
    def count(name: str) -> int:
        return int(np.unique(given[name]).size) if name in given else 0

    sizes = {"rows": int(given["rows"]), "rollouts": count("rollout"), "groups": count("group")}
    if "mask" in given:
        sizes["sampled tokens"] = int(given["mask"].sum())
    return sizes


def _places(finding: Finding, source: Source) -> dict[str, list[Any]]:
    out = {}
    for axis, ids in finding.where.items():
        shown = np.asarray(ids)[:_SHOWN].tolist()
        known = source.names.get(axis)
        out[axis] = shown if known is None else [known[i] for i in shown]
    return out


class _Missing(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Arrays:
    """The given arrays, and those derived on demand, each once."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.known = dict(given)

    def arguments(self, function: Any) -> dict[str, Any]:
        """What a function's parameters ask for; an optional one that cannot be had keeps its default."""
        out = {}
        for name, parameter in inspect.signature(function).parameters.items():
            try:
                out[name] = self[name]
            except _Missing:
                if parameter.default is parameter.empty:
                    raise
        return out

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            made = getattr(derive, name, None)
            try:
                self.known[name] = _given(name) if made is None else made(**self.arguments(made))
            except _Missing as error:
                self.known[name] = error
        value = self.known[name]
        if isinstance(value, _Missing):
            raise value
        if isinstance(value, NotChecked):
            raise _Missing(value.reason)
        return value


def _given(name: str) -> _Missing:
    """Why an array that only the caller can give is not there."""
    try:
        known = array(name)
    except KeyError:
        raise LayoutError(f"a rule asks for {name!r}, which is not in the table of arrays") from None
    return _Missing(f"needs {known.give or name}")
