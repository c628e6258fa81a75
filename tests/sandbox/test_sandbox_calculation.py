"""Code of a model: what is refused, and what the process cannot do even if it were not."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from stepcredit.sandbox import calculation, process
from stepcredit.sandbox.calculation import check, run
from stepcredit.sandbox.process import SandboxError

# The usual way out of restricted names: any class leads to the module os.
ESCAPE = """
def f(x):
    classes = ().__class__.__base__.__subclasses__()
    system = [c for c in classes if c.__name__ == "_wrap_close"][0].__init__.__globals__
    return {act}
"""


def escaped(act, **limits):
    """What the process does with code that the first wall would never pass."""
    given = {"seconds": 2, "memory": 256 * 2**20, "output": 2**20, **limits}
    return calculation._execute(ESCAPE.format(act=act), "f", [1], **given)


def test_plain_calculation_runs():
    code = """
import math
import re
from math import sqrt
KEYS = {"a", "b", "c"}

def helper(text):
    return len(re.findall(r"\\d+", text))

def factors(step):
    words = [w.lower() for w in step["text"].split() if w]
    try:
        ratio = 1 / len(words)
    except ZeroDivisionError:
        ratio = 0.0
    print(words)
    return [helper(step["text"]), sqrt(len(words)), ratio, sum(1 for k in KEYS if k in words), float(f"{math.pi:.2f}")]
