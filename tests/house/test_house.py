"""The house: which room may import which, what importing costs, what is public, sizes."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import stepcredit

ROOT = Path(stepcredit.__file__).parent
MODULES = sorted(p for p in ROOT.rglob("*.py"))

# A room may import those before it, and itself. Rooms of one tuple do not import one another.
ORDER = [
    ("errors",),
    ("plugins", "sandbox"),
    ("data",),
    ("ops",),
    ("protocols",),
    ("segment", "credit", "lint", "envs"),
    ("llm", "shelf"),
    ("evidence",),
    ("label", "reward_models", "learn", "search", "diagnose"),
    ("systems",),
    ("bench", "integrations"),
    ("train",),
    ("app",),
]
ALSO = {"lint": {"credit"}, "testing": {"credit", "data", "ops", "errors"}, "__main__": {"app"}}
# A rule says what it does in its RULE; lint/arrays.py documents each array that lint/derive.py makes.
SAID_IN_A_TABLE = {ROOT / "lint" / "derive.py", *(ROOT / "lint" / "rules").glob("*.py")}
LIGHT = ("data", "ops", "credit", "lint", "segment", "sandbox", "envs", "errors")
THIRD_PARTY = {"numpy", "msgspec", "pyarrow"}


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] != "__init__" else ""


def imports(path, package=None):
    """Names imported anywhere in a file, functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from [node.module] if node.module != "stepcredit" else [f"stepcredit.{a.name}" for a in node.names]


def allowed(name):
    if name in ALSO and name != "lint":
        return ALSO[name] | {name}
    for i, tier in enumerate(ORDER):
        if name in tier:
            return {n for t in ORDER[:i] for n in t} | {name} | ALSO.get(name, set())
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = room(path)
    if not here:
        return
    may = allowed(here)
    assert may is not None, f"{here} is no room of the house: add it to ORDER"
    for name in imports(path):
        if name.split(".")[0] == "stepcredit" and name != "stepcredit.__version__":
            assert name.split(".")[1] in may, f"{here} must not import {name}"


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in LIGHT], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_needs_only_numpy_and_readers(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names | THIRD_PARTY | {"stepcredit"}, f"{path} imports {name}"


def test_importing_loads_nothing_heavy():
    heavy = ["torch", "pyarrow", "typer", "rich", "transformers", "ray", "pandas"]
    code = f"import stepcredit, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_what_is_listed_is_what_is_exported_and_documented():
    assert sorted(stepcredit.__all__) == sorted(set(stepcredit.__all__))
    for name in stepcredit.__all__:
        thing = getattr(stepcredit, name)
        assert name == "__version__" or thing.__doc__, f"sc.{name} has no docstring"


def test_no_top_level_function_shares_a_subpackage_name():
    rooms = {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert not rooms & set(stepcredit.__all__)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{path} has {len(text.splitlines())} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node, clean=False) or ""
            body = node.end_lineno - node.body[0].lineno - doc.count("\n")
            assert body <= 60, f"{path}: {node.name} has {body} lines of code"


def test_every_public_function_says_what_it_does():
    silent = []
    for path in MODULES:
        if (path.name.startswith("_") and path.name != "__init__.py") or path in SAID_IN_A_TABLE:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not silent, silent


def test_every_module_imports():
    for path in MODULES:
        name = ".".join(("stepcredit", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        if not name.endswith("__main__"):
            importlib.import_module(name)
