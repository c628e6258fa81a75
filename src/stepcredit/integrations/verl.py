"""Credit inside verl: `algorithm.adv_estimator=stepcredit.<method>` and nothing else.

verl loads this module by itself (entry point `verl.plugins`) in every process that imports verl. It takes a seat in
four modules of verl once they are imported, and none of them before:

    core_algos             every method and preset is an advantage estimator, `stepcredit.gigpo@verl-agent`
    ray_trainer            `compute_advantage` hands the whole batch to methods of stepcredit
    v1.trainer_base        `PPOTrainer._compute_advantage` adds what agent loops attached, rows of one rollout, metrics
    metric_utils           statistics of the legacy trainers reach the tracker

Other estimators go through all of them untouched. `python -m stepcredit.integrations.verl` says what is in place.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from types import ModuleType
from typing import Any

from stepcredit.credit import names
from stepcredit.integrations._after_import import after_import
from stepcredit.integrations._verl_batch import CALL, CARRY, TrainerCall, estimate, whole_batch
from stepcredit.integrations._verl_credit import assigner
from stepcredit.integrations._verl_settings import PREFIX, own_name, read_settings

__all__ = ["estimate", "install", "seats"]

_LOG = logging.getLogger(__name__)
_DONE = "_stepcredit"


def _register(module: ModuleType) -> None:
    registry = module.ADV_ESTIMATOR_REGISTRY
    for name in names(presets=True):
        if PREFIX + name not in registry:
            module.register_adv_est(PREFIX + name)(partial(estimate, name))


def _wrap_compute_advantage(module: ModuleType) -> None:
    real = module.compute_advantage
    if hasattr(real, _DONE):
        return

    @wraps(real)
    def compute_advantage(data: Any, adv_estimator: Any, *args: Any, **kwargs: Any) -> Any:
        name = own_name(adv_estimator)
        if name is None:
            return real(data, adv_estimator, *args, **kwargs)
        if "response_mask" not in data.batch:
            data.batch["response_mask"] = module.compute_response_mask(data)
        return whole_batch(
            data, name, signature(real).bind(data, adv_estimator, *args, **kwargs).arguments.get("config")
        )

    _put(module, "compute_advantage", real, compute_advantage)


def _wrap_trainer(module: ModuleType) -> None:
    trainer = module.PPOTrainer
    real, begin = trainer._compute_advantage, trainer.__init__
    if hasattr(real, _DONE):
        return

    @wraps(begin)
    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        name = own_name(config.algorithm.adv_estimator)
        if name is not None:  # what is misspelt is said before any model is loaded
            assigner(read_settings(name, config.algorithm), CARRY["batch"])
        begin(self, config, *args, **kwargs)

    @wraps(real)
    def _compute_advantage(self: Any, batch: Any, metrics: dict[str, Any]) -> Any:
        if own_name(self.config.algorithm.adv_estimator) is None:
            return real(self, batch, metrics)
        call = TrainerCall(self, batch, metrics, module)
        token = CALL.set(call)
        try:
            out = real(self, batch, metrics)
        finally:
            CALL.reset(token)
        return out if call.lost is None else _put_masks(call, out)

    setattr(_compute_advantage, _DONE, real)
    trainer._compute_advantage, trainer.__init__ = _compute_advantage, __init__


def _put_masks(call: TrainerCall, out: Any) -> Any:
    """Both masks of the TransferQueue without what was not judged: the loss is taken over the one, and divided by the
    sum of the other."""
    module: Any = call.module
    place = {"keys": out.keys, "partition_id": out.partition_id}
    masks = module.tq.kv_batch_get(**place, select_fields=["response_mask", "loss_mask"])
    fields = {}
    for name in ("response_mask", "loss_mask"):
        if name in masks.keys():  # noqa: SIM118
            nested = masks[name]
            padded = nested.to_padded_tensor(0)
            lost = call.lost.to(padded.device)[:, : padded.shape[1]]
            fields[name] = module.response_to_nested(padded.masked_fill(lost, 0), nested)
    return module.tq.kv_batch_put(**place, fields=module.TensorDict(fields, batch_size=len(out)))


def _wrap_metrics(module: ModuleType) -> None:
    real = module.compute_data_metrics
    if hasattr(real, _DONE):
        return

    @wraps(real)
    def compute_data_metrics(batch: Any, *args: Any, **kwargs: Any) -> Any:
        return {**real(batch, *args, **kwargs), **batch.meta_info.get("stepcredit", {})}

    _put(module, "compute_data_metrics", real, compute_data_metrics)


def _put(module: ModuleType, name: str, real: Any, ours: Any) -> None:
    """In the module, and wherever in verl it was imported from there already."""
    setattr(ours, _DONE, real)
    for other in [module, *(m for n, m in list(sys.modules.items()) if n.startswith("verl."))]:
        if getattr(other, name, None) is real:
            setattr(other, name, ours)


_SEATS: dict[str, Callable[[ModuleType], None]] = {
    "verl.trainer.ppo.core_algos": _register,
    "verl.trainer.ppo.ray_trainer": _wrap_compute_advantage,
    "verl.trainer.ppo.v1.trainer_base": _wrap_trainer,
    "verl.trainer.ppo.metric_utils": _wrap_metrics,
}
_FAILED: dict[str, str] = {}
_ABSENT = "not in this verl"  # verl 0.8 has no v1 trainers


def _seat(name: str, module: ModuleType) -> None:
    """verl hides what a plugin raises, and an error here would stop runs that use none of this: it is logged."""
    try:
        _SEATS[name](module)
        _FAILED.pop(name, None)
    except Exception as error:
        _FAILED[name] = f"{type(error).__name__}: {error}"
        _LOG.exception("stepcredit found no seat in %s", name)


_installed = False


def install() -> None:
    """Take the seats; what verl's entry point does. Once is enough, more does no harm."""
    global _installed
    if not _installed:
        for name in _SEATS:
            after_import(name, partial(_seat, name))
        _installed = True


