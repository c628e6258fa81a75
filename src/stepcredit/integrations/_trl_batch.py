"""Between TRL's tensors and the columns of a batch."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.integrations._padded import _MADE_OF, Assigner, Padded
from stepcredit.integrations._side import EnvironmentLog, columns_of, count_turns, padded_ids
from stepcredit.integrations._trl_setup import BY_POLICY, BY_REFERENCE
from stepcredit.plugins import extra

_IMAGES = (
    "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles",
    "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What TRL had when it computed rewards.

    inputs: one dict per row of this process: the dataset's columns, the extra keys of a rollout_func. rewards: [B, F]
    of all processes, NaN where a function returned None. sampled: of each completion, 1 on tokens of the policy, also
    where TRL then masks all of it for being cut short. logs: of environments.
    """

    inputs: Sequence[Mapping[str, Any]]
    rewards: torch.Tensor
    sampled: Sequence[Sequence[int]]
    logs: Sequence[EnvironmentLog]


def unfit(
    rows: int,
    completion_ids: Sequence[Any],
    mask: Sequence[Any] | None,
    also: Mapping[str, Any],
    taken: Mapping[str, str],
) -> tuple[str, str] | None:
    """What is wrong with the lists that generation returned, and how to mend it; None: nothing.

    Args:
        rows: how many there should be. mask: 1 on sampled tokens. also: extra keys. taken: column -> its key.
    """
    if len(completion_ids) != rows:
        return (
            f"generation returned {len(completion_ids)} completions for {rows} prompts: the groups would shift",
            "rollout_func returns a row for each prompt; where one failed, give it the outcome None",
        )
    for row, (ids, sampled) in enumerate(zip(completion_ids, mask or (), strict=False)):
        if len(ids) != len(sampled):
            return (
                f"row {row}: the mask of sampled tokens has {len(sampled)} entries, expected {len(ids)}, one for each "
                "token of completion_ids",
                "the turns were tokenized again after sampling: keep the ids that were sampled and add to them",
            )
    for name, key in {**taken, "credit": "credit"}.items():
        values = also.get(key)
        if values is not None and (not isinstance(values, list) or len(values) != rows):
            got = f"{len(values)} entries" if isinstance(values, list) else f"a {type(values).__name__}"
            return (
                f"rollout_func returned {got} under {key!r} ({name}), expected a list of {rows}, one for each prompt",
                "give None for a row that has none",
            )
    return None


def given(
    trainer: Any, assigner: Assigner, taken: Mapping[str, str], seen: Seen | None, out: Mapping[str, Any], mode: str
) -> dict[str, Any]:
    """Arguments of the Assigner for the rows of all processes: equal on each.

    Raises:
        LayoutError: rows that do not form groups, columns that do not fit.
    """
    assert seen is not None
    mask = torch.zeros_like(out["completion_mask"])
    for row, ones in enumerate(seen.sampled):
        mask[row, : len(ones)] = torch.as_tensor(ones, dtype=mask.dtype)
    rows = gather_objects(_rows(seen, taken, count_turns(mask.cpu().numpy()), trainer.accelerator.process_index))
    for row in rows:
        # Raised by all processes where it was met by one, which would leave the others waiting.
        if row["wrong"] is not None:
            raise LayoutError(row["wrong"].message, hint=row["wrong"].hint)
    grid = across(trainer.accelerator, mask)
    group = _groups(rows, trainer.num_generations if mode == "train" else trainer.num_generations_eval)
    lengths = [row["length"] for row in rows]
    side = [dict(row["columns"]) for row in rows]
    ids = [row.pop("turn_ids", None) for row in side]
    turn_ids = None if all(i is None for i in ids) else padded_ids(ids, lengths, grid.shape[1])
    columns = {**_rewards(trainer, seen.rewards), **_by_model(trainer, assigner, out)}
    for name in trainer.credit_columns:
        if not any(name in row for row in side):
            raise LayoutError(
                f"credit_columns names {name!r}, under {taken[name]!r}, and no row has it",
                hint=f"rows have: {', '.join(sorted(map(str, seen.inputs[0])))}",
            )
    counted = count_turns(grid, turn_ids)
    return {
        "group": group,
        "response_mask": grid,
        "turn_ids": turn_ids,
        **columns,
        **columns_of(side, counted.tolist(), lengths, group, grid.shape[1]),
    }


