"""Running code that nobody has read, because a model wrote it.

Two walls. The code is parsed first, and only plain calculation passes: no imports but math and re, no names or
attributes beyond a list. What passes runs in a process of its own that holds nothing but this code and its inputs, has
bounded time, memory and output, can open no file or socket and start no process, and on Linux sees no network.
"""

import ast
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.sandbox.process import SandboxError, run_process

MODULES = ("math", "re")
LONGEST = 20_000
# What calculation is made of.
_GRAMMAR = """Module FunctionDef arguments arg Return Assign AugAssign AnnAssign For While If IfExp Expr Constant Name
    Load Store BinOp UnaryOp BoolOp Compare Call keyword Attribute Subscript Slice List Tuple Dict Set ListComp SetComp
    DictComp GeneratorExp comprehension Lambda JoinedStr FormattedValue Starred Pass Break Continue Import ImportFrom
    alias Try ExceptHandler Raise Assert NamedExpr operator unaryop boolop cmpop"""
# Of texts, lists, sets and dicts; of re; of math. Not `format`: its text reaches any attribute.
_KNOWN = """append add capitalize casefold copy count difference discard endswith extend find get index insert
    intersection isalnum isalpha isdigit isdisjoint islower isnumeric isspace issubset issuperset istitle isupper items
    join keys lower lstrip partition pop remove replace reverse rfind rpartition rsplit rstrip setdefault sort split
    splitlines startswith strip swapcase title union update upper values zfill
    compile escape findall finditer fullmatch match search sub subn group groups groupdict start end span
    I IGNORECASE M MULTILINE S DOTALL
    acos asin atan atan2 ceil comb copysign cos cosh degrees dist e erf erfc exp expm1 fabs factorial floor fmod fsum
    gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm lgamma log log10 log1p log2 nan perm pi pow prod radians
    sin sinh sqrt tan tanh tau trunc"""
_NODES = tuple(getattr(ast, name) for name in _GRAMMAR.split())
_ATTRIBUTES = frozenset(_KNOWN.split())


def check(code: str, function: str) -> None:
    """Let plain calculation pass.

    Raises:
        SandboxError: it is no Python, does what is not allowed, or does not define the function.
    """
    if len(code) > LONGEST:
        raise SandboxError(f"the code is {len(code):,} characters long; at most {LONGEST:,}")
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SandboxError(f"this is not Python: {error}") from None
    for node in ast.walk(tree):
        _allow(node)
    if not any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body):
        raise SandboxError(f"the code does not define a function {function}")


def _allow(node: ast.AST) -> None:
    at = f" (line {node.lineno})" if hasattr(node, "lineno") else ""
    if not isinstance(node, _NODES):
        raise SandboxError(f"{type(node).__name__} is not allowed{at}: only functions that calculate")
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        raise SandboxError(f"decorators are not allowed{at}")
    if isinstance(node, ast.Attribute) and node.attr not in _ATTRIBUTES:
        raise SandboxError(f"the attribute {node.attr!r} is not allowed{at}")
    named = {ast.Name: "id", ast.FunctionDef: "name", ast.arg: "arg", ast.alias: "asname", ast.ExceptHandler: "name"}
    field = named.get(type(node))
    name = getattr(node, field) if field else None
    if name is not None and name.startswith("_") and name != "_":
        raise SandboxError(f"the name {name!r} is not allowed{at}")
    if isinstance(node, ast.Import) and any(a.name not in MODULES for a in node.names):
        raise SandboxError(f"import is not allowed{at}, but of {' and '.join(MODULES)}")
    if isinstance(node, ast.ImportFrom):
        if node.module not in MODULES or node.level:
            raise SandboxError(f"import is not allowed{at}, but from {' and '.join(MODULES)}")
        for a in node.names:
            if a.name not in _ATTRIBUTES:
                raise SandboxError(f"{node.module}.{a.name} is not allowed{at}")


def run(
    code: str,
    function: str,
    inputs: Sequence[Any],
    *,
    seconds: float = 10.0,
    memory: int = 256 * 2**20,
    output: int = 16 * 2**20,
    each: bool = False,
) -> list[Any]:
    """What the function of this name returns for each input. Inputs and results are JSON.

    Args:
        each: an input at which the function raises an error has the result None; else the error is raised.
        seconds: of processor time, and twice that by the clock. memory, output: in bytes.

    Raises:
        SandboxError: the code was refused, failed, or took too long or too much.
        StepCreditError: this system has no limits for processes.
    """
    try:
        check(code, function)
    except RecursionError:
        raise SandboxError("the code is nested too deeply") from None
    return _execute(code, function, inputs, seconds=seconds, memory=memory, output=output, each=each)


