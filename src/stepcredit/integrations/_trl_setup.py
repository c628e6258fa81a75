"""What can be known when a TRL trainer is made: the version, what rows carry, what the loss can carry."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from stepcredit.credit import assign
from stepcredit.credit.run import RewardFrom
from stepcredit.data import from_arrays
from stepcredit.data.columns import column
from stepcredit.errors import MissingColumn, StepCreditError, UnknownName
from stepcredit.integrations._padded import _MADE_OF, Assigner, Padded, serves
from stepcredit.lint.rule import SEVERITIES

CARRY = (
    "in TRL a rollout_func returns it under this name, a list per row with one entry per turn (token_*: one per token "
    "of the completion); or it is a column of the dataset, or noted by an environment in its attribute `credit` "
    "(docs/guides/trl.md)"
)
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
"""Losses that clip the ratio to a range about 1, which clip_scale widens or narrows."""
BY_POLICY = ("token_old_logp", "token_logp", "token_entropy")
BY_REFERENCE = ("token_ref_logp", "token_logratio")
"""Columns that the trainer's models make, by one forward pass where TRL has not made it."""


HOOKS = (
    "_calculate_rewards", "_compute_loss", "_generate", "_generate_and_score_completions", "_prepare_inputs",
    "_save_checkpoint", "_tool_call_loop",
)  # fmt: skip
"""Methods of GRPOTrainer that the mixin extends. They are private: a version without one would train without credit."""


def supported(version: str, trainer: type) -> None:
    """See that this adapter was written for the installed TRL and its GRPOTrainer.

    Raises:
        ImportError: it was not.
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (1, 16) <= number < (2, 0):
        raise ImportError(
            f"stepcredit.integrations.trl is written for TRL 1.16 or later below 2; found {version}\n"
            "  hint: pip install 'trl>=1.16,<2'"
        )
    if gone := [name for name in HOOKS if not hasattr(trainer, name)]:
        raise ImportError(
            f"GRPOTrainer of TRL {version} has no {gone[0]}, which stepcredit.integrations.trl extends\n"
            "  hint: pip install 'trl==1.16.*', and report the version"
        )


def keys(assigner: Assigner, also: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Column -> key of a row: what the method takes, what that is made of, and what the user names."""
    names = {*assigner.found.needs, *assigner.found.uses}
    made_of = {source for name in names for source in _MADE_OF.get(name, ())}
    if assigner.reward == "outcome" or not names & {"reward", "token_reward"}:
        # The trainer has the outcome; a `reward` of the user's own is often one number per row.
        made_of.discard("reward")
        names.discard("reward")
    named = dict(also) if isinstance(also, Mapping) else {n: n for n in ([also] if isinstance(also, str) else also)}
    # "outcome" comes from the reward functions unless a row names it.
    return {**{n: n for n in (*names, *made_of, "turn_ids")}, **named}


def check_choices(reward: str | None, fail_on: str, resume: str) -> None:
    """See that settings with a few choices have one of them.

    Raises:
        UnknownName: no such choice.
    """
    for name, given, choices in (
        ("credit_reward", reward, (None, *get_args(RewardFrom))),
        ("credit_fail_on", fail_on, (*SEVERITIES, "never")),
        ("credit_resume", resume, ("same", "change")),
    ):
        if given not in choices:
            raise UnknownName(f"choice of {name}", str(given), [str(c) for c in choices])


def check_setup(trainer: Any, assigner: Assigner, taken: Mapping[str, str]) -> None:
    """See what can be seen before the first batch.

    Raises:
        MissingColumn, StepCreditError: as `CreditMixin`.
    """
    args = trainer.args
    for setting, usual in (("scale_rewards", "group"), ("multi_objective_aggregation", "sum_then_normalize")):
        if getattr(args, setting) != usual:
            raise StepCreditError(
                f"{setting}={getattr(args, setting)!r} is of the advantages that {assigner.method} replaces: it would "
                "have no effect",
                hint=f"leave {setting} out; scaling is an option of the method (credit_options), e.g. spread",
            )
    _check_columns(trainer, assigner, taken)
    if "clip_scale" in _extras(assigner):
        _check_clip(trainer.loss_type, assigner.method)