def _rows(seen: Seen, taken: Mapping[str, str], turns: Any, process: int) -> list[dict[str, Any]]:
    """What the other processes need to know of the rows of this one."""
    logs: Sequence[EnvironmentLog | None] = seen.logs or [None] * len(turns)
    out = []
    for row, (x, ones, count, log) in enumerate(
        zip(seen.inputs, seen.sampled, turns.tolist(), logs, strict=True), process * len(turns)
    ):
        columns, wrong = {}, None
        try:
            columns = _columns(x, taken, log, row, count)
        except LayoutError as error:
            wrong = error
        out.append({"prompt": _digest(x), "length": len(ones), "columns": columns, "wrong": wrong})
    return out


def _columns(x: Mapping[str, Any], taken: Mapping[str, str], log: EnvironmentLog | None, row: int, turns: int) -> Any:
    """Column -> value of one row. Explicit ones win: `credit` of the row, then the environment's."""
    # A key that is there and None is kept: not known is something else than not given.
    out = {name: x[key] for name, key in taken.items() if key in x}
    out |= log.columns(row, turns) if log is not None else {}
    own = x.get("credit")
    if own is not None and not isinstance(own, Mapping):
        raise LayoutError(f"row {row}: `credit` is {own!r}, expected a dict of columns")
    out |= own or {}
    reserved = [n for n in ("group", "rollout", "response_mask", "step_index", "batch") if n in out]
    if reserved:
        raise LayoutError(f"row {row}: {reserved[0]!r} is no column to give here: the trainer knows it")
    return out


def _digest(x: Mapping[str, Any]) -> str:
    """Of the prompt's text: the repr of an image says where it lies in memory."""
    prompt = x.get("prompt")
    text = prompt if isinstance(prompt, str) else [_texts(message) for message in prompt or ()]
    return blake2b(repr(text).encode(), digest_size=8).hexdigest()


def _texts(message: Mapping[str, Any]) -> Any:
    content = message.get("content")
    parts = [part.get("text") for part in content] if isinstance(content, list) else content
    return message.get("role"), parts


