"""The config of `stepcredit train`: YAML into typed settings; what cannot work is said before anything is loaded."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct, field

from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.plugins import extra

Count = Annotated[int, Meta(ge=0)]
Some = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]

TRACKERS = ("tensorboard", "trackio", "wandb")
LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")
_FREE = ("rl.steps", "rl.seconds", "eval", "checkpoints", "rollouts", "trackers", "output")
"""Settings that may differ when a run goes on."""


class Size(Struct, forbid_unknown_fields=True):
    """A Llama built here. vocabulary: most tokens, the 256 bytes included."""

    layers: Some = 2
    width: Some = 128
    heads: Some = 4
    vocabulary: Annotated[int, Meta(ge=258)] = 512


class Lora(Struct, forbid_unknown_fields=True):
    """Of peft. targets: names of layers; empty: every linear layer."""

    r: Some = 8
    alpha: Some = 16
    dropout: Share = 0.0
    targets: list[str] = []


class Model(Struct, forbid_unknown_fields=True):
    """path: a folder or an id of the hub; None: a model of `size` is built and learns to read from the warm start."""

    path: str | None = None
    size: Size = field(default_factory=Size)
    lora: Lora | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"


class World(Struct, forbid_unknown_fields=True):
    """seconds: longest time that all episodes together may take for one step."""

    name: str = "key_door_rooms"
    options: dict[str, Any] = {}
    train_tasks: Some = 200
    eval_tasks: Some = 50
    seconds: Positive | None = 30.0


class Warmup(Struct, forbid_unknown_fields=True):
    """Imitation of the world's expert, by chance `noise` another action. It ends after steps, or seconds."""

    demonstrations: Count = 400
    noise: Share = 0.3
    steps: Count = 300
    seconds: Positive | None = None
    batch_size: Some = 32
    learning_rate: Positive = 3e-3


class Method(Struct, forbid_unknown_fields=True):
    """A credit method with its options; reward: which counts where turn rewards and outcome disagree."""

    name: str = "gigpo"
    options: dict[str, Any] = {}
    reward: Literal["reward", "outcome", "sum"] | None = None


class Evidence(Struct, forbid_unknown_fields=True):
    """A kind of evidence that asks no model."""

    kind: str
    options: dict[str, Any] = {}


class Loss(Struct, forbid_unknown_fields=True):
    """Of TRL. clip, clip_high: range of the ratio below and above 1. iterations: updates per batch of rollouts.

    rows_per_pass: rollouts in one forward pass; None: all of a step.
    """

    type: str = "dapo"
    beta: Annotated[float, Meta(ge=0.0)] = 0.0
    learning_rate: Positive = 1e-3
    clip: Positive = 0.2
    clip_high: Positive | None = None
    iterations: Some = 1
    rows_per_pass: Some | None = None


class RL(Struct, forbid_unknown_fields=True):
    """steps: updates. max_turns: None: the world's horizon. max_tokens: of a whole transcript."""

    steps: Some = 100
    seconds: Positive | None = None
    tasks_per_step: Some = 8
    rollouts_per_task: Annotated[int, Meta(ge=2)] = 8
    max_turns: Some | None = None
    max_tokens: Annotated[int, Meta(ge=16)] = 512
    max_action_tokens: Some = 16
    temperature: Positive = 1.0


class Eval(Struct, forbid_unknown_fields=True):
    """On tasks that training never meets. every: steps."""

    every: Some = 20
    rollouts: Some = 1
    greedy: bool = True


class Checkpoints(Struct, forbid_unknown_fields=True):
    """every: steps. keep: how many of the newest stay."""

    every: Some = 20
    keep: Some = 2


class Rollouts(Struct, forbid_unknown_fields=True):
    """Kept with their credit in rollouts.jsonl: those of every so many steps; 0: none."""

    every: Count = 10


class Experience(Struct, forbid_unknown_fields=True):
    """An experience library: lessons of successful rollouts in the prompts of tasks like theirs. lessons: in a prompt;
    size: kept."""

    lessons: Some = 1
    size: Some = 200


class Retry(Struct, forbid_unknown_fields=True):
    """A failed rollout is tried once more from a pivot.

    pivot: "sibling", where it parted from a rollout of the task that succeeded; or FILE.py:FUNCTION, a judge that
    evidence `reflect` asks. options: of reflect.
    """

    pivot: str = "sibling"
    options: dict[str, Any] = {}


