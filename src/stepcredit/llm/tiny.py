"""A small real transformer: a causal language model of 90,000 parameters that learns to calculate in seconds.

    task    3+4*2=?          left to right, modulo 10
    steps   3+4=7            one link of the chain a line
            7*2=4
            #4               the answer

A prefix carries information: the answer can hardly be told from the task alone, and can be read off the last link. Its
model and tokenizer are those of transformers, so that whatever runs on it runs on any other.

    model, tokenizer = tiny.build(seed=0)
    tiny.save("chains", model, tokenizer)
    engine = local.load("chains")
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError
from stepcredit.llm.seeded import seeded
from stepcredit.plugins import extra

PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"
ALPHABET = ("\n", *map(chr, range(32, 127)))
"""The characters it knows: the newline and printable ASCII."""
_NEED = "a tiny model"
_BASE = 10


@dataclass(frozen=True)
class Chain:
    """A chain of calculations. steps: its lines, the last one "#" and what came out. answer: what should have."""

    task: str
    steps: tuple[str, ...]
    answer: str

    @property
    def text(self) -> str:
        return "\n".join((self.task, *self.steps))

    @property
    def outcome(self) -> float:
        """1 if the chain comes to the answer."""
        return float(self.steps[-1] == f"#{self.answer}")


def data(n: int, seed: int, *, links: tuple[int, int] = (2, 3), wrong: float = 0.0) -> list[Chain]:
    """n random chains.

    Args:
        seed: equal seeds give equal tasks, whatever goes wrong.
        links: fewest and most calculations of a chain.
        wrong: chance that a calculation comes out as another digit; the chain goes on from there.

    >>> print(data(1, seed=8)[0].text)
    7+9+3=?
    7+9=6
    6+3=9
    #9
    """
    random, slips = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    return [_chain(random, slips, links, wrong) for _ in range(n)]


def _chain(random: np.random.Generator, slips: np.random.Generator, links: tuple[int, int], wrong: float) -> Chain:
    told = right = int(random.integers(_BASE))
    task, steps = str(told), []
    for _ in range(int(random.integers(links[0], links[1] + 1))):
        times, digit = bool(random.integers(2)), int(random.integers(_BASE))
        link = f"{told}{'+*'[times]}{digit}"
        task += link[1:]
        right, told = (_result(x, times, digit) for x in (right, told))
        if slips.random() < wrong:
            told = (told + int(slips.integers(1, _BASE))) % _BASE
        steps.append(f"{link}={told}")
    return Chain(f"{task}=?", (*steps, f"#{told}"), str(right))


def _result(x: int, times: bool, digit: int) -> int:
    return (x * digit if times else x + digit) % _BASE


def records(chains: Sequence[Chain]) -> list[Rollout]:
    """Chains as rollouts: a group per task, the answer in the field `gold`."""
    return [
        Rollout(
            group=chain.task,
            rollout=i,
            task=chain.task,
            outcome=chain.outcome,
            steps=[Step(text=line) for line in chain.steps],
            extra={"gold": chain.answer},
        )
        for i, chain in enumerate(chains)
    ]


def verify(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """A Verifier: 1 where the last line that begins with "#" gives the reference.

    >>> verify(["7*2=4\\n#4", "#5", "no answer"], ["4", "4", "4"])
    array([1., 0., 0.])
    """
    found = [next((x[1:] for x in reversed(a.split("\n")) if x.startswith("#")), None) for a in answers]
    return np.array([float(f == r) for f, r in zip(found, references, strict=True)])


def tokenizer() -> Any:
    """One token a character, with padding on the left and an end token.

    Raises:
        MissingExtra: tokenizers or transformers is not installed.
    """
    parts, transformers = extra("tokenizers", _NEED, name="llm"), extra("transformers", _NEED, name="llm")
    vocabulary = {token: i for i, token in enumerate((PAD, END, UNKNOWN, *ALPHABET))}
    made = parts.Tokenizer(parts.models.WordLevel(vocabulary, unk_token=UNKNOWN))
    # Not ".", which would leave newlines out.
    made.pre_tokenizer = parts.pre_tokenizers.Split(parts.Regex(r"[\s\S]"), "isolated")
    made.decoder = parts.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def build(
    seed: int = 0,
    *,
    steps: int = 400,
    links: tuple[int, int] = (2, 3),
    wrong: float = 0.0,
    batch_size: int = 32,
    lr: float = 0.008,
    width: int = 64,
    layers: int = 2,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> tuple[Any, Any]:
    """(model, tokenizer) of a Llama of this width and depth, trained on chains that it writes itself, or on `pairs`.

    400 steps take about 8 seconds on one core; then 9 of 10 calculations come out right at temperature 1. 0 steps give
    the untrained model. Equal arguments give equal weights (on one machine).

    Args:
        steps: of AdamW at the peak rate `lr`, each on batch_size chains; the task is read, not learned.
        links, wrong: of the chains, as in `data`.
        pairs: instead of chains, (what is read, what is learned behind it), again and again in this order.

    Raises:
        MissingExtra: torch or transformers is not installed.
    """
    torch, transformers = extra("torch", _NEED, name="llm"), extra("transformers", _NEED, name="llm")
    words = tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        # The usual 0.02 suits wide models: at this width nothing would be learned in seconds.
        initializer_range=0.08,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        bos_token_id=None,
    )
    with seeded(torch, seed):
        model = transformers.LlamaForCausalLM(config)
        if pairs is None:
            pairs = [
                (f"{chain.task}\n", "\n".join(chain.steps))
                for chain in data(steps * batch_size, seed, links=links, wrong=wrong)
            ]
        _train(model, words, pairs, steps, batch_size, lr)
    return model.eval(), words


def _train(model: Any, words: Any, pairs: Sequence[tuple[str, str]], total: int, batch_size: int, lr: float) -> None:
    torch = extra("torch", _NEED, name="llm")
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0, betas=(0.9, 0.99))
    model.train()
    for i in range(total):
        batch = [pairs[j % len(pairs)] for j in range(i * batch_size, (i + 1) * batch_size)]
        rows = [words(given + learned)["input_ids"] + [words.eos_token_id] for given, learned in batch]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [words.pad_token_id] * (longest - len(row)) for row in rows])
        place = torch.arange(longest)
        read = torch.tensor([len(given) for given, _ in batch])[:, None]
        ends = torch.tensor([len(row) for row in rows])[:, None]
        wanted = torch.where((place >= read) & (place < ends), ids, -100)
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (i + 1) / 20) * (0.05 + 0.95 * (1 + math.cos(math.pi * i / total)) / 2)
        logits = model(input_ids=ids).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), wanted[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def save(folder: str | Path, model: Any, words: Any) -> Path:
    """Write model and tokenizer as transformers does: a folder that anything reads which reads such folders.

    Raises:
        StepCreditError: the folder is a file.
    """
    path = Path(folder)
    if path.is_file():
        raise StepCreditError(f"{str(path)!r} is a file; a model needs a folder")
    model.save_pretrained(path)
    words.save_pretrained(path)
    return path
