"""The text worlds of our own, and a size of each whose table is small and whose uniform policy sometimes succeeds."""

import inspect
from importlib import import_module

from conftest import skip_or_fail
from stepcredit.envs import text
from stepcredit.envs.text._outside import Outside
from stepcredit.envs.text_world import TextWorld
from stepcredit.errors import MissingExtra, StepCreditError

SMALL = {
    "frozen_lake": {"size": 2, "horizon": 30},
    "key_door_rooms": {"size": 2, "horizon": 30},
    "chain_arithmetic": {"length": 2, "modulus": 3},
    "mini_household": {"task": "clean", "places": 3, "things": 1, "horizon": 40},
    "mini_shop": {"items": 4},
    "multi_hop_search": {"hops": 2},
    "hand_off": {"shelves": 2, "gates": 2},
    "shell_files": {"parts": 1},
}

# Tasks that a test plays: where every step starts a process, fewer.
TASKS = {"shell_files": 3}


def is_ours(name):
    """Whether the world is written as functions of a state; others are doors to environments of other packages."""
    module = import_module(f"stepcredit.envs.text.{name}")
    classes = [v for _, v in inspect.getmembers(module, inspect.isclass) if v.__module__ == module.__name__]
    return any(issubclass(c, TextWorld) and not issubclass(c, Outside) for c in classes)


OURS = [name for name in text.names() if is_ours(name)]
TABLED = [name for name in OURS if name in SMALL]


def make(name, **options):
    """The world, or a counted skip where an optional package or the sandbox for commands is missing."""
    try:
        return text.get(name)(**options)
    except MissingExtra as error:
        skip_or_fail("envs", str(error))
    except StepCreditError as error:
        if "sandbox" not in str(error):
            raise
        skip_or_fail("sandbox", str(error))


def begun(name, seed=0, **options):
    """An episode of the world that has been reset."""
    episode = make(name, **options).episode()
    episode.reset(seed=seed)
    return episode