def seats() -> dict[str, str]:
    """Each seat -> "in place", "not in this verl", or why it is not. Imports verl's trainers.

    Raises:
        ImportError: verl is not installed.
    """
    import_module("verl")
    out = {}
    for name in _SEATS:
        try:
            import_module(name)
        except Exception as error:
            absent = isinstance(error, ModuleNotFoundError) and name.startswith(error.name or "?")
            out[name] = _ABSENT if absent else f"cannot be imported: {type(error).__name__}: {error}"
        else:
            out[name] = _FAILED.get(name, "in place")
    return out


def _check() -> int:
    """What `python -m stepcredit.integrations.verl` prints; 0 where the trainers of this verl take credit."""
    from stepcredit import __version__

    try:
        found = seats()
    except ImportError as error:
        print(f"verl cannot be imported: {error}")
        return 1
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto")
    entry = [e.value for e in entry_points(group="verl.plugins") if e.name == "stepcredit"]
    core = sys.modules.get("verl.trainer.ppo.core_algos")
    known = sorted(name for name in getattr(core, "ADV_ESTIMATOR_REGISTRY", ()) if name.startswith(PREFIX))
    print(f"stepcredit {__version__}, verl {import_module('verl').__version__}")
    print(f"entry point verl.plugins: {entry[0] if entry else 'NONE: reinstall stepcredit'} (plugins: {policy})")
    print(f"estimators: {len(known)}, {', '.join(known[:3])} ...")
    for name, said in found.items():
        print(f"{name.removeprefix('verl.trainer.ppo.')}: {said}")
    return int(any(said not in ("in place", _ABSENT) for said in found.values()) or not known)


if __name__ == "__main__":
    sys.exit(import_module("stepcredit.integrations.verl")._check())
install()
