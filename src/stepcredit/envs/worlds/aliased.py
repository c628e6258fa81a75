"""What decides is seen once and then forgotten: states of different value look alike."""

from stepcredit.envs.tabular import World
from stepcredit.envs.worlds._chain import chain, right_actions
from stepcredit.errors import StepCreditError


def aliased(*, seed: int = 0, horizon: int = 6, shown: int = 1, actions: int = 2) -> World:
    """A chain won if the first and the last step are right; how the first went is observed for `shown` steps only.

    After that the states on the winning and on the losing branch have one label, "step t": methods that compare equal
    states mix values V and 0, methods that look back `horizon - 1 - shown` steps can tell them apart. Policy: uniform.

    Args:
        seed: draws the right action of each step.
        shown: steps after the first whose label tells; 0: none ever does.
        actions: number of actions at each step, one of them right.
    """
    if horizon < 3 or not 0 <= shown < horizon - 1:
        raise StepCreditError(
            f"got horizon={horizon}, shown={shown}, expected 3 or more steps and shown in 0..{horizon - 2}",
            hint="some step after the first must not show it",
        )
    return chain(
        f"aliased/{seed}",
        right_actions(seed, horizon, actions),
        actions,
        1,
        lambda t, alive, good: int(alive and (good or t not in (0, horizon - 1))),
        bool,
        lambda node: f"step {node[0]}" + (f", door {node[1]}" if 0 < node[0] <= shown else ""),
    )