"""
    out = run(code, "factors", [{"text": "a 12 b 3"}, {"text": ""}])
    assert out == [[2, 2.0, 0.25, 2, 3.14], [0, 0.0, 0.0, 0, 3.14]]
    assert run("def f(x):\n    return x", "f", []) == []


def test_sets_are_walked_in_one_order():
    code = "def f(x):\n    return list({'alpha', 'beta', 'gamma', 'delta', 'epsilon'})"
    assert run(code, "f", [0]) == run(code, "f", [0])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("import os", "import is not allowed"),
        ("import math as m, socket", "import is not allowed"),
        ("from os import system", "import is not allowed"),
        ("from math import __loader__", "is not allowed"),
        ("from re import enum", "enum is not allowed"),
        ("open('/etc/passwd')", None),
        ("x.__class__", "attribute '__class__'"),
        ("''.format(x)", "attribute 'format'"),
        ("re.enum.sys", "attribute"),
        ("__import__('os')", "name '__import__'"),
        ("_private = 1", "name '_private'"),
        ("(yield x)", "Yield is not allowed"),
        ("with x: pass", "With is not allowed"),
        ("global y", "Global is not allowed"),
        ("del x", "Delete"),
        ("async def g(): pass", "AsyncFunctionDef"),
        ("class A: pass", "ClassDef"),
        ("def g(_x): return 1", "name '_x'"),
        ("import math as _m", "name '_m'"),
        ("f'{x.__class__}'", "attribute '__class__'"),
        ("lambda x: x.gi_frame", "attribute 'gi_frame'"),
    ],
)
def test_the_parser_refuses(body, why):
    code = f"def f(x):\n    {body}\n    return [1]"
    if why is None:
        with pytest.raises(SandboxError, match="NameError"):
            run(code, "f", [1])
        return
    with pytest.raises(SandboxError, match=why):
        run(code, "f", [1])


def test_what_is_no_such_function_is_refused():
    for code, why in (("def f(:", "not Python"), ("x = 1", "does not define"), ("#" * 30_000, "characters long")):
        with pytest.raises(SandboxError, match=why):
            check(code, "f")
    with pytest.raises(SandboxError, match="decorators"):
        check("@len\ndef f(x):\n    return 1", "f")
    with pytest.raises(SandboxError, match="not Python"):
        check("x = " + "(" * 5000 + ")" * 5000, "f")


def test_endless_loops_end():
    began = time.monotonic()
    for body in ("while True: pass", "return 9 ** 9 ** 9"):
        with pytest.raises(SandboxError, match="more than 1 seconds"):
            run(f"def f(x):\n    {body}", "f", [1], seconds=1)
    assert time.monotonic() - began < 20


def test_endless_loops_at_the_top_end_too():
    with pytest.raises(SandboxError, match="more than 1 seconds"):
        run("while True:\n    pass\ndef f(x):\n    return 1", "f", [1], seconds=1)


def test_memory_recursion_and_output_are_bounded():
    with pytest.raises(SandboxError, match="more memory"):
        run("def f(x):\n    return len([0] * (2 * 10 ** 8))", "f", [1])
    with pytest.raises(SandboxError, match=r"too deeply|without a result"):
        run("def f(x):\n    return f(x)", "f", [1])
    with pytest.raises(SandboxError, match="longer than 1,000 bytes"):
        run("def f(x):\n    return ['x' * 100] * 100", "f", [1], output=1000)


def test_errors_of_the_code_come_back_in_words():
    for body, why in (("1 / 0", "ZeroDivisionError"), ("x['none']", "TypeError"), ("{1, 2}", "not JSON serializable")):
        with pytest.raises(SandboxError, match=why):
            run(f"def f(x):\n    return {body}", "f", [1])


def test_one_bad_input_need_not_spoil_the_others():
    code = "def f(x):\n    return 1 / x"
    assert run(code, "f", [1, 0, 2], each=True) == [1, None, 0.5]
    with pytest.raises(SandboxError, match="ZeroDivisionError"):
        run(code, "f", [1, 0, 2])


def test_code_that_escapes_the_names_opens_no_file():
    for act in ('system["open"]("/etc/passwd", 0)', 'system["open"]("/tmp/written", 65, 438)'):
        with pytest.raises(SandboxError, match=r"OSError|PermissionError"):
            escaped(act)
    assert not Path("/tmp/written").exists()


def test_code_that_escapes_the_names_imports_nothing_and_opens_no_socket():
    with pytest.raises(SandboxError, match=r"OSError|ImportError|ModuleNotFoundError|KeyError"):
        escaped('system["sys"].modules["importlib"].import_module("socket").socket()')
    with pytest.raises(SandboxError, match=r"OSError|ImportError|ModuleNotFoundError"):
        escaped('system["__builtins__"]["__import__"]("socket").socket()')


def test_code_that_escapes_the_names_starts_no_process():
    for act in ('system["fork"]()', 'system["posix_spawn"]("/bin/true", ["true"], {})'):
        with pytest.raises(SandboxError, match=r"BlockingIOError|PermissionError|OSError"):
            escaped(act)
    assert escaped('system["system"]("true")') != [0]


def test_a_fork_bomb_ends_with_its_process():
    began = time.monotonic()
    with pytest.raises(SandboxError):
        escaped('[system["fork"]() for _ in range(10 ** 9)]')
    assert time.monotonic() - began < 15


def test_limits_cannot_be_raised_again():
    raised = 'system["sys"].modules["resource"].setrlimit(system["sys"].modules["resource"].RLIMIT_NOFILE, (100, 100))'
    with pytest.raises(SandboxError, match=r"ValueError|PermissionError|OSError"):
        escaped(raised)


def test_a_process_that_answers_at_length_by_itself_is_cut():
    with pytest.raises(SandboxError, match="longer than"):
        escaped('system["write"](1, b"x" * 10 ** 7)', output=1000)


def test_it_does_not_see_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    seen = escaped('sorted(system["environ"])')
    assert "SECRET_TOKEN" not in seen[0]


def test_nothing_is_left_running(monkeypatch):
    started, popen = [], subprocess.Popen

    def remembered(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(process.subprocess, "Popen", remembered)
    with pytest.raises(SandboxError):
        run("def f(x):\n    while True: pass", "f", [1], seconds=1)
    assert started[0].returncode is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0].pid, 0)


def test_code_that_is_nested_too_deeply_is_refused():
    with pytest.raises(SandboxError):
        run("def f(x):\n    return " + "-" * 19_000 + "x", "f", [1])
