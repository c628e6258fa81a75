"""A small transformer as a policy of `bench.learning`: it reads what a text world shows and writes an action.

    prompt   instruction and observation of the state        reply   the action's text, then <end>

Every step is a prompt of its own, as in verl-agent: the prompt holds all that the state id tells apart.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from stepcredit.bench.learning import Tasks, Walk
from stepcredit.data.layout import Floats, Ints
from stepcredit.envs.text_world import TextWorld
from stepcredit.plugins import extra

PAD, END = 0, 1
_WORD = re.compile(r"[A-Za-z]+|\d|[^\w\s]")


class Texts:
    """What each state of some tasks reads like, and the actions by their words.

    prompts: [N] token ids. names: [N] of each state: (token ids of an action) -> its index in the table.
    """

    def __init__(self, world: TextWorld[Any], seeds: Sequence[int]) -> None:
        self.words: dict[str, int] = {"<pad>": PAD, "<end>": END}
        self.prompts: list[list[int]] = []
        self.names: list[dict[tuple[int, ...], int]] = []
        self.tables = []
        for seed in seeds:
            start = world.start(seed)
            states: dict[str, Any] = {}
            table = world.table(seed)
            for state in _reached(world, start):
                states.setdefault(world.key(state), state)
            told = world.instruction(start)
            for label in table.labels:
                state = states[label]
                self.prompts.append(self._ids(f"{told} {world.observe(state)}"))
                listed = [] if world.done(state) else world.actions(state)
                self.names.append({(*self._ids(a), END): table.actions.index(a) for a in listed})
            self.tables.append(table)

    def _ids(self, text: str) -> list[int]:
        return [self.words.setdefault(word, len(self.words)) for word in _WORD.findall(text)]

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest action, with its end."""
        return max(len(name) for names in self.names for name in names)


def _reached(world: TextWorld[Any], start: Any) -> list[Any]:
    seen, queue = {start}, [start]
    for state in queue:
        for text in [] if world.done(state) else world.actions(state):
            action = world.read(text)
            for branch in world.act(state, action) if action else ():
                if branch.state not in seen:
                    seen.add(branch.state)
                    queue.append(branch.state)
    return queue


