"""Small deterministic models and tasks for tests of search policies."""

import numpy as np

from stepcredit.envs import text
from stepcredit.llm.scripted import Scripted
from stepcredit.search import Task, solve


def run(policy, models, task="What is 2 + 3?\n", *, limits=None, seed=0, writing=None, **options):
    """What one search finds."""
    task = task if isinstance(task, Task) else Task(task)
    more = {} if writing is None else {"writing": writing}
    return dict(solve([task], policy, models, limits=limits, seed=seed, **more, **options))[0]


def texts(found):
    """Texts of all steps in the order in which they were made."""
    return [n.text for n in found.tree.nodes[1:]]


def scorer(worth, default=0.0):
    """A scorer that knows the worth of steps by their text; NaN = failed."""
    return lambda prefixes, steps: np.array([worth.get(s, default) for s in steps], float)


def says(*replies):
    """A sampler that says these in turn, from the first again."""
    return Scripted({"": list(replies)})


def lake():
    """A live environment, and the actions that its expert takes."""
    episode = text.get("frozen_lake")(size=3).episode()
    observation, _ = episode.reset(seed=3)
    walker, way = episode.fork(), []
    while not walker.ended:
        way.append(walker.expert())
        walker.step(way[-1])
    return Task(observation + "\n", world=episode), way
