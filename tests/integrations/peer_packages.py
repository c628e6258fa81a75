"""Other people's trainers, imported for real: a counted skip where they are absent."""

import sys
import typing
import warnings
from importlib import import_module
from unittest.mock import patch

from conftest import skip_or_fail


def peer(name):
    """A module of a trainer that installs beside others on a CPU (.venv-peers)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if sys.version_info >= (3, 12) or not name.startswith("skyrl"):
                return import_module(name)
            # SkyRL asks for Python 3.12; all that fails before is pydantic's refusal of typing.TypedDict.
            with patch.object(typing, "TypedDict", import_module("typing_extensions").TypedDict):
                return import_module(name)
        except ImportError as error:
            skip_or_fail("peers", f"{name} is not installed ({error})")
