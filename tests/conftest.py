"""Real data and real tools: a counted skip where they are absent, a failure where STEPCREDIT_REQUIRE names them."""

import os
import signal
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

# Two workers on a busy machine: time says nothing about the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# Who starts in the background ignores SIGINT, and so do the commands it starts: tests that interrupt them would wait.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def required(what):
    return what in os.environ.get("STEPCREDIT_REQUIRE", "").split(",")


def skip_or_fail(what, why):
    if required(what):
        pytest.fail(f"{what} is required (STEPCREDIT_REQUIRE) but {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def data():
    """The folder of real rollouts."""
    folder = os.environ.get("STEPCREDIT_DATA")
    if not folder or not Path(folder).is_dir():
        skip_or_fail("data", "STEPCREDIT_DATA names no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def torch():
    """The package, which the core does not need."""
    try:
        return import_module("torch")
    except ImportError:
        skip_or_fail("torch", "torch is not installed")


@pytest.fixture(scope="session")
def transformers(torch):
    """The package, which the core does not need."""
    try:
        return import_module("transformers")
    except ImportError:
        skip_or_fail("transformers", "transformers is not installed")


@pytest.fixture(scope="session")
def sklearn():
    """The package, which the core does not need."""
    try:
        return import_module("sklearn")
    except ImportError:
        skip_or_fail("sklearn", "scikit-learn is not installed")


@pytest.fixture(scope="session")
def tiny_model(transformers, tmp_path_factory):
    """The folder of a small real model that calculates, mostly right: what users load."""
    from stepcredit.llm import tiny

    return tiny.save(tmp_path_factory.mktemp("tiny"), *tiny.build(0, steps=250))


@pytest.fixture
def engine(tiny_model):
    """A fresh engine on that model."""
    from stepcredit.llm import local

    return local.load(tiny_model)