def _execute(
    code: str, function: str, inputs: Sequence[Any], *, seconds: float, memory: int, output: int, each: bool = False
) -> list[Any]:
    """The second wall alone."""
    if os.name != "posix":
        raise StepCreditError("code of a model runs only where processes can be limited: Linux or macOS")
    limits = {"seconds": max(int(seconds + 0.999), 1), "memory": memory, "output": output}
    payload = json.dumps({"code": code, "function": function, "inputs": list(inputs), "each": each, **limits}).encode()
    # Not -I: it would ignore the hash seed, and sets would be walked in another order each time.
    ended = run_process(
        [sys.executable, "-P", "-s", "-S", "-B", "-c", _CHILD],
        payload,
        seconds=2 * limits["seconds"],
        output=output,
        environment={"PYTHONHASHSEED": "0"},
    )
    late = ended.late or -ended.status == signal.SIGXCPU
    return _result(ended.said, output, len(inputs), late, ended.status, seconds)


def _result(said: bytes, output: int, n: int, late: bool, end: int, seconds: float) -> list[Any]:
    if late:
        raise SandboxError(f"the code took more than {seconds:g} seconds")
    if len(said) > output:
        raise SandboxError(f"the results are longer than {output:,} bytes")
    try:
        told = json.loads(said)
    except ValueError:
        raise SandboxError(f"the code ended without a result (status {end}): too much memory or recursion?") from None
    if isinstance(told, dict) and "error" in told:
        raise SandboxError(str(told["error"]))
    if not isinstance(told, list) or len(told) != n:
        raise SandboxError(f"the code gave no list of {n} results")
    return told


_CHILD = r'''
import json, math, os, re, resource, sys, unicodedata, warnings

given = json.loads(sys.stdin.buffer.read())
out = sys.stdout.buffer


def shut():
    """No network where the system lets us, no rights, no files, no processes; then bounds."""
    try:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        user, net = 0x10000000, 0x40000000
        libc.unshare(net) if os.getuid() == 0 else libc.unshare(user | net)
    except Exception:
        pass
    if os.getuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        except OSError:
            pass
    def limit(name, value, more=0):
        what = getattr(resource, "RLIMIT_" + name, None)
        if what is not None:
            hard = resource.getrlimit(what)[1]
            top = value + more if hard == resource.RLIM_INFINITY else min(value + more, hard)
            resource.setrlimit(what, (min(value, top), top))
    limit("CPU", given["seconds"], 1)
    limit("AS", given["memory"])
    for name in ("CORE", "FSIZE", "NPROC", "NOFILE"):
        limit(name, 0)


def brought(name, *rest):
    if name in ("math", "re"):
        return sys.modules[name]
    raise ImportError(name + " is not allowed")


names = ("abs all any bool dict enumerate filter float frozenset int isinstance len list map max min pow range "
         "reversed round set sorted str sum tuple zip Exception ArithmeticError AttributeError IndexError KeyError "
         "TypeError ValueError ZeroDivisionError").split()
source = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
safe = {name: source[name] for name in names}
safe["__import__"] = brought
safe["print"] = lambda *args, **kwargs: None


def answer():
    space = {"__builtins__": safe, "math": math, "re": re}
    exec(compile(given["code"], "<factors>", "exec"), space)
    function = space[given["function"]]
    results = []
    for one in given["inputs"]:
        try:
            results.append(function(one))
        except Exception:
            if not given["each"]:
                raise
            results.append(None)
    return json.dumps(results, allow_nan=True)


json.dumps({"loaded": [1.5, "before", None]}).encode("ascii")  # no file can be read later
shut()
try:
    told = answer()
except MemoryError:
    told = json.dumps({"error": "the code took more memory than it may"})
except RecursionError:
    told = json.dumps({"error": "the code calls itself too deeply"})
except BaseException as error:
    told = json.dumps({"error": type(error).__name__ + ": " + str(error)[:500]})
out.write(told.encode("ascii")[: given["output"] + 1])
out.flush()
os._exit(0)
'''
