"""What a piece of code does, as a list of tokens: control, verbs and words of shell and of Python.

Tokens: "K:" a control structure, "V:" what is run or called, "W:" a literal.
"""

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from stepcredit.evidence._answers import between
from stepcredit.plugins import extra

LONGEST_WORD = 96
_LITERALS = frozenset({"word", "string_content", "variable_name", "number"})
_STRUCTURES = frozenset(
    {
        "pipeline",
        "subshell",
        "compound_statement",
        "list",
        "function_definition",
        "do_group",
        "negated_command",
        "case_item",
        "elif_clause",
        "else_clause",
    }
)
_NOTHING = frozenset({"", ":", "true", "false"})
_CONTROL = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.With,
    ast.AsyncWith,
    ast.Match,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Return,
    ast.Raise,
    ast.Assert,
    ast.Lambda,
    ast.IfExp,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
_CODE, _CODE_END = re.compile("<code>", re.IGNORECASE), re.compile("</code>", re.IGNORECASE)
_FENCE = re.compile(r"(`{3,}|~{3,})[^`]*")
CODE_ARGUMENTS = ("command", "cmd", "code", "script", "input", "source")


class _Shell(NamedTuple):
    grammar: Any
    parser: Any
    control: frozenset[str]


def code_in(text: str) -> str:
    """The code in a message: what the first <code> holds, else all fenced blocks, else the whole text.

    >>> code_in("List them.\\n```bash\\nls -l\\n```")
    'ls -l'
    """
    for start, end in between(text, _CODE, _CODE_END):
        return text[start:end].strip()
    blocks = _fenced(text.split("\n"))
    return "\n".join(blocks) if blocks else text.strip()


def _fenced(lines: Sequence[str]) -> list[str]:
    """What closed fences hold."""
    last: dict[str, int] = {line.rstrip(" \t"): i for i, line in enumerate(lines)}
    blocks: list[str] = []
    begin, fence = -1, ""
    for i, line in enumerate(lines):
        if begin >= 0:
            if line.rstrip(" \t") == fence:
                blocks.append("\n".join(lines[begin + 1 : i]).strip("\n"))
                begin = -1
        elif (found := _FENCE.fullmatch(line)) and last.get(found[1], -1) > i:
            begin, fence = i, found[1]
    return blocks


def shell_signature(command: str, *, single_quoted: bool = False) -> list[str]:
    """Tokens of a shell command, from its syntax tree, in its order.

    A command gives its verb (lower case; true, false and : are ":noop"), then the words of it that are no other
    command's: quotes stripped, lower case, at most 96 characters, none inside $(( )).

    Args:
        single_quoted: words in single quotes count. They do not in the official code of A3, where `sed 's/a/b/' f` and
            `sed 's/x/y/' f` are one action.

    Raises:
        MissingExtra: tree-sitter or its grammar is not installed.
    """
    shell, source = _shell(), command.encode("utf-8", "replace")
    kinds = _LITERALS | {"raw_string"} if single_quoted else _LITERALS
    out: list[str] = []
    for node in _walk(shell.parser(shell.grammar).parse(source).root_node):
        if node.type in shell.control:
            out.append(f"K:{node.type}")
        if node.type == "command":
            verb = _verb(node)
            out.append(f"V:{_canonical(_surface(verb, source)) if verb is not None else '?'}")
            out += [f"W:{_surface(word, source)}" for word in _words(node, kinds)]
    return out


def python_signature(code: str) -> list[str] | None:
    """Tokens of Python code, from its syntax tree, in the order of the text; None if it does not parse.

    Control structures, what is called or imported (as it is written, without arguments), constants and names of
    keywords. Names of variables do not count.

    >>> python_signature("for i in range(3):\\n    df.head(n=i)")
    ['K:For', 'V:range', 'W:3', 'V:df.head', 'W:n=']
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in somebody's strings
        try:
            return list(_python(ast.parse(code)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _python(tree: ast.AST) -> Iterator[str]:
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, _CONTROL):
            yield f"K:{type(node).__name__}"
        elif isinstance(node, ast.Call):
            yield f"V:{_word(ast.unparse(node.func)) if not _holds_call(node.func) else _last_name(node.func)}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            start = getattr(node, "module", None)
            yield from (f"V:import {start + '.' if start else ''}{a.name}" for a in node.names)
        elif isinstance(node, ast.keyword) and node.arg:
            yield f"W:{node.arg}="
        elif isinstance(node, ast.Constant) and node.value is not None:
            yield f"W:{_word(str(node.value))}"
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _holds_call(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def _last_name(node: ast.AST) -> str:
    return f".{node.attr}" if isinstance(node, ast.Attribute) else "()"


def _word(text: str) -> str:
    return " ".join(text.split())[:LONGEST_WORD]


@cache
def _shell() -> _Shell:
    tree_sitter = extra("tree_sitter", 'how="shell"', name="evidence")
    bash = extra("tree_sitter_bash", 'how="shell"', name="evidence")
    grammar = tree_sitter.Language(bash.language())
    kinds = {grammar.node_kind_for_id(i) for i in range(grammar.node_kind_count) if grammar.node_kind_is_named(i)}
    statements = {kind for kind in kinds if kind and kind.endswith("_statement")}
    return _Shell(grammar, tree_sitter.Parser, frozenset(statements | (_STRUCTURES & kinds)))


def _walk(root: Any) -> Iterator[Any]:
    """Nodes before their children, in order; no recursion, a script may nest deeply."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.named_children))


def _verb(command: Any) -> Any:
    for child in command.named_children:
        if child.type == "command_name" and child.named_child_count > 0:
            first = child.named_children[0]
            if first.type in ("word", "string_content"):
                return first
    return None


def _words(command: Any, kinds: frozenset[str]) -> Iterator[Any]:
    """Literals of a command but for its name, of commands inside it, and of arithmetic."""
    names = (
        c.named_children[0] for c in command.named_children if c.type == "command_name" and c.named_child_count > 0
    )
    name = next((n for n in names if n.type in _LITERALS), None)
    stack = list(reversed(command.named_children))
    while stack:
        node = stack.pop()
        if node.type in ("command", "arithmetic_expansion"):
            continue
        if node.type not in kinds:
            stack.extend(reversed(node.named_children))
        elif name is None or (node.start_byte, node.end_byte) != (name.start_byte, name.end_byte):
            yield node


def _surface(node: Any, source: bytes) -> str:
    text = source[node.start_byte : node.end_byte].decode("utf-8", "replace")
    return text.strip().strip("'\"").lower()[:LONGEST_WORD]


def _canonical(verb: str) -> str:
    verb = verb.strip()
    return ":noop" if verb in _NOTHING else verb
