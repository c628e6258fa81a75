"""Several agents hand one piece of work on; the last can still mend it."""

from collections.abc import Sequence

import numpy as np

from stepcredit.envs.tabular import Moves, World, tabulate
from stepcredit.errors import StepCreditError

Node = tuple[int, int]


def handoff(
    *,
    seed: int = 0,
    agents: Sequence[str] = ("planner", "coder", "reviewer"),
    turns: int = 2,
    care: float = 0.1,
    haste: float = 0.5,
) -> World:
    """Each agent in turn takes `turns` steps, "careful" or "hasty"; the work is won if no fault is left at the end.

    A step adds a fault with chance `care` or `haste`. A careful step of the last agent removes a fault if there is
    one; a hasty one does nothing. The agents' chances are scaled, so that some agents' steps matter more. Policy:
    uniform.

    Args:
        seed: draws each agent's scale, evenly in 0.2..1.
        agents: their names, in the order they act; the last one reviews.
    """
    if len(agents) < 2 or turns < 1 or not (0 <= care <= 1 and 0 <= haste <= 1):
        raise StepCreditError(
            f"got agents={tuple(agents)}, {turns=}, {care=}, {haste=}",
            hint="two agents or more, one turn or more, chances in [0, 1]",
        )
    scale: list[float] = np.random.default_rng(seed).uniform(0.2, 1.0, len(agents)).tolist()
    last = len(agents) * turns - 1

    def moves(node: Node) -> Moves:
        t, faults = node
        who = t // turns
        if who == len(agents) - 1:
            careful, hasty = [(1.0, max(faults - 1, 0))], [(1.0, faults)]
        else:
            careful, hasty = ([(p, faults + 1), (1 - p, faults)] for p in (care * scale[who], haste * scale[who]))
        return {
            name: [(p, (t + 1, after), float(t == last and after == 0)) for p, after in ends]
            for name, ends in (("careful", careful), ("hasty", hasty))
        }

    return tabulate(
        f"handoff/{seed}",
        (0, 0),
        moves,
        last + 1,
        label=lambda node: f"step {node[0]}, {node[1]} faults",
        agent=lambda node: agents[min(node[0] // turns, len(agents) - 1)],
    )
