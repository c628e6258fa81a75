"""Programs that check steps: what they find right and wrong, what they do not judge, what they survive."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import skip_or_fail
from stepcredit.errors import MissingExtra, StepCreditError, UnknownName
from stepcredit.label.checks import CHECKS, Known, Verdict, _worker, get, lean, python_check, symbolic, z3_check
from stepcredit.label.checks._claims import claims
from stepcredit.label.checks._grammar import names, parse, shown
from stepcredit.label.checks._tokens import NotRead
from stepcredit.label.checks.calculator import calculator
from stepcredit.label.checks.math_answer import math_answer
from stepcredit.sandbox import shell
from stepcredit.sandbox.process import SandboxError
from stepcredit.sandbox.shell import check_shell

ALONE = Known()
TEXTS = st.text(max_size=80) | st.text(alphabet="0123456789.,()+-*/^=<>xXyAB&|~>{}$%\\frac sqrt:;¬∀→×²", max_size=60)


def code(text):
    return f"```python\n{text}\n```"


def installed(package):
    if find_spec(package) is None:
        skip_or_fail(package, f"{package} is not installed")


@pytest.fixture
def sympy():
    installed("sympy")


@pytest.fixture
def z3():
    installed("z3")


@pytest.fixture
def sandbox(monkeypatch):
    try:
        check_shell()
    except StepCreditError as error:
        skip_or_fail("sandbox", str(error))
    if python_check.python_check(code("pass"), ALONE).right is None:
        skip_or_fail("sandbox", "the sandbox has no python3")
    monkeypatch.setattr(python_check, "SECONDS", 0.5)


def test_checks_are_found_by_name():
    assert CHECKS.names() == ["calculator", "lean", "math_answer", "python_check", "symbolic", "z3_check"]
    with pytest.raises(UnknownName, match="check of steps"):
        get("calculater")


# The calculator


@pytest.mark.parametrize(
    "step, right",
    [
        ("She has 48/2 = <<48/2=24>>24 left.", True),
        ("She has 48/2 = <<48/2=23>>23 left.", False),
        ("so <<100/3=33.33>>", True),
        ("so 100/3 = 33", False),
        ("0.1 + 0.2 = 0.3 and 1,299.50 + .5 = $1,300", True),
        ("5.85*3 = 17.549999999999997", True),
        ("20 * 50% = 10, then 25/100*100 = 25%", True),
        ("2 + 3 = 5 + 1 = 6", False),
        ("- 5 + 3 = 8", True),
        ("2 x 3 = 6 and 6 ÷ 3 × 2 = 4 and 2^3 = 8", True),
        ("12 good days + 8 bad days = 20 days at $2.50/pot * 4 pots = $10", True),
        ("so $2.12/pot * 17 pots = $36.04, and 65 books/shelf / 5 shelves = 14", False),
        ("1 hour - 15 minutes = 45 minutes; 5 dozen * 2 = 120; 50 cents * 4 = 2 dollars", None),
        ("a total of 12 + 6 = 18; a third of 12 + 6 = 9", True),
        ("no numbers here", None),
        ("half of 4 + 6 = 8; the price - 5 + 2 = 9; y + 3 - 1 = 4; 3 + 2 = 5 1/2; 4 / 2 = 2x", None),
        ("<<x+1=2>>", None),
        ("1/0 = 0 and 2^99999 = 1", None),
    ],
)
def test_arithmetic_is_exact(step, right):
    assert calculator(step, ALONE).right is right, calculator(step, ALONE)


def test_a_wrong_line_says_what_it_is():
    assert calculator("8 * 7 = 54", ALONE) == Verdict(False, "8 * 7 = 54: it is 56")


def test_where_a_claim_begins_and_ends():
    assert claims("Day 1: 16 - 3 = 13 ducks, so $2 x 13 = $26.") == ("16 - 3 = 13", "2 * 13 = 26")
    assert claims("(3 + 4) * 2 = 14") == ("(3 + 4) * 2 = 14",)
    assert claims("in 2020 5 + 3 = 8") == claims("v1.5 + 2 = 4") == claims("half of 5 + 3 = 9") == ()


# The grammar


@pytest.mark.parametrize(
    "text, latex, told",
    [
        ("-x^2 + 3(x-1)/2 = 0", False, "-x^2 + (3*(x - 1))/2 = 0"),
        ("a < b <= 2c", False, "a < b <= 2*c"),
        (r"\frac{1}{2} \cdot \sqrt[3]{8} \le 2\pi", True, "(1/2)*8^(1/3) <= 2*pi"),
        (r"\left(x+1\right)\left(x-1\right) = x^{2} - 1", True, "(x + 1)*(x - 1) = x^2 - 1"),
        ("¬{A} & {B}{a} -> {C}x", False, "~A & B(a) -> C(x)"),
        ("(x): {A}x -> {B}x", False, "forall x: A(x) -> B(x)"),
        ("(Ex): {A}x & {B}x", False, "exists x: A(x) & B(x)"),
        ("A or not B implies C", False, "A | ~B -> C"),
    ],
)
def test_what_the_grammar_reads(text, latex, told):
    assert shown(parse(text, latex)) == told


@pytest.mark.parametrize(
    "text", ["", "two words", "3 4", "(1", "1)", "x = ", "(" * 200 + "1", "1+" * 400 + "1", "a b = c"]
)
def test_what_it_does_not_read(text):
    with pytest.raises(NotRead):
        parse(text)


def test_names_that_a_quantifier_binds_are_not_free():
    assert names(parse("forall x: P(x, y) & Q")) == {"y", "Q"}


@given(TEXTS, st.booleans())
def test_any_text_is_read_or_refused_and_read_again_is_the_same(text, latex):
    try:
        tree = parse(text, latex)
    except NotRead:
        return
    assert shown(parse(shown(tree))) == shown(tree)


@given(TEXTS)
def test_no_text_breaks_the_checks_that_run_here(text):
    for check in (calculator, lean.lean):
        assert check(text, ALONE).right in (True, False, None)
    symbolic.equations(text)
    z3_check.entailments(text, Known(text, (text,)))


@pytest.mark.parametrize(
    "text",
    [
        "1+" * 9000,
        "(" * 20_000,
        "1 " * 10_000,
        "$" * 9000,
        r"\(" * 9000,
        "- 1 = " * 4000,
        "1 ab " * 4000,
        "1 ab/" * 4000,
        "1 ab cd ef " * 2000,
        "a" + " " * 20_000 + "->",
    ],
)
def test_long_texts_hold_nothing_and_are_left_soon(text):
    assert calculator(text, ALONE).right is None
    assert symbolic.equations(text) == ()
    assert not [one for one in z3_check.entailments(text, Known(text)) if not isinstance(one, str)]


# SymPy


@pytest.mark.parametrize(
    "step, known, right",
    [
        (r"so $\frac{1}{2} + \frac{1}{3} = \frac{5}{6}$", ALONE, True),
        (r"\[ \sqrt{2} \cdot \sqrt{8} = 5 \]", ALONE, False),
        ("(x+1)^2 = x^2 + 2x + 1", ALONE, True),
        ("x + 1 = x + 2", ALONE, False),
        ("x = 3", Known("Solve 2x + 4 = 10 for x.\n2x + 4 = 10"), True),
        ("x = 4", Known("$2x + 4 = 10$"), False),
        ("2x = 6\nx = 3", Known(before=("2x + 4 = 10",)), True),
        ("x = -2", Known("x^2 = 4"), True),
        ("x = 3", ALONE, None),
        ("y = 3", Known("2x + 4 = 10"), None),
        ("x + y = 10\nx - y = 2\nx = 6", ALONE, True),
        ("sin(x)^2 + cos(x)^2 = 1", ALONE, True),
        ("3 < 2", ALONE, False),
        ("100/3 = 33.33", ALONE, True),
        ("x > 2", ALONE, None),
        ("9^9^9^9 = 1", ALONE, None),
        ("only words", ALONE, None),
        (r"$2\pi r = 2r\pi$ and $2\sin x = \sin x + \sin x$", ALONE, True),
        ("it takes $28/4 = 7 more weeks to save $60", ALONE, True),
    ],
)
def test_equations(sympy, step, known, right):
    assert symbolic.symbolic(step, known).right is right, symbolic.symbolic(step, known)


def test_no_text_of_a_step_is_executed(sympy, tmp_path):
    """sympy's own parsers would: they end in eval."""
    trap = f"__import__('os').system('touch {tmp_path}/ran')"
    for step in (
        f"x = {trap}",
        f"${trap} = 1$",
        f"Symbol('x'.__class__.__mro__) = 1\n{trap} = {trap}",
        f"{trap} -> {trap}",
    ):
        symbolic.symbolic(step, Known(step))
        z3_check.z3_check(step, Known(step))
    assert not (tmp_path / "ran").exists()


