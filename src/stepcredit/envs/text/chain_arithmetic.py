"""A chain of sums modulo m: each step writes the next equation, and a wrong one is carried on."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError

WRITE = Tool(
    "write",
    "write {equation}",
    "Write the next equation.",
    {"equation": "two numbers, + - or * between them, = and the result, such as 3 + 4 = 7"},
)
_NUMBER = r"\s*([0-9]{1,6})\s*"
_EQUATION = re.compile(rf"{_NUMBER}[-+*x×·−]{_NUMBER}={_NUMBER}")


class Chain(NamedTuple):
    """The number to begin with, the operations, how many are done, the number that was written last."""

    first: int
    operations: tuple[tuple[str, int], ...]
    position: int
    value: int


class ChainArithmetic(TextWorld[Chain]):
    """See `chain_arithmetic`."""

    name, tools = "chain_arithmetic", (WRITE,)

    def __init__(self, length: int, modulus: int, horizon: int) -> None:
        self.length, self.modulus, self.horizon = length, modulus, horizon

    def start(self, seed: int) -> Chain:
        rng = np.random.default_rng(seed)
        first = int(rng.integers(self.modulus))
        signs, numbers = rng.choice(list("+-*"), self.length), rng.integers(2, max(self.modulus, 3), self.length)
        return Chain(first, tuple((str(s), int(n)) for s, n in zip(signs, numbers, strict=True)), 0, first)

    def instruction(self, state: Chain) -> str:
        words = {"+": "add", "-": "subtract", "*": "multiply by"}
        told = ", ".join(f"{words[sign]} {number}" for sign, number in state.operations)
        return (
            f"Start with {state.first}. Then {told}. Write one equation per step, such as: write 3 + 4 = "
            f"{7 % self.modulus}. All numbers are modulo {self.modulus}."
        )

    def observe(self, state: Chain) -> str:
        if self.done(state):
            return f"The result is {state.value}."
        sign, number = state.operations[state.position]
        return f"Equation {state.position + 1} of {self.length}: {state.value} {sign} {number} = ?"

    def done(self, state: Chain) -> bool:
        return state.position == self.length

    def actions(self, state: Chain) -> list[str]:
        sign, number = state.operations[state.position]
        return [WRITE.write({"equation": f"{state.value} {sign} {number} = {c}"}) for c in range(self.modulus)]

    def act(self, state: Chain, action: Action) -> Sequence[Branch]:
        found = _EQUATION.fullmatch(action.arguments["equation"].strip())
        if found is None:
            raise Refused("that is no equation such as 3 + 4 = 7")
        after = state._replace(position=state.position + 1, value=int(found[3]) % self.modulus)
        return [Branch(1.0, after, float(self.done(after) and after.value == self.answer(state)))]

    def expert(self, state: Chain) -> str | None:
        sign, number = state.operations[state.position]
        result = self._next(state.value, sign, number)
        return WRITE.write({"equation": f"{state.value} {sign} {number} = {result}"})

    def answer(self, state: Chain) -> int:
        """The right result of the whole chain, whatever has been written."""
        value = state.first
        for sign, number in state.operations:
            value = self._next(value, sign, number)
        return value

    def _next(self, value: int, sign: str, number: int) -> int:
        return {"+": value + number, "-": value - number, "*": value * number}[sign] % self.modulus


def chain_arithmetic(*, length: int = 4, modulus: int = 10, horizon: int = 8) -> ChainArithmetic:
    """Calculate step by step modulo m: 1 if the last result is right.

    An equation is read for its result alone, and a wrong one is not refused: the chain goes on from it. A later step
    may mend it, by multiplication with a zero divisor or by another mistake.

    Args:
        length: equations to write. modulus: m, at most 1000.
        horizon: most steps; those beyond `length` leave room for text that is no equation.
    """
    if length < 1 or not 2 <= modulus <= 1000 or horizon < 1:
        raise StepCreditError(
            f"chain_arithmetic: got {length=}, {modulus=}, {horizon=}, expected length and horizon of 1 or more and "
            "2 <= modulus <= 1000"
        )
    return ChainArithmetic(length, modulus, horizon)