def _check_columns(trainer: Any, assigner: Assigner, taken: Mapping[str, str]) -> None:
    if trainer.rollout_func is not None or trainer.environment_factories is not None:
        return
    names = getattr(trainer.train_dataset, "column_names", None)
    if names is None or "credit" in names:
        return
    dataset = [] if trainer.args.remove_unused_columns else list(names)
    have = {"outcome", "token_id", *BY_POLICY, *(BY_REFERENCE if trainer.beta else ())}
    have |= {name for name, key in taken.items() if key in dataset}
    have |= {name for name, of in _MADE_OF.items() if have & set(of)}
    lacking = [name for name in assigner.found.needs if name not in have]
    if not lacking:
        return
    known = column(lacking[0])
    what = f" ({known.doc})" if known else ""
    if lacking[0] in BY_REFERENCE:
        raise MissingColumn(
            f"{assigner.method} needs {lacking[0]!r}{what}, and beta=0 keeps no reference model",
            hint="GRPOConfig(beta=...) above 0 keeps one",
        )
    raise MissingColumn(
        f"{assigner.method} needs {lacking[0]!r}{what}, and nothing here carries it: there is no rollout_func and no "
        f"environment_factory, and the dataset has {', '.join(dataset) or 'no columns'}",
        hint=f"{CARRY}. Methods that run as it is: {', '.join(serves(have))}",
    )


def lacking(error: MissingColumn, beta: float, seen: Any) -> MissingColumn:
    """The error of a batch that lacks a column, with what this trainer could do about it."""
    if not beta and any(f"{name!r}" in error.message for name in BY_REFERENCE):
        return MissingColumn(error.message, hint="GRPOConfig(beta=...) above 0 keeps a reference model, which makes it")
    rows = ", ".join(sorted(map(str, seen.inputs[0]))) if seen is not None and seen.inputs else ""
    named = f'your rows have {rows}; if one of them is it: credit_columns={{"column": "key"}}. ' if rows else ""
    return MissingColumn(error.message, hint=f"{named}{error.hint or ''}")


def _extras(assigner: Assigner) -> set[str]:
    """What the method returns beside credit, by a run on four tokens; nothing where it does not run on them."""
    columns: dict[str, Any] = {}
    for name in (*assigner.found.needs, *assigner.found.uses):
        known = column(name)
        axis = known.axis if known else "K" if name.startswith("token_") else "S"
        one: Any = 0 if known is not None and known.kind in ("id", "int", "bool") else 0.5
        columns[name] = {"G": [one], "R": [one, one], "S": [[one, one]] * 2, "K": [[one, 0, one]] * 2}[axis]
    try:
        batch = from_arrays(group=[0, 0], response_mask=[[1, 0, 1]] * 2, **columns)
        return set(assign(batch, assigner.method, reward="outcome", **assigner.options).extras)
    except StepCreditError:
        return set()


def check_loss(loss_type: str, padded: Padded, method: str) -> None:
    """See that the loss can carry what the method returned.

    Raises:
        StepCreditError: it cannot.
    """
    if padded.clip_scale is not None:
        _check_clip(loss_type, method)
    if padded.loss_weight is not None and (padded.loss_weight < 0).any():
        raise StepCreditError(f"{method} returned a loss_weight below 0, which TRL's losses cannot carry")


def _check_clip(loss_type: str, method: str) -> None:
    if loss_type not in CLIPPED:
        raise StepCreditError(
            f"{method} returns clip_scale, a clip range for each turn, and loss_type={loss_type!r} has no such range",
            hint=f"loss_type one of: {', '.join(CLIPPED)}",
        )
