"""What a run of verl says about credit: `algorithm.adv_estimator=stepcredit.<method>` and `algorithm.stepcredit.*`."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import msgspec

from stepcredit.credit import Method, get
from stepcredit.credit.run import RewardFrom
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.lint.rule import Severity
from stepcredit.plugins import extra

PREFIX = "stepcredit."


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `algorithm.stepcredit` that are not options of the method.

    Args:
        reward: where step rewards of yours and outcomes disagree: "reward", "outcome" or "sum".
        lint_every, fail_on: run the linter at steps 1, 1 + k, ...; stop on a finding of this severity or graver.
        not_judged: tokens without credit "mask": leave the loss mask, "zero": stay in it with 0, "error": stop the run.
        row_scores: scores of the rows of one rollout: "copied": each holds the rollout's outcome, "own": each what that
            row earned.
        columns: a column of stepcredit -> the field of yours that holds it.
        drop: outputs of the method to leave unused where verl's loss has no place for them.
        loss: the policy loss that the run uses, where the adapter cannot see it.
    """

    reward: RewardFrom | None = None
    lint_every: int = 50
    fail_on: Severity | Literal["never"] = "error"
    not_judged: Literal["mask", "zero", "error"] = "mask"
    row_scores: Literal["copied", "own"] | None = None
    columns: dict[str, str] = {}
    drop: tuple[Literal["clip_scale", "loss_weight"], ...] = ()
    loss: str | None = None


class Asked(msgspec.Struct, frozen=True):
    """A method with its options, and the settings. gamma, lam: of the critic's target, where there is a critic."""

    method: Method
    options: dict[str, Any]
    settings: Settings
    gamma: float
    lam: float

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def columns(self) -> frozenset[str]:
        """All that the method takes."""
        return frozenset((*self.method.needs, *self.method.uses))


def own_name(estimator: Any) -> str | None:
    """The method that `algorithm.adv_estimator` asks of stepcredit; None where it asks for another's estimator."""
    name = getattr(estimator, "value", estimator)
    return name.removeprefix(PREFIX) if isinstance(name, str) and name.startswith(PREFIX) else None


def read_settings(name: str, config: Any) -> Asked:
    """Settings and options of one run.

    Args:
        name: of the method, without the prefix.
        config: the node `algorithm`: OmegaConf, a mapping, or a dataclass of verl.

    Raises:
        UnknownName: no such method, preset, setting or option. StepCreditError: a value that cannot be, or a setting of
            verl's own that its estimators read and this method would not.
    """
    given = _plain(_get(config, "stepcredit"))
    if not isinstance(given, Mapping):
        raise StepCreditError(
            f"algorithm.stepcredit must be a group of settings; got {given!r}", hint="+algorithm.stepcredit.gamma=0.95"
        )
    verls = {n: _get(config, n) for n in ("gamma", "lam", "norm_adv_by_std_in_grpo")}
    return _read(name, msgspec.json.encode([given, verls]))


@cache  # a method in a file of yours is run once, not at every training step
def _read(name: str, encoded: bytes) -> Asked:
    given, verls = msgspec.json.decode(encoded)
    method, known = get(name), Settings.__struct_fields__
    for key in given:
        if key not in known and key not in method.options:
            raise UnknownName(f"setting algorithm.stepcredit of {name}", str(key), [*known, *method.options])
    options = {k: v for k, v in given.items() if k not in known}
    try:
        settings = msgspec.convert({k: v for k, v in given.items() if k in known}, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise StepCreditError(f"algorithm.stepcredit: {error}") from None
    bound = {**method.options, **method.check_options(options)}
    _not_read_by_us(method, options, verls)
    gamma, lam = (float(1.0 if (v := bound.get(n, verls[n])) is None else v) for n in ("gamma", "lam"))
    return Asked(method, options, settings, gamma, lam)


def _not_read_by_us(method: Method, options: Mapping[str, Any], verls: Mapping[str, Any]) -> None:
    """verl's own settings that were changed, and that the method has an option for which was not set."""
    for name in ("gamma", "lam"):
        value, ours = verls[name], method.options.get(name)
        if name in method.options and name not in options and value not in (None, 1.0, ours):
            raise StepCreditError(
                f"algorithm.{name}={value} is for verl's estimators; {method.name} would use its own {name}={ours}",
                hint=f"say which: +algorithm.stepcredit.{name}={value}, or algorithm.{name}=1.0",
            )
    if verls["norm_adv_by_std_in_grpo"] is False and "spread" in method.options.keys() - options.keys():
        ours = method.options["spread"]
        if ours != "none":
            raise StepCreditError(
                f"algorithm.norm_adv_by_std_in_grpo=False is for verl's estimators; {method.name} would use its own "
                f"spread={ours!r}",
                hint="+algorithm.stepcredit.spread=none, or leave norm_adv_by_std_in_grpo at True",
            )


def rejects_tokens(config: Any) -> bool:
    """Whether verl's rollout correction takes tokens out of the mask before advantages are computed."""
    correction = _get(config, "rollout_correction")
    if correction is None or _get(correction, "bypass_mode", False):
        return False
    return _get(correction, "rollout_rs") is not None


def _get(config: Any, name: str, default: Any = None) -> Any:
    if config is None:
        return default
    return config.get(name, default) if hasattr(config, "get") else getattr(config, name, default)


def _plain(node: Any) -> Any:
    """A node of OmegaConf as dicts, lists and values."""
    if node is None:
        return {}
    if hasattr(node, "_metadata"):
        return extra("omegaconf", "reading the config of verl", name="verl").OmegaConf.to_container(node, resolve=True)
    return node
