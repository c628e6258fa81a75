"""Run a method on a batch: fill its columns by name, say what had to be derived, check what comes back."""

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stepcredit.credit.card import Per, Result
from stepcredit.credit.registry import Method, get
from stepcredit.data.batch import Batch, missing
from stepcredit.data.flat import from_columns
from stepcredit.data.layout import Bools, Floats, Tree
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError, UnknownName
from stepcredit.ops import at_last, on_last_token, step_mean, step_sum, to_tokens, token_paths, token_rollout

RewardFrom = Literal["reward", "outcome", "sum"]


@dataclass(frozen=True, eq=False)
class Credit:
    """What a method says of every step of a batch.

    Args:
        method: the name it was asked for by. options: all options it ran with.
        values: [S], or [K] for a method that works per token. NaN = not judged.
        extras: further outputs of the method (sd, clip_scale, train_mask, loss_weight), on the same axis.
        batch: what it was computed on. notes: what was derived or assumed, in words.
    """

    method: str
    options: Mapping[str, Any]
    values: Floats
    batch: Batch
    per: Per = "step"
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> Floats:
        """[S] credit per step; the mean over the step's tokens for a method that works per token."""
        return step_mean(self.batch.layout, self.values) if self.per == "token" else self.values

    @property
    def tokens(self) -> Floats:
        """[K] credit per sampled token: every token has its step's number, unless the method works per token."""
        return self.values if self.per == "token" else to_tokens(self.batch.layout, self.values)

    def extra_tokens(self, name: str) -> NDArray[Any]:
        """[K] one of the extra outputs, spread to tokens."""
        values = self.extras[name]
        return values if self.per == "token" else to_tokens(self.batch.layout, values.astype(float))

    def advantages(self) -> list[list[float | None]]:
        """Credit per sampled token, `advantages[row][k]`, None = not judged: what trainers take.

        Rows are those of the trainer's tensors (`token_row`), else the rollouts. A batch without tokens counts each
        step as one token.
        """
        lay = self.batch.layout
        if "token_row" in self.batch:
            row = self.batch["token_row"]
            if np.any(row < 0):
                raise LayoutError(f"token {int(np.argmax(row < 0))} names no row of the trainer's tensors (token_row)")
            rows = int(row.max()) + 1 if row.size else 0
            order = np.argsort(row, kind="stable")
        else:
            paths = token_paths(lay)
            order, row, rows = paths.rows, paths.rollout, lay.R
        flat = [None if v != v else v for v in self.tokens[order].tolist()]
        ends = np.cumsum(np.bincount(row, minlength=rows)).tolist()
        return [flat[a:b] for a, b in pairwise([0, *ends])]

    def as_given(self) -> Floats:
        """[n] credit per step in the order of the flat rows that `from_arrays` was given; NaN for rows not here.

        Raises:
            MissingColumn: the batch was not made from flat rows.
        """
        row = self.batch["given_row"]
        out = np.full(int(row.max(initial=-1)) + 1, np.nan)
        out[row] = self.steps
        return out

    def onto(self, batch: Batch) -> Batch:
        """The batch (of the same steps) with this credit as the column `credit.<method>`."""
        return replace(batch, columns={**batch.columns, f"credit.{self.method}": self.steps})

    def rows(self) -> Iterator[tuple[Hashable, Hashable, list[float | None]]]:
        """`advantages()` with the names of each row's group and rollout; a row without tokens has none (None)."""
        batch, lay = self.batch, self.batch.layout
        lists = self.advantages()
        rollout = np.arange(lay.R)
        if "token_row" in batch:
            rollout, owner = np.full(len(lists), -1, np.int64), token_rollout(lay)
            rollout[batch["token_row"][owner >= 0]] = owner[owner >= 0]
        for r, values in zip(rollout.tolist(), lists, strict=True):
            yield (
                (None, None, values) if r < 0 else (batch.group_name(int(lay.group[r])), batch.rollout_name(r), values)
            )

    def by_rollout(self) -> list[list[float | None]]:
        """Credit per step of each rollout, in order; None = not judged."""
        lay = self.batch.layout
        flat = [None if v != v else v for v in lay.along(self.steps).tolist()]
        start = lay.paths.start.tolist()
        return [flat[a:b] for a, b in pairwise(start)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        judged = int(np.sum(~np.isnan(self.values)))
        return f"Credit({self.method!r}, {judged} of {self.values.size} {self.per}s judged)"


def assign(batch: Batch, method: str, *, reward: RewardFrom | None = None, **options: Any) -> Credit:
    """Credit of every step of a batch by a method.

    Args:
        method: a name of `stepcredit methods`, with or without a preset: "gigpo", "gigpo@verl-agent".
        reward: what methods are given where a batch holds both step rewards and outcomes: "reward" (their sum is the
            outcome), "outcome" (the reward of the last step), "sum" (both). Needed by methods that ask for rewards,
            and only where the two disagree; a method that asks for the outcome is else given it.
        options: the method's own, gamma=0.95 and the like.

    Raises:
        UnknownName: no such method, preset or option. MissingColumn: a column it needs is not there; the text names
            what makes it. StepCreditError: rewards and outcomes disagree and `reward` does not say which.
    """
    if reward is not None and reward not in get_args(RewardFrom):
        raise UnknownName("choice of reward", reward, get_args(RewardFrom))
    found = get(method)
    bound = found.check_options(options)
    notes: list[str] = []
    arguments = fill(found, batch, reward, notes)
    if found.card.per == "token" and batch.layout.token_step is None:
        notes.append("the batch holds no tokens: each step counts as one")
    try:
        with np.errstate(invalid="ignore", over="raise"):
            out = found.function(*map(read_only, arguments), **bound)
    except FloatingPointError as error:
        raise StepCreditError(f"{method}: numbers too large to compute with ({error})") from None
    result = out if isinstance(out, Result) else Result(out)
    size = batch.layout.K if found.card.per == "token" else batch.layout.S
    for name, values in {"credit": result.credit, **result.extras()}.items():
        if np.shape(values) != (size,):
            raise LayoutError(f"{method} returned {name} of shape {np.shape(values)}; expected ({size},)")
    return Credit(
        method,
        {**found.options, **bound},
        np.asarray(result.credit, float),
        batch,
        found.card.per,
        {n: np.asarray(v) for n, v in result.extras().items()},
        (*batch.notes, *notes),
    )


def read_only(argument: Any) -> Any:
    """A view that a method cannot write into: it would change the batch, and what other methods make of it."""
    if not isinstance(argument, np.ndarray):
        return argument
    view = argument.view()
    view.flags.writeable = False
    return view


def applicable(method: Method, batch: Batch) -> str | None:
    """None if the batch holds what the method needs, else the reason why not."""
    if "tree" in inspect.signature(method.function).parameters and not batch.layout.is_tree:
        return f"{method.name} needs rollouts that share steps (a tree): `prefix` in records, `parent` in columns"
    try:
        fill(method, batch, "outcome" if "outcome" in batch else "reward", [])
    except MissingColumn as error:
        return error.message
    return None


def fill(
    method: Method,
    batch: Batch,
    reward: RewardFrom | None,
    notes: list[str],
    function: Callable[..., Any] | None = None,
) -> list[Any]:
    """The positional arguments of a method (or of a `function` of its module), from the batch's columns; what is
    derived is added to `notes`."""
    arguments: list[Any] = []
    for parameter in inspect.signature(function or method.function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            continue
        name = method.column(parameter.name)
        if name == "layout":
            arguments.append(batch.layout)
        elif name == "tree":
            if not batch.layout.is_tree:
                notes.append("no step is shared: each rollout is a branch of its own below the prompt")
            arguments.append(Tree.of(batch.layout))
        elif name in _DERIVED:
            try:
                arguments.append(_DERIVED[name](batch, reward, notes, method.name))
            except MissingColumn:
                if parameter.default is parameter.empty:
                    raise
                arguments.append(parameter.default)
        elif name in batch:
            arguments.append(batch[name])
        elif parameter.default is not parameter.empty:
            arguments.append(parameter.default)
        else:
            raise missing(name, batch, method.name)
    return arguments


def _reward(batch: Batch, choice: RewardFrom | None, notes: list[str], who: str) -> Floats:
    lay = batch.layout
    if "reward" not in batch and "outcome" not in batch:
        raise missing("reward", batch, who)
    if "reward" not in batch or choice == "outcome":
        if "outcome" not in batch:
            raise missing("outcome", batch, who)
        notes.append("reward: the outcome on each rollout's last step")
        return at_last(lay, batch["outcome"])
    given: Floats = batch["reward"]
    if choice == "sum":
        if "outcome" not in batch:
            raise missing("outcome", batch, who)
        notes.append("reward: step rewards plus the outcome on each rollout's last step")
        return given + at_last(lay, batch["outcome"])
    if choice is None and "outcome" in batch:
        apart = _apart(batch)
        if apart.any():
            r = int(np.flatnonzero(apart)[0])
            raise StepCreditError(
                f"{who} asks for rewards, and the batch holds step rewards and outcomes that disagree for "
                f"{int(apart.sum())} of {lay.R} rollouts: rollout {batch.rollout_name(r)!r} has rewards that sum to "
                f"{lay.total(given)[r]:g} and outcome {batch['outcome'][r]:g}",
                hint="say which: reward='reward', 'outcome' or 'sum' (--reward on the command line)",
            )
    return given


def _apart(batch: Batch) -> Bools:
    """[R] rollouts whose step rewards sum to something else than their outcome."""
    total = batch.layout.total(batch["reward"])
    apart: Bools = (batch.layout.steps > 0) & ~np.isclose(total, batch["outcome"], rtol=1e-6, atol=1e-9, equal_nan=True)
    return apart


def _outcome(batch: Batch, choice: RewardFrom | None, notes: list[str], who: str) -> Floats:
    if "outcome" not in batch:
        if "reward" not in batch or choice in ("outcome", "sum"):
            raise missing("outcome", batch, who)
        notes.append("outcome: the sum of each rollout's step rewards")
        return batch.layout.total(batch["reward"])
    known: Floats = batch["outcome"]
    if choice in ("reward", "sum"):
        if "reward" not in batch:
            raise missing("reward", batch, who)
        total = batch.layout.total(batch["reward"])
        notes.append(f"outcome: the sum of each rollout's step rewards{' plus its outcome' * (choice == 'sum')}")
        return total + known if choice == "sum" else total
    if choice is None and "reward" in batch and _apart(batch).any():
        notes.append("outcome: as given; step rewards sum to other numbers (--reward chooses)")
    return known


def _token_reward(batch: Batch, choice: RewardFrom | None, notes: list[str], who: str) -> Floats:
    if "token_reward" in batch:
        known: Floats = batch["token_reward"]
        return known
    reward = _reward(batch, choice, notes, who)
    lost = (batch.layout.step_tokens == 0) & (reward != 0)
    if lost.any():
        s = int(np.argmax(lost))
        raise StepCreditError(
            f"{who} asks for rewards of tokens, but step {batch.layout.turn[s]} of rollout "
            f"{batch.rollout_name(int(batch.layout.rollout[s]))!r} has a reward and no sampled token to put it on",
            hint="give token_reward, or the tokens of every step that has a reward",
        )
    notes.append("token_reward: each step's reward on its last token")
    return on_last_token(batch.layout, reward)


def _logratio(batch: Batch, choice: RewardFrom | None, notes: list[str], who: str) -> Floats:
    if "logratio" in batch:
        known: Floats = batch["logratio"]
        return known
    if "token_logratio" not in batch:
        raise missing("logratio", batch, who)
    notes.append("logratio: the sum of token_logratio over each step's tokens")
    return step_sum(batch.layout, batch["token_logratio"])


def _next_state(batch: Batch, choice: RewardFrom | None, notes: list[str], who: str) -> NDArray[np.int64]:
    if "next_state" in batch:
        known: NDArray[np.int64] = batch["next_state"]
        return known
    if "state" not in batch:
        raise missing("state", batch, who)
    lay, state = batch.layout, batch["state"]
    out = np.full(lay.S, -1, np.int64)
    walk = lay.paths.left > 0
    at = np.flatnonzero(walk)
    out[lay.paths.rows[at]] = state[lay.paths.rows[at + 1]]
    after = "a state of its own"
    if "final_state" in batch and batch.keys.get("state") is batch.keys.get("final_state"):
        some, after = lay.last >= 0, "the rollout's final state"
        out[lay.last[some]] = batch["final_state"][some]
    open_ = out < 0
    out[open_] = max(int(state.max(initial=-1)), int(out.max(initial=-1))) + 1 + np.arange(int(open_.sum()))
    notes.append(f"next_state: the next row's state; after a last step {after}")
    return out


def _votes(batch: Batch, choice: RewardFrom | None, notes: list[str], who: str) -> Floats:
    if "votes" not in batch and "label" not in batch:
        raise missing("votes", batch, who)
    if "votes" not in batch:
        notes.append("votes: the label, as the verdict of one judge")
    known: Floats = batch["votes" if "votes" in batch else "label"]
    return known


_DERIVED = {
    "reward": _reward,
    "outcome": _outcome,
    "token_reward": _token_reward,
    "logratio": _logratio,
    "next_state": _next_state,
    "votes": _votes,
}


def on_columns(name: str, columns: Mapping[str, ArrayLike | Sequence[Any]], **options: Any) -> Floats | Result:
    """A method on plain lists or arrays, one entry per step row, rows in any order.

    Args:
        name: method or preset.
        columns: `prompt` or `group` (any keys; per step row or per rollout), `rollout` (any keys), `reward` or
            `outcome` (per step row or per rollout), `state`, `action`, ... as in the table of columns; token columns
            with `token_step`.
        options: the method's, and `reward` as in `assign`.

    Returns:
        Credit in the order of the rows given; a `Result` where the method has more than one output.

    >>> on_columns("grpo", {"group": [0, 0], "rollout": ["a", "b"], "outcome": [1, 0]}, spread="none")
    array([ 0.5, -0.5])
    """
    given = dict(columns)
    if "prompt" in given:
        if "group" in given:
            raise LayoutError("columns name both 'prompt' and 'group': they are one thing, give one")
        given["group"] = given.pop("prompt")
    batch, order = from_columns(given)
    credit = assign(batch, name, **options)

    def back(values: NDArray[Any]) -> NDArray[Any]:
        if credit.per == "token" and batch.layout.token_step is not None:
            return values
        out = np.empty_like(values)
        out[order] = values
        return out

    if credit.extras:
        return Result(back(credit.values), **{n: back(v) for n, v in credit.extras.items()})
    return back(credit.values)
