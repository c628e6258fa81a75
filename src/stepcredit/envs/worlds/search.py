"""Looking something up pays nothing at once, but makes the answer right later."""

import numpy as np

from stepcredit.envs.tabular import Moves, World, mistakes, tabulate
from stepcredit.envs.worlds._chain import positions
from stepcredit.errors import StepCreditError

Node = tuple[int, int | None]


def search(*, seed: int = 0, horizon: int = 6, at: int | None = None, answers: int = 4, epsilon: float = 0.3) -> World:
    """At every step but the last one looks or waits, then answers; looking at step `at` reveals the answer.

    Each answer is the right one with equal chance, so that what is found is luck, and that it was looked for is
    credit. Who has not looked guesses. Policy: `mistakes(epsilon)`, which uses what it knows.

    Args:
        seed: draws `at` where it is None.
        at: the only step at which looking helps, before the last.
        answers: number of possible answers.
    """
    if horizon < 2 or answers < 2:
        raise StepCreditError(f"got {horizon=}, {answers=}, expected 2 or more steps and answers")
    where = int(np.random.default_rng(seed).integers(horizon - 1)) if at is None else at
    positions([where], horizon - 1)

    def moves(node: Node) -> Moves:
        t, known = node
        if t < horizon - 1:
            found = [(1 / answers, (t + 1, i), 0.0) for i in range(answers)]
            wait = [(1.0, (t + 1, known), 0.0)]
            return {"look": found if t == where else wait, "wait": wait}
        if known is None:
            blind = [(1 / answers, (t + 1, None), 1.0), (1 - 1 / answers, (t + 1, None), 0.0)]
            return {f"answer {i}": blind for i in range(answers)}
        return {f"answer {i}": [(1.0, (t + 1, None), float(i == known))] for i in range(answers)}

    def label(node: Node) -> str:
        known = "end" if node[0] == horizon else "nothing known" if node[1] is None else f"answer {node[1]} seen"
        return f"step {node[0]}, {known}"

    return mistakes(tabulate(f"search/{seed}", (0, None), moves, horizon, label=label), epsilon)
