"""How an episode reads as text: no chat template, so that a model of any size can learn it.

    Two rooms of 3 by 3. Key at a1, ...        the world's instruction            prompt
    You are at b2.                             and what is seen first
    > go east                                  the policy writes up to the end of the line
    You are at c2.                             the world
    > take key                                 the policy
                                               nothing follows the last action

The prompt ends in ">". What the policy writes is kept token by token, never encoded again; what the world says is
encoded by itself.
"""

from collections.abc import Sequence
from typing import Any

SIGN = ">"


class Transcript:
    """Between texts and tokens of one tokenizer.

    ends: token ids with which a turn of the policy is over: a newline in them, or the end token.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end: int | None = tokenizer.eos_token_id
        newline = [i for i in range(len(tokenizer)) if "\n" in tokenizer.decode([i])]
        self.ends = frozenset(newline if self.end is None else [*newline, self.end])

    def prompt(self, first: str, lessons: str = "") -> list[int]:
        """Tokens of what the policy reads first."""
        before = f"{lessons}\n" if lessons else ""
        ids: list[int] = self.tokenizer(f"{before}{first}\n{SIGN}")["input_ids"]
        return ids

    def action(self, text: str) -> list[int]:
        """Tokens of an action that somebody else took: a demonstration."""
        return self._encode(f" {' '.join(text.split())}\n")

    def reply(self, observation: str, said: Sequence[int]) -> list[int]:
        """Tokens of what the world says to a turn, and of the sign that it is the policy's turn again."""
        over = "\n" in self.tokenizer.decode(list(said))
        return self._encode(f"{'' if over else chr(10)}{observation}\n{SIGN}")

    def read(self, said: Sequence[int]) -> str:
        """The action that the policy wrote: up to the end of the line."""
        ids = [i for i in said if i != self.end]
        text: str = self.tokenizer.decode(ids)
        return text.partition("\n")[0].strip()

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