def _groups(rows: Sequence[Mapping[str, Any]], size: int) -> list[int]:
    if len(rows) % size:
        raise LayoutError(f"got {len(rows)} rows, which do not form groups of num_generations={size}")
    for row in range(len(rows)):
        first = row - row % size
        if rows[row]["prompt"] != rows[first]["prompt"]:
            raise LayoutError(
                f"rows {first} and {row} are one group of num_generations={size}, and have different prompts",
                hint="rows of a prompt stand side by side: a sampler or data loader of yours changed their order",
            )
    return [row // size for row in range(len(rows))]


def _rewards(trainer: Any, rewards: torch.Tensor) -> dict[str, Any]:
    """The weighted sum, as TRL has it, and each function's own; unknown where no function returned a number."""
    weights = trainer.reward_weights.to(rewards.device).unsqueeze(0)
    total = (rewards * weights).nansum(dim=1)
    total[torch.isnan(rewards).all(dim=1)] = torch.nan
    twice = Counter(trainer.reward_func_names)
    names = [n if twice[n] == 1 else f"{n}.{i}" for i, n in enumerate(trainer.reward_func_names)]
    apart = {f"reward.{name}": rewards[:, i].cpu().numpy() for i, name in enumerate(names)}
    return {"outcome": total.cpu().numpy(), **apart}


def _by_model(trainer: Any, assigner: Assigner, out: Mapping[str, Any]) -> dict[str, Any]:
    """Columns [B, T] that the trainer's own models make, where the method takes them."""
    taken = {*assigner.found.needs, *assigner.found.uses}
    taken |= {source for name in taken for source in _MADE_OF.get(name, ()) if source.startswith("token_")}
    made: dict[str, Any] = {"token_id": out["completion_ids"]} if "token_id" in taken else {}
    reference = out.get("ref_per_token_logps")
    if reference is None:
        taken -= set(BY_REFERENCE)
    wanted = taken & {*BY_POLICY, *BY_REFERENCE}
    if wanted:
        old: Any = out.get("old_per_token_logps")
        entropy = None
        if (old is None and wanted - {"token_ref_logp", "token_entropy"}) or "token_entropy" in wanted:
            old, entropy = _forward(trainer, out, "token_entropy" in wanted)
        made |= {"token_old_logp": old, "token_logp": old, "token_entropy": entropy, "token_ref_logp": reference}
        if "token_logratio" in wanted:
            made["token_logratio"] = old - reference
    return {n: across(trainer.accelerator, v) for n, v in made.items() if n in taken and v is not None}


def _forward(trainer: Any, out: Mapping[str, Any], entropy: bool) -> tuple[Any, Any]:
    """Log-probabilities and entropies of the tokens under the policy that sampled them: it has not changed since."""
    ids = torch.cat([out["prompt_ids"], out["completion_ids"]], dim=1)
    attention = torch.cat([out["prompt_mask"], out["completion_mask"]], dim=1)
    utils = extra("trl.models.utils", "CreditGRPOTrainer", name="trl")
    with (
        torch.no_grad(),
        utils.disable_gradient_checkpointing(trainer.model, trainer.args.gradient_checkpointing_kwargs),
    ):
        logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            ids,
            attention,
            out["completion_ids"].size(1),
            batch_size=trainer.args.per_device_train_batch_size,
            compute_entropy=entropy,
            **{name: out[name] for name in _IMAGES if name in out},
        )
    return logps, entropies


def gather_objects(values: list[Any]) -> list[Any]:
    """The lists of all processes, in their order, as one list."""
    out: list[Any] = extra("accelerate.utils", "CreditGRPOTrainer", name="trl").gather_object(values)
    return out


def any_of(here: bool) -> bool:
    """Whether it is so on any process: what they do together they decide together."""
    return any(gather_objects([here]))


def across(accelerator: Any, tensor: torch.Tensor) -> Any:
    """[B, T] of this process -> [B of all, longest T] as an array, in the order of the processes."""
    if accelerator.num_processes > 1:
        tensor = accelerator.gather(accelerator.pad_across_processes(tensor.contiguous(), dim=1))
    values = tensor.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()


def loss_mask(inputs: Mapping[str, Any]) -> torch.Tensor:
    """[B, T] what TRL's losses count."""
    mask: torch.Tensor = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def show(shown: Any, padded: Padded) -> None:
    """In TRL's table of completions, each row's mean credit in place of the advantage that it had before."""
    count = padded.mask.sum(1)
    mean = np.divide(padded.advantages.sum(1), count, out=np.full(count.size, np.nan), where=count > 0)
    for _ in range(min(len(shown), mean.size)):
        shown.pop()
    shown.extend(mean.tolist())


def checkpoint_folder(resume: str | bool | None, output_dir: str) -> Path | None:
    """The checkpoint that `resume_from_checkpoint` names; None: none, or TRL says what is wrong."""
    if resume is None or resume is False:
        return None
    if resume is True:
        utils = extra("transformers.trainer_utils", "CreditGRPOTrainer", name="trl")
        last = utils.get_last_checkpoint(output_dir)
        return None if last is None else Path(last)
    return Path(resume)


def renamed(error: StepCreditError) -> StepCreditError:
    """The error, with arguments called as the trainer calls them."""
    text = str(error)
    for name in ("reward=", "fail_on=", "lint_every="):
        text = re.sub(rf"(?<![\w]){name}", f"credit_{name}", text)
    error.args = (text,)
    return error
