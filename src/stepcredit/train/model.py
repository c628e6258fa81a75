"""The policy: a small Llama with a byte-level tokenizer made for a world, or any causal model of transformers."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.llm.seeded import seeded
from stepcredit.plugins import extra
from stepcredit.train.config import Config, Size

PAD, END = "<pad>", "<eos>"
_NEED = "training"


def tokenizer_of(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer that knows the words of these texts; every text can be encoded and comes back as it
    was. Digits stay apart.

    Raises:
        MissingExtra: tokenizers or transformers is not installed.
    """
    parts, transformers = extra("tokenizers", _NEED, name="train"), extra("transformers", _NEED, name="train")
    made = parts.Tokenizer(parts.models.BPE())
    cut = parts.pre_tokenizers
    made.pre_tokenizer = cut.Sequence([cut.Digits(individual_digits=True), cut.ByteLevel(add_prefix_space=False)])
    made.decoder = parts.decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        parts.trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[PAD, END],
            initial_alphabet=cut.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=PAD,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def build(size: Size, tokenizer: Any, *, seed: int, longest: int) -> Any:
    """A Llama with weights drawn from the seed. longest: most tokens that it can read."""
    torch, transformers = extra("torch", _NEED, name="train"), extra("transformers", _NEED, name="train")
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=longest,
        tie_word_embeddings=True,
        # The usual 0.02 suits wide models: at this width little would be learned in minutes.
        initializer_range=0.64 / size.width**0.5,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with seeded(torch, seed):
        return transformers.LlamaForCausalLM(config).eval()


def load(path: str | Path, dtype: str = "float32") -> tuple[Any, Any]:
    """(model, tokenizer) of a folder or an id of the hub.

    Raises:
        StepCreditError: no such model, or one that cannot read so.
    """
    transformers = extra("transformers", _NEED, name="train")
    try:
        words = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=False, padding_side="left")
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, trust_remote_code=False, dtype=dtype
        )
    except (OSError, ValueError) as error:
        raise StepCreditError(
            f"model.path: no model can be loaded from {str(path)!r}: {str(error).splitlines()[0]}",
            hint="a folder with config.json, model.safetensors and a tokenizer, or an id of the hub",
        ) from None
    if words.pad_token_id is None:
        words.pad_token = words.eos_token
    return model.eval(), words


def fits(model: Any, config: Config) -> None:
    """See that the model can read transcripts of the length asked for.

    Raises:
        StepCreditError: it cannot.
    """
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and config.rl.max_tokens > longest:
        raise StepCreditError(
            f"rl.max_tokens: got {config.rl.max_tokens}, expected at most {longest}, what the model can read"
        )


def lora(config: Config) -> Any:
    """The adapter's settings as peft takes them; None without.

    Raises:
        MissingExtra: peft is not installed.
    """
    given = config.model.lora
    if given is None:
        return None
    peft = extra("peft", "model.lora", name="train")
    return peft.LoraConfig(
        r=given.r,
        lora_alpha=given.alpha,
        lora_dropout=given.dropout,
        target_modules=given.targets or "all-linear",
        task_type="CAUSAL_LM",
    )


def whole(model: Any) -> Any:
    """The model with its adapter merged into it; one without as it is."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def save(folder: Path, model: Any, tokenizer: Any, told: dict[str, Any] | None = None) -> None:
    """Write a folder that transformers reads, whole or not at all. told: goes into stepcredit.json beside it."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    if told is not None:
        (part / "stepcredit.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def parameters(model: Any) -> tuple[int, int]:
    """Number of weights: all, and those that train."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trains in sizes if trains)