class ModelPolicy:
    """A Llama of a few layers, improved by the policy gradient with Adam.

        loss = - sum_t A_t log pi(reply_t | prompt_t) / steps

    with credit A in units of its root mean square over the batch. One update a batch, so that importance ratios are 1;
    steps with the same prompt and reply are one row of the update, with their credit added up.
    """

    def __init__(
        self, tasks: Tasks, texts: Texts, *, seed: int, width: int = 64, layers: int = 2, rate: float = 1e-3
    ) -> None:
        torch = extra("torch", "a transformer as the policy", name="llm")
        transformers = extra("transformers", "a transformer as the policy", name="llm")
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.torch, self.tasks, self.texts = torch, tasks, texts
        config = transformers.LlamaConfig(
            vocab_size=len(texts.words),
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=512,
            pad_token_id=PAD,
            eos_token_id=END,
            bos_token_id=None,
        )
        self.model = transformers.LlamaForCausalLM(config).eval()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate, betas=(0.9, 0.95))
        self.replies: list[tuple[int, ...]] = []
        longest = max(map(len, texts.prompts))
        self.prompts = np.array([[PAD] * (longest - len(p)) + p for p in texts.prompts])

    def table(self) -> Floats | None:
        """Not known: it would take a pass per action and state."""
        return None

    def act(self, state: Ints, random: np.random.Generator) -> Ints:
        """[n] sampled replies, read as actions; -1: no action of that name here."""
        torch = self.torch
        seen, where = np.unique(state, return_inverse=True)
        done = np.zeros(state.size, bool)
        written: list[Ints] = []
        with torch.no_grad():
            ids = torch.as_tensor(self.prompts[seen])
            mask = (ids != PAD).long()
            out = self.model(ids, attention_mask=mask, position_ids=_positions(mask), use_cache=True, logits_to_keep=1)
            name = next(name for name in ("cache", "past_key_values") if name in out)
            cache, index = out[name], torch.as_tensor(where)
            cache.batch_select_indices(index)
            logits, mask = out.logits[index, -1], mask[index]
            for place in range(self.texts.longest):
                chance = np.cumsum(logits.double().softmax(-1).numpy(), -1)
                drawn = (chance <= random.random((state.size, 1)) * chance[:, -1:]).sum(-1)
                drawn = np.where(done, PAD, drawn)
                written.append(drawn)
                done |= drawn == END
                if done.all() or place + 1 == self.texts.longest:
                    break
                step = torch.as_tensor(drawn)[:, None]
                mask = torch.cat((mask, torch.ones_like(step)), 1)
                position = _positions(mask)[:, -1:]
                out = self.model(step, attention_mask=mask, position_ids=position, use_cache=True, **{name: cache})
                logits = out.logits[:, -1]
        replies = [tuple(row[: row.index(END) + 1] if END in row else row) for row in np.stack(written, 1).tolist()]
        self.replies += replies
        return np.array([self.texts.names[s].get(r, -1) for s, r in zip(state.tolist(), replies, strict=True)])

    def improve(self, walk: Walk, credit: Floats, rollouts: int) -> None:
        """One update; forgets the replies."""
        replies, self.replies = self.replies, []
        judged = np.flatnonzero(~np.isnan(credit))
        scale = float(np.sqrt(np.mean(credit[judged] ** 2))) if judged.size else 0.0
        if scale == 0.0:
            return
        weight: dict[tuple[int, tuple[int, ...]], float] = {}
        for i in judged.tolist():
            row = (int(walk.state[i]), replies[walk.place[i]])
            weight[row] = weight.get(row, 0.0) + credit[i] / scale
        rows = [(s, reply, w) for (s, reply), w in weight.items() if w]
        self.descend(rows, total=float(judged.size))

    def imitate(self, steps: int, seed: int, *, wrong: float, batch: int = 64) -> None:
        """Warm start: learn the actions of an expert that errs in a share of the states it meets."""
        random = np.random.default_rng([seed, 11])
        tasks, spell = self.tasks, [{a: r for r, a in names.items()} for names in self.texts.names]
        states = np.flatnonzero(tasks.can.any(-1))
        for _ in range(steps):
            rows = []
            for s in random.choice(states, batch).tolist():
                best = np.flatnonzero(tasks.best[s] >= tasks.best[s].max() - 1e-9)
                pick = random.choice(np.flatnonzero(tasks.can[s]) if random.random() < wrong else best)
                rows.append((s, spell[s][int(pick)], 1.0))
            self.descend(rows, total=float(batch))

    def descend(self, rows: Sequence[tuple[int, tuple[int, ...], float]], total: float, part: int = 256) -> None:
        """One step of Adam on  - sum weight * log pi(reply | prompt) / total."""
        self.optimizer.zero_grad()
        for start in range(0, len(rows), part):
            some = rows[start : start + part]
            weight = self.torch.tensor([w for _, _, w in some])
            loss = -(self.logp(some) * weight).sum() / total
            loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def logp(self, rows: Sequence[tuple[int, tuple[int, ...], float]]) -> Any:
        """[n] log pi(reply | prompt)."""
        torch = self.torch
        longest = max(len(reply) for _, reply, _ in rows)
        reply = torch.tensor([list(r) + [PAD] * (longest - len(r)) for _, r, _ in rows])
        prompt = torch.as_tensor(self.prompts[[s for s, _, _ in rows]])
        ids = torch.cat((prompt, reply), 1)
        mask = (ids != PAD).long()
        logits = self.model(ids, attention_mask=mask, position_ids=_positions(mask)).logits
        logits = logits[:, prompt.shape[1] - 1 : -1]
        token = logits.log_softmax(-1).gather(-1, reply[..., None])[..., 0]
        return (token * (reply != PAD)).sum(1)


def _positions(mask: Any) -> Any:
    """Positions of the tokens, padding on the left at 0."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