def test_sympy_is_ended_when_it_takes_too_long_and_the_next_question_is_answered(sympy, monkeypatch):
    monkeypatch.setattr(symbolic, "SECONDS", 0.02)
    _worker.worker("_symbolic_child.py", symbolic.MEMORY).end()
    late = symbolic.symbolic("sin(x)^9 + cos(x)^9 + tan(x)^9 = exp(x)^9 + x^60", Known("x^5 + x + 1 = exp(x)"))
    assert late.right is None and "more than 0.02 seconds" in late.why
    monkeypatch.undo()
    assert symbolic.symbolic("1 + 1 = 2", ALONE).right is True


def test_a_worker_that_has_no_memory_says_so(sympy):
    small = _worker.Worker("_symbolic_child.py", 1000)
    with pytest.raises(SandboxError, match="the program ended"):
        small.ask({"pairs": [], "known": ["a" * 10**7]}, 20)


def test_a_worker_sees_nothing_of_the_environment(sympy, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    worker = _worker.Worker("_symbolic_child.py", symbolic.MEMORY)
    worker.ask({"pairs": [], "known": []}, 20)
    environment = Path(f"/proc/{worker._process.pid}/environ")
    if environment.exists():
        assert b"hidden" not in environment.read_bytes()
    worker.end()


# Z3

FLD = Known("fact1: {A}{a}\nfact2: (x): {A}x -> {B}x\nfact3: ¬{C}{a}; hypothesis: {B}{a}")


@pytest.mark.parametrize(
    "step, known, right",
    [
        ("A & (A -> B) -> B", ALONE, True),
        ("B -> C", ALONE, False),
        ("C -> C", ALONE, True),
        ("A, A -> B |- B", ALONE, True),
        ("A | B, ¬A ⊢ ¬B", ALONE, False),
        ("x = 3 & y = x + 1 -> y > 3", ALONE, True),
        ("x > 3 -> x > 4", ALONE, False),
        ("3 + 4 = 7", ALONE, True),
        ("3 + 4 = 8", ALONE, False),
        ("∀x: Man(x) -> Mortal(x), Man(s) |- Mortal(s)", ALONE, True),
        ("Man(s) -> Mortal(s)", ALONE, False),
        ("fact1 & fact2 -> int1: {B}{a}; int1 -> hypothesis", FLD, True),
        ("fact1 & fact3 -> int1: {B}{a}", FLD, False),
        ("fact1 & fact9 -> int1: {B}{a}", FLD, None),
        ("fact9", FLD, None),
        ("fact9 & A", FLD, None),
        ("void -> assump1: {A}{a}", FLD, None),
        ("x / y = 2 -> x = 2y", ALONE, None),
        ("A + 1 = 2 & A -> B", ALONE, None),
        ("So this follows -> that?", ALONE, None),
        ("only words", ALONE, None),
    ],
)
def test_entailment(z3, step, known, right):
    assert z3_check.z3_check(step, known).right is right, z3_check.z3_check(step, known)


def test_a_conclusion_that_does_not_follow_comes_with_a_case_against_it(z3):
    assert z3_check.z3_check("B -> C", ALONE).why == "B -> C: not where B = True, C = False"


def test_what_z3_cannot_tell_in_time_is_not_judged(z3, monkeypatch):
    monkeypatch.setattr(z3_check, "SECONDS", 0.2)
    hard = "x^8 + y^8 = z^8 & x*y*z*u != 0 & x^3*u - y^5 + z^7*u = 17 & u^8 = x^7 + y -> sin(x) * u^5 > z^5 * y"
    assert z3_check.z3_check(hard, ALONE).right is None


# Python

ATTACKS = {
    "writes outside": "open('/usr/stepcredit-was-here', 'w').write('x')",
    "reads the home": "print(open('{secret}').read()); raise AssertionError(open('{secret}').read())",
    "reads the environment": "import os; raise KeyError(os.environ.get('SECRET_TOKEN', 'nothing'))",
    "eats memory": "x = bytearray(10**11)",
    "forks": "import os\nwhile True:\n    os.fork()",
    "opens a socket": "import socket; socket.create_connection(('127.0.0.1', {port}), 1)",
    "hangs": "while True:\n    pass",
    "sleeps": "import time; time.sleep(60)",
    "leaves early": "import os; os._exit(0)",
    "kills all": "import os, signal; os.kill(-1, signal.SIGKILL); os.kill(os.getppid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_code_is_refused_or_stopped_and_reported(sandbox, attack, tmp_path, monkeypatch):
    import socket

    monkeypatch.setenv("SECRET_TOKEN", "hidden-token")
    secret = tmp_path / "secret"
    secret.write_text("hidden-file")
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = ATTACKS[attack].format(secret=secret, port=server.getsockname()[1])
        found = python_check.python_check(code(text), ALONE)
    assert "hidden" not in found.why
    assert found.right is (False if attack == "reads the environment" else None), found
    assert found.why.startswith(("refused", "stopped", "it ends before", "KeyError: 'nothing'")), found
    assert not Path("/usr/stepcredit-was-here").exists()


@pytest.mark.parametrize(
    "step, right",
    [
        (code("assert 6 * 7 == 42"), True),
        (code("assert 6 * 7 == 43"), False),
        (code("print(undefined)"), False),
        (code("this is no Python"), False),
        (code("import sys; sys.exit(3)"), False),
        (code("import numpy"), None),
        (code("print(6 * 7)") + "\n```output\n42\n```", True),
        (code("print(6 * 7)") + "\n```output\n43\n```", False),
        ("no code", None),
    ],
)
def test_code_that_runs_is_right_and_code_that_fails_is_wrong(sandbox, step, right):
    assert python_check.python_check(step, ALONE).right is right, python_check.python_check(step, ALONE)


def test_code_of_the_steps_before_runs_first(sandbox):
    before = (code("x = 2\nprint('not said')"), "words")
    assert python_check.python_check(code("assert x == 2"), Known(before=before)).right is True
    broken = python_check.python_check(code("pass"), Known(before=(code("1 / 0"),)))
    assert broken.right is None and "a step before fails: ZeroDivisionError" in broken.why


def test_without_a_sandbox_no_code_runs(monkeypatch):
    check_shell.cache_clear()
    monkeypatch.setattr(shell.sys, "platform", "darwin")
    found = python_check.python_check(code("assert False"), ALONE)
    check_shell.cache_clear()
    assert found.right is None and found.why.startswith("not run: ") and "darwin" in found.why


# Lean

PROOF = "```lean\ntheorem s : 1 + 1 = 2 := rfl\n```"


def stand_in(folder, monkeypatch, script):
    """A program in Lean's place: exit status 1 and file:line:column: error: ... where a file is not accepted, as the
    Lean 4 command line does."""
    program = folder / "lean"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --print-prefix ] && {{ echo /nowhere; exit 0; }}\nfor file; do :; done\n{script}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    lean._command.cache_clear()


@pytest.fixture(autouse=True)
def forget_lean():
    yield
    lean._command.cache_clear()


def test_where_lean_is_not_installed_nothing_is_judged(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    lean._command.cache_clear()
    assert lean.lean(PROOF, ALONE) == Verdict(None, "Lean is not installed")


def test_lean_accepts_or_says_where_it_does_not(monkeypatch, tmp_path):
    stand_in(tmp_path, monkeypatch, 'grep -q rfl "$file" && exit 0; echo "$file:1:4: error: unsolved goals"; exit 1')
    assert lean.lean(PROOF, ALONE) == Verdict(True, "Lean accepts it")
    assert lean.lean(PROOF.replace("rfl", "by simp"), ALONE) == Verdict(False, "line 1: unsolved goals")


def test_a_proof_that_takes_too_much_is_not_judged(monkeypatch, tmp_path):
    stand_in(tmp_path, monkeypatch, 'echo "$file:1:0: error: (deterministic) timeout at whnf"; exit 1')
    assert lean.lean(PROOF, ALONE) == Verdict(None, "stopped: (deterministic) timeout")


def test_lean_is_stopped_in_time(monkeypatch, tmp_path):
    stand_in(tmp_path, monkeypatch, "sleep 60")
    assert "stopped" in lean.prove("theorem s : 1 = 1 := rfl", seconds=0.2).why


@pytest.mark.parametrize(
    "text, why",
    [
        ('#eval IO.FS.readFile "/etc/passwd"', "'#'"),
        ("import Lean\ntheorem s : 1 = 1 := rfl", "'Lean'"),
        ('-- "\n-- Lean\ntheorem s : 1 = 1 := rfl', "'Lean'"),
        ("-- /-\n#eval x\n-/", "'#'"),
        ("/- /- -/ -/ #eval x", "'#'"),
        ("import Evil\ntheorem s : 1 = 1 := rfl", "not of Mathlib"),
        ("initialize x : Nat ← pure 1", "'initialize'"),
        ("theorem s : 1 = 2 := by native_decide", "'native_decide'"),
        ("axiom a : 1 = 2", "'axiom'"),
        ('macro "x" : term => `(1)', "'macro'"),
    ],
)
def test_lean_code_that_could_run_programs_or_claim_anything_is_refused(text, why, monkeypatch, tmp_path):
    stand_in(tmp_path, monkeypatch, "exit 0")
    found = lean.prove(text)
    assert found.right is None and found.why.startswith("refused: ") and why in found.why


def test_comments_are_no_programs_and_no_gaps(monkeypatch, tmp_path):
    stand_in(tmp_path, monkeypatch, "exit 0")
    assert lean.prove("-- in Lean 4: #eval\n/- IO /- sorry -/ -/\ntheorem s : 1 = 1 := rfl").right is True


def test_a_gap_is_no_proof(monkeypatch, tmp_path):
    stand_in(tmp_path, monkeypatch, "exit 0")
    gap = "theorem s : 1 = 2 := by sorry"
    assert lean.prove(gap).right is False and lean.prove(gap, gaps=True).right is True
    assert lean.prove(gap + "\n" + gap.replace("s :", "t :"), gaps=True).right is False


# The final answer


def test_the_final_answer_is_compared_as_mathematics():
    installed("math_verify")
    last = Known(reference="1/2", last=True)
    assert math_answer(r"so \boxed{0.5}", last).right is True
    assert math_answer(r"so \boxed{2}", last).right is False
    assert math_answer(r"so \boxed{0.5}", Known(reference="1/2")).right is None
    assert math_answer("0.5", Known(last=True)).why == "no reference answer"


def test_a_package_that_is_not_there_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sympy", None)
    monkeypatch.setattr(symbolic, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"symbolic needs sympy[\s\S]*stepcredit\[label\]"):
        symbolic.symbolic("1 + 1 = 2", ALONE)