class Config(Struct, forbid_unknown_fields=True):
    """Everything that a run is made of."""

    output: str = "train-out"
    seed: Count = 0
    threads: Some = 1
    model: Model = field(default_factory=Model)
    world: World = field(default_factory=World)
    warmup: Warmup = field(default_factory=Warmup)
    method: Method = field(default_factory=Method)
    evidence: list[Evidence] = []
    loss: Loss = field(default_factory=Loss)
    rl: RL = field(default_factory=RL)
    eval: Eval = field(default_factory=Eval)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    rollouts: Rollouts = field(default_factory=Rollouts)
    trackers: list[str] = []
    experience: Experience | None = None
    retry: Retry | None = None

    @property
    def rows(self) -> int:
        """Rollouts of a step."""
        return self.rl.tasks_per_step * self.rl.rollouts_per_task


def load(path: str | Path) -> Config:
    """The config in a YAML file.

    Raises:
        DataError: no YAML, a wrong type or value: names the setting. UnknownName: a setting that there is not.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError("no such file", file=file, hint="stepcredit train --example key_door_rooms > config.yaml")
    return decode(file.read_text(encoding="utf-8"), file=file)


def decode(text: str, *, file: object = None) -> Config:
    """The config in YAML text; as `load`."""
    yaml = extra("yaml", "a config in YAML", name="train")

    class Loader(yaml.SafeLoader):  # type: ignore[misc,name-defined]
        pass

    # YAML 1.1 takes 1e-3 for text, and nobody who writes a learning rate means text.
    number = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789."))
    try:
        raw = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise DataError(f"is no YAML: {' '.join(str(error).split())}", file=file) from None
    if not isinstance(raw, Mapping):
        raise DataError("is no config", file=file, got=type(raw).__name__, expected="settings such as `world:`")
    raw = dict(raw)
    _known(raw, Config, "")
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        setting = where.strip("`.") or "config"
        raise DataError(f"{setting}: {what[:1].lower()}{what[1:]}", file=file) from None
    check(config)
    return config


def check(config: Config) -> None:
    """See that the settings fit each other.

    Raises:
        StepCreditError: names the setting and the fix.
    """
    for name in config.trackers:
        if name not in TRACKERS:
            raise UnknownName("tracker", name, TRACKERS)
    if config.loss.type not in LOSSES:
        raise UnknownName("loss of TRL", config.loss.type, LOSSES)
    rows, part = config.rows, config.loss.rows_per_pass
    if part is not None and rows % part:
        raise StepCreditError(
            f"loss.rows_per_pass: {part} does not divide the {rows} rollouts of a step (rl.tasks_per_step * "
            "rl.rollouts_per_task)"
        )
    if config.checkpoints.every % config.loss.iterations:
        raise StepCreditError(
            f"checkpoints.every: {config.checkpoints.every} is no multiple of loss.iterations, "
            f"{config.loss.iterations}",
            hint="a run goes on exactly only from where rollouts are drawn anew",
        )
    if config.model.size.width % config.model.size.heads:
        raise StepCreditError(
            f"model.size: width {config.model.size.width} is no multiple of heads, {config.model.size.heads}"
        )
    if config.retry is not None and config.rl.rollouts_per_task % 2:
        raise StepCreditError(
            f"rl.rollouts_per_task: got {config.rl.rollouts_per_task}, expected an even number: with `retry`, one half "
            "tries first"
        )
    if config.rl.max_action_tokens >= config.rl.max_tokens:
        raise StepCreditError("rl.max_action_tokens: leaves no room for a prompt in rl.max_tokens")


def changed(was: Mapping[str, Any], now: Config) -> list[str]:
    """Settings that a run that goes on must not change, and that differ: `name: was 1, is 2`."""
    before, after = _flat(was, ""), _flat(msgspec.to_builtins(now), "")
    fixed = [n for n in sorted({*before, *after}) if not any(n == f or n.startswith(f"{f}.") for f in _FREE)]
    return [f"{n}: was {before.get(n)!r}, is {after.get(n)!r}" for n in fixed if before.get(n) != after.get(n)]


def _flat(raw: Mapping[str, Any], at: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in raw.items():
        out |= _flat(value, f"{at}{name}.") if isinstance(value, Mapping) and value else {f"{at}{name}": value}
    return out


def _known(raw: Any, kind: Any, at: str) -> None:
    """See that there are only settings that there are."""
    struct = next((t for t in (kind, *get_args(kind)) if isinstance(t, type) and issubclass(t, Struct)), None)
    if isinstance(raw, list):
        for one in raw:
            _known(one, kind, at)
    if struct is None or not isinstance(raw, Mapping):
        return
    hints = get_type_hints(struct)
    for name, value in raw.items():
        if name not in hints:
            raise UnknownName(f"setting of {at}" if at else "setting", str(name), hints)
        _known(value, hints[name], f"{at}.{name}".strip("."))
