"""verl loads stepcredit by itself: in fresh processes, through the real entry point, with the real config."""

import importlib
import logging
import os
import re
import subprocess
import sys
from types import ModuleType

import pytest
from verl_data import load_verl

from stepcredit.integrations import verl as plugin
from stepcredit.integrations._after_import import after_import, forget


@pytest.fixture
def python(torch):
    """A fresh interpreter with verl: what `code` (or a module) prints."""
    load_verl()

    def python(*code, **env):
        arguments = ["-c", "\n".join(code)] if len(code) == 1 or "\n" in code[0] else list(code)
        out = subprocess.run(
            [sys.executable, "-W", "ignore", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "HYDRA_FULL_ERROR": "1", **env},
        )
        assert out.returncode == 0, out.stderr
        return out.stdout

    return python


REGISTERED = """
import sys
{before}
import verl
early = [m for m in sys.modules if m.startswith("stepcredit.credit.methods.") or m == "verl.trainer.ppo.core_algos"]
from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as registry
import verl.trainer.ppo.v1.utils as v1, verl.trainer.ppo.ray_trainer as ray_trainer
{after}
print(early, sum(n.startswith("stepcredit.") for n in registry), "stepcredit.gigpo@verl-agent" in registry,
      hasattr(v1.compute_advantage, "_stepcredit"), v1.compute_advantage is ray_trainer.compute_advantage,
      hasattr(ray_trainer.compute_advantage._stepcredit, "_stepcredit")
      if hasattr(ray_trainer.compute_advantage, "_stepcredit") else None)
"""


def registered(python, before="", after="", **env):
    out = python(REGISTERED.format(before=before, after=after), **env)
    early, count, preset, wrapped, same, twice = re.match(r"(\[.*\]) (\d+) (\w+) (\w+) (\w+) (\w+)", out).groups()
    return early, int(count), preset == "True", wrapped == "True" and same == "True", twice


def test_importing_verl_registers_every_method_and_preset_late(python):
    from stepcredit.credit import names

    early, count, preset, wrapped, twice = registered(python)
    assert early == "[]"
    assert count == len(names(presets=True))
    assert preset
    assert wrapped
    assert twice == "False"


def test_plugins_can_be_turned_off(python):
    assert registered(python, VERL_USE_EXTERNAL_PLUGINS="none")[1:4] == (0, False, False)


def test_older_verls_name_the_module(python):
    env = {"VERL_USE_EXTERNAL_PLUGINS": "none", "VERL_USE_EXTERNAL_MODULES": "stepcredit.integrations.verl"}
    assert registered(python, **env)[2:] == (True, True, "False")


@pytest.mark.parametrize("where", ["before", "after"])
def test_it_may_be_imported_by_hand_before_or_after_verl(python, where):
    env = {"VERL_USE_EXTERNAL_PLUGINS": "none"}
    found = registered(python, **{where: "import stepcredit.integrations.verl as p; p.install()"}, **env)
    assert found[2:] == (True, True, "False")


def test_a_reload_of_verls_module_is_wrapped_once_again(python):
    again = "import importlib; importlib.reload(ray_trainer); importlib.reload(v1)"
    assert registered(python, after=again)[2:] == (True, True, "False")


def test_the_self_check_says_what_is_in_place(python):
    out = python("-m", "stepcredit.integrations.verl")
    assert re.search(r"^stepcredit \S+, verl 0\.\d", out)
    assert "entry point verl.plugins: stepcredit.integrations.verl" in out
    for seat in ("core_algos", "ray_trainer", "v1.trainer_base", "metric_utils"):
        assert f"{seat}: in place" in out


def test_the_command_line_of_the_guide_is_one_that_hydra_reads(python):
    """verl's real entry point, as far as its config."""
    out = python(
        "-m",
        "verl.trainer.main_ppo",
        "--cfg",
        "job",
        "--package",
        "algorithm",
        "algorithm.adv_estimator=stepcredit.gigpo@verl-agent",
        "+algorithm.stepcredit.gamma=0.95",
        "+algorithm.stepcredit.columns.state=anchor",
        "+algorithm.stepcredit.drop=[clip_scale]",
    )
    assert "adv_estimator: stepcredit.gigpo@verl-agent" in out
    block = out[out.index("stepcredit:\n") :]
    assert "gamma: 0.95" in block
    assert "state: anchor" in block
    assert "- clip_scale" in block


def test_no_option_of_a_method_bears_the_name_of_a_setting():
    from stepcredit.credit import get, names
    from stepcredit.integrations._verl_settings import Settings

    taken = set(Settings.__struct_fields__)
    assert [n for n in names(presets=True) if taken & set(get(n).options)] == []


def test_a_verl_that_has_changed_is_said_aloud_and_stops_nobody(caplog):
    with caplog.at_level(logging.ERROR):
        plugin._seat("verl.trainer.ppo.ray_trainer", ModuleType("changed"))
    try:
        assert "found no seat in verl.trainer.ppo.ray_trainer" in caplog.text
        assert "compute_advantage" in caplog.text
        assert "compute_advantage" in plugin._FAILED["verl.trainer.ppo.ray_trainer"]
    finally:
        del plugin._FAILED["verl.trainer.ppo.ray_trainer"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one module on the path."""
    (tmp_path / "watched_pkg").mkdir()
    (tmp_path / "watched_pkg" / "__init__.py").write_text("")
    (tmp_path / "watched_pkg" / "part.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "watched_pkg.part"
    for name in ("watched_pkg", "watched_pkg.part"):
        sys.modules.pop(name, None)


def test_a_function_runs_after_an_import_and_after_a_reload(package):
    seen = []

    def call(module):
        seen.append(module.value)

    after_import(package, call)
    try:
        assert seen == []
        module = importlib.import_module(package)
        assert seen == [1]
        assert type(module.__loader__).__name__ == "SourceFileLoader"
        assert module.__spec__.loader is module.__loader__
        importlib.reload(module)
        assert seen == [1, 1]
    finally:
        forget(call)


def test_a_module_that_is_there_already_is_called_at_once(package):
    module = importlib.import_module(package)
    seen = []
    after_import(package, seen.append)
    forget(seen.append)
    assert seen == [module]
