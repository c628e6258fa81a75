"""Models of transformers on this machine, asked for samples, probabilities, entropies, hidden states, embeddings.

    engine = local.load("path/or/hub-id")
    engine.sampler, engine.forcer, engine.entropies, engine.hidden_states, engine.embedder

Each is one of `stepcredit.protocols`. No gradients are kept, and the model's mode is as it was afterwards.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.plugins import extra
from stepcredit.protocols import Entropies, Sample

_NEED = "a local model"
_NOTHING = "an empty prefix, and the tokenizer has no start token: there is nothing to go on from"


def load(
    path: str | Path,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    batch_size: int = 16,
    layer: int = -1,
    top: int = 0,
    seed: int = 0,
) -> "Local":
    """The engine of a causal language model: a folder that transformers wrote, or an id of its hub.

    Weights are read from safetensors alone, and no code of the model's authors is run.

    Args:
        device, dtype: where the weights go, and their type ("float32"; "auto" = as stored).
        batch_size, layer, top, seed: of the engine.

    Raises:
        MissingExtra: torch or transformers is not installed. StepCreditError: no such model, or not as safetensors.
    """
    transformers = extra("transformers", _NEED, name="llm")
    try:
        words = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, trust_remote_code=False, dtype=dtype
        )
    except (OSError, ValueError) as error:
        raise StepCreditError(
            f"no model can be loaded from {str(path)!r}: {str(error).splitlines()[0]}",
            hint="a folder with config.json, model.safetensors and a tokenizer, or an id of the hub",
        ) from None
    return Local(model.to(device).eval(), words, batch_size=batch_size, layer=layer, top=top, seed=seed)


@dataclass
class Local:
    """A causal language model and its tokenizer, with the methods that evidence asks for.

    Args:
        model, tokenizer: of transformers.
        batch_size: most texts in one forward pass.
        layer: whose hidden states are read: 0 = embeddings, -1 = the last.
        top: how many of the largest log-probabilities a Sample keeps per token.
        seed: of the samples. The n-th call of one engine draws the same again in another of the same seed, whatever
            the batch size.

    Prefix and continuation are tokenized apart and their ids joined: the boundary between them always is one between
    tokens, and a continuation is as many tokens after any prefix. A tokenizer that would merge across the boundary, or
    that marks the beginnings of texts, gives other ids to the text as a whole. A special token that is written out in a
    text is read as that token.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    batch_size: int = 16
    layer: int = -1
    top: int = 0
    seed: int = 0
    calls: int = field(default=0, init=False)

    def forcer(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """A Forcer: per pair, the log-probability of each token of the continuation."""
        torch = self._torch

        def read(out: Any, row: int, ids: list[int]) -> Floats:
            logp = out.logits[row, -len(ids) - 1 : -1].float().log_softmax(-1)
            chosen = torch.tensor(ids, device=logp.device)[:, None]
            return _floats(logp.gather(-1, chosen)[:, 0])

        return self._read(prefixes, continuations, read)

    def entropies(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """Entropies: per pair, of the distribution that each token of the continuation met."""
        return self._read(
            prefixes, continuations, lambda out, row, ids: _floats(_entropy(out.logits[row, -len(ids) - 1 : -1]))
        )

    def top_entropies(self, k: int, *, renormalize: bool = False) -> Entropies:
        """Entropies over the k likeliest tokens alone, as of a server that gives no more: of their own distribution, or
        -sum p log p as they stand."""

        def read(out: Any, row: int, ids: list[int]) -> Floats:
            logp = out.logits[row, -len(ids) - 1 : -1].float().log_softmax(-1)
            top = logp.topk(min(k, logp.shape[-1])).values
            return _floats(_entropy(top) if renormalize else -(top.exp() * top).sum(-1))

        return lambda prefixes, continuations: self._read(prefixes, continuations, read)

    def hidden_states(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """HiddenStates: per pair, [tokens of the continuation, width] of `layer`."""
        width = int(self.model.config.hidden_size)
        return self._read(
            prefixes,
            continuations,
            lambda out, row, ids: _floats(out.hidden_states[self.layer][row, -len(ids) :]),
            hidden=True,
            empty=(0, width),
        )

    def embedder(self, texts: Sequence[str]) -> Floats:
        """An Embedder: the hidden state of `layer` at the last token of each text, scaled to length 1."""
        states = self.hidden_states([""] * len(texts), texts)
        if any(len(s) == 0 for s in states):
            raise StepCreditError("an empty text has no embedding")
        last = np.array([s[-1] for s in states]).reshape(len(texts), int(self.model.config.hidden_size))
        return np.asarray(last / np.linalg.norm(last, axis=1, keepdims=True))

    def pieces(self, text: str) -> list[str]:
        """The texts of its tokens."""
        return [self._decode([i]) for i in self._ids(text)]

    def sampler(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> list[list[Sample]]:
        """A Sampler: n continuations of each prompt.

        Tokens and log-probabilities are those of the text: the end token and tokens that begin in the stop string are
        left out.

        Args:
            temperature: 0 takes the likeliest token each time.
            stop: texts at which to stop.
            seed: None draws anew in each call; a number draws the same in each.

        Raises:
            StepCreditError: a prompt that is empty where the tokenizer has no start token, or longer than the model
                reads.
        """
        key = [self.seed, self.calls] if seed is None else [seed]
        self.calls += 1
        rows = [(self._start + self._ids(text), [*key, i, j]) for i, text in enumerate(prompts) for j in range(n)]
        if not all(ids for ids, _ in rows):
            raise StepCreditError(_NOTHING)
        found: list[Sample | None] = [None] * len(rows)
        with self._quiet():
            for chunk in self._chunks([len(ids) for ids, _ in rows]):
                made = self._continue([rows[i] for i in chunk], max_tokens, temperature, [s for s in stop if s])
                for i, sample in zip(chunk, made, strict=True):
                    found[i] = sample
        flat = [s for s in found if s is not None]
        return [flat[i * n : (i + 1) * n] for i in range(len(prompts))]

    def _continue(
        self, rows: Sequence[tuple[list[int], list[int]]], limit: int, temperature: float, stop: Sequence[str]
    ) -> list[Sample]:
        torch = self._torch
        drafts = [_Draft(np.random.default_rng(key).random(limit)) for _, key in rows]
        ids, mask, place = self._padded([ids for ids, _ in rows])
        alive, cache = list(range(len(rows))), None
        for t in range(limit):
            past = {"cache" if "cache" in self._takes else "past_key_values": cache}
            out = self.model(input_ids=ids, attention_mask=mask, use_cache=True, **past, **self._more(place, 1))
            logits = out.logits[:, -1].float()
            cache = next(out[name] for name in ("cache", "past_key_values") if name in out)
            logp = logits.log_softmax(-1)
            chance = torch.tensor([drafts[i].chance[t] for i in alive], dtype=torch.float64, device=logp.device)
            chosen = logp.argmax(-1) if temperature == 0 else _draw(torch, logits / temperature, chance)
            self._note(drafts, alive, chosen, logp)
            on = [row for row, i in enumerate(alive) if not self._ended(drafts[i], stop)]
            if not on:
                break
            keep = torch.tensor(on, device=mask.device)
            if len(on) < len(alive):
                cache.batch_select_indices(keep)
            alive = [alive[row] for row in on]
            ids = chosen[keep][:, None]
            mask = torch.cat([mask[keep], torch.ones_like(ids)], 1)
            place = place[keep][:, -1:] + 1
        return [self._sample(draft) for draft in drafts]

    def _note(self, drafts: "Sequence[_Draft]", alive: Sequence[int], chosen: Any, logp: Any) -> None:
        """What the step made of each text that goes on."""
        mine = logp.gather(-1, chosen[:, None])[:, 0].tolist()
        spread = _entropy(logp).tolist()
        top = logp.topk(min(self.top, logp.shape[-1])) if self.top else None
        for row, (i, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            draft = drafts[i]
            draft.ids.append(token)
            draft.logp.append(mine[row])
            draft.entropy.append(spread[row])
            if top is not None:
                draft.top.append((_floats(top.values[row]), top.indices[row].tolist()))

    def _ended(self, draft: "_Draft", stop: Sequence[str]) -> bool:
        """Whether the text ends here; what does not belong to it is taken off."""
        ids = draft.ids
        if ids[-1] in self._ends:
            draft.cut(len(ids) - 1)
            draft.text, draft.finished = self._decode(draft.ids), True
            return True
        if stop and any(s in self._decode(ids[-(max(map(len, stop)) + 8) :]) for s in stop):
            text = self._decode(ids)
            at = min((i for s in stop if (i := text.find(s)) >= 0), default=-1)
            if at >= 0:
                kept = len(ids)
                while kept and len(self._decode(ids[: kept - 1])) >= at:
                    kept -= 1
                draft.cut(kept)
                draft.text, draft.finished = text[:at], True
                return True
        return False

    def _sample(self, draft: "_Draft") -> Sample:
        return Sample(
            self._decode(draft.ids) if draft.text is None else draft.text,
            tuple(self._decode([i]) for i in draft.ids),
            np.array(draft.logp),
            tuple(values for values, _ in draft.top),
            draft.finished,
            tuple(tuple(self._decode([i]) for i in ids) for _, ids in draft.top),
            np.array(draft.entropy),
        )

    def _read(
        self,
        prefixes: Sequence[str],
        continuations: Sequence[str],
        read: Any,
        *,
        hidden: bool = False,
        empty: tuple[int, ...] = (0,),
    ) -> list[Floats]:
        """Per pair, what `read` (output, row, ids of the continuation) finds; pairs of like length in one pass."""
        pairs = [(self._start + self._ids(p), self._ids(c)) for p, c in zip(prefixes, continuations, strict=True)]
        found: list[Floats] = [np.zeros(empty)] * len(pairs)
        some = [i for i, (_, ids) in enumerate(pairs) if ids]
        if not hidden and not all(pairs[i][0] for i in some):
            raise StepCreditError(_NOTHING)
        with self._quiet():
            for chunk in self._chunks([sum(map(len, pairs[i])) for i in some]):
                mine = [some[i] for i in chunk]
                ids, mask, place = self._padded([pairs[i][0] + pairs[i][1] for i in mine])
                longest = max(len(pairs[i][1]) for i in mine)
                more = self._more(place, 1 if hidden else longest + 1)
                out = self.model(
                    input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=hidden, **more
                )
                for row, i in enumerate(mine):
                    found[i] = read(out, row, pairs[i][1])
        return found

    def _chunks(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Texts of like length together, the longest first."""
        order = np.argsort(-np.array(lengths, int), kind="stable").tolist()
        yield from (order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size))

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Any, Any, Any]:
        """(ids, mask, positions), padded on the left."""
        torch, longest = self._torch, max(map(len, rows))
        limit = getattr(self.model.config, "max_position_embeddings", None)
        if limit is not None and longest > limit:
            raise StepCreditError(f"a text of {longest} tokens is longer than the {limit} that the model reads")
        pad = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=self.model.device)
        lengths = torch.tensor([len(row) for row in rows], device=ids.device)
        mask = (torch.arange(longest, device=ids.device) >= longest - lengths[:, None]).long()
        return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)

    def _more(self, place: Any, keep: int) -> dict[str, Any]:
        """Arguments that some models take: positions, and how many logits are wanted."""
        return {k: v for k, v in (("position_ids", place), ("logits_to_keep", keep)) if k in self._takes}

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    @cached_property
    def _start(self) -> list[int]:
        """What the tokenizer puts before a text."""
        bare = self._ids("a")
        full = list(self.tokenizer("a")["input_ids"])
        return next((full[:i] for i in range(len(full)) if full[i : i + len(bare)] == bare), [])

    @cached_property
    def _ends(self) -> frozenset[int]:
        config = getattr(self.model, "generation_config", None)
        given = [getattr(config, "eos_token_id", None), self.tokenizer.eos_token_id]
        listed = [i for one in given for i in (one if isinstance(one, list | tuple) else [one])]
        return frozenset(i for i in listed if i is not None)

    @cached_property
    def _takes(self) -> frozenset[str]:
        return frozenset(signature(self.model.forward).parameters)

    @cached_property
    def _torch(self) -> Any:
        return extra("torch", _NEED, name="llm")

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Without gradients and dropout."""
        training = self.model.training
        self.model.eval()
        try:
            # Not inference_mode: its tensors could never enter a graph, and a model in training may keep some.
            with self._torch.no_grad():
                yield
        finally:
            self.model.train(training)


@dataclass
class _Draft:
    """A sample in the making. chance: [limit] where in the distribution each token is drawn."""

    chance: Floats
    ids: list[int] = field(default_factory=list)
    logp: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    top: list[tuple[Floats, list[int]]] = field(default_factory=list)
    text: str | None = None
    finished: bool = False

    def cut(self, n: int) -> None:
        for kept in (self.ids, self.logp, self.entropy, self.top):
            del kept[n:]


def _draw(torch: Any, logits: Any, chance: Any) -> Any:
    """The token in which each chance falls, the tokens laid end to end by their probability."""
    edges = logits.double().softmax(-1).cumsum(-1)
    inside = chance[:, None] * edges[:, -1:]
    return torch.searchsorted(edges, inside, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def _entropy(logits: Any) -> Any:
    logp = logits.float().log_softmax(-1)
    return -(logp.exp() * logp.clamp(min=-1e30)).sum(-1)


def _floats(x: Any) -> Floats:
    return np.asarray(x.double().cpu().numpy(), dtype=np.float64)
