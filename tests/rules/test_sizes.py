"""Files are one subject, functions can be seen whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.source import Module, functions, modules, parse

if TYPE_CHECKING:
    import ast

FILE_LINES = 400
FUNCTION_LINES = 60
# path or path:function -> why it may be longer
EXCEPTIONS = {
    "runtime/pyrunc/kernel/constants.py": "generated",
    "runtime/pyrunc/program/numbers.py": "generated",
    "runtime/pyrunc/security/syscall_tables.py": "generated",
}


def too_long(module: Module) -> list[str]:
    found = []
    lines = len(module.path.read_text().splitlines()) if module.path.exists() else 0
    if lines > FILE_LINES:
        found.append(module.shown)
    long = [function.name for function in functions(module.tree) if length(function) > FUNCTION_LINES]
    return found + [f"{module.shown}:{name}" for name in long]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end."""
    return (function.end_lineno or 0) - function.lineno + 1


def test_nothing_is_too_long() -> None:
    found = [name for module in modules() for name in too_long(module)]
    assert [name for name in found if name not in EXCEPTIONS] == []


def test_the_rule_sees_a_long_function() -> None:
    body = "    x = 1\n" * FUNCTION_LINES
    assert too_long(parse("pyrunc.x", f"def f():\n{body}")) == ["pyrunc.x.py:f"]
    assert too_long(parse("pyrunc.x", "def f():\n    x = 1\n")) == []
