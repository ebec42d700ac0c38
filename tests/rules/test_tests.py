"""A test without an assertion cannot fail for the right reason."""

from __future__ import annotations

import ast

from rules.source import TOP, functions

ASSERTING = ("assert", "check", "expect", "refuse", "must", "failed", "succeeded")


def asserts(function: ast.AST, local: dict[str, ast.AST], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a function asserts: itself, through pytest.raises, or through a function of the same file."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if any(keyword.arg == "check" and is_true(keyword.value) for keyword in node.keywords):
                return True  # subprocess.run(..., check=True)
            if name in ("raises", "warns", "fail", "ok", "wait_until") or name.lstrip("_").startswith(ASSERTING):
                return True
            if name in local and name not in seen and asserts(local[name], local, seen | {name}):
                return True
    return False


def is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def unasserted(text: str) -> list[str]:
    tree = ast.parse(text)
    local: dict[str, ast.AST] = {function.name: function for function in functions(tree)}
    return [name for name, function in local.items() if name.startswith("test_") and not asserts(function, local)]


def test_every_test_asserts() -> None:
    files = sorted((TOP / "tests").rglob("test_*.py")) + sorted((TOP / "conformance").rglob("test_*.py"))
    assert len(files) > 10
    found = {str(path.relative_to(TOP)): names for path in files if (names := unasserted(path.read_text()))}
    assert found == {}


def test_the_rule_sees_a_test_without_assertion() -> None:
    assert unasserted("def test_x():\n    f()\n") == ["test_x"]
    assert unasserted("def g():\n    assert f()\ndef test_x():\n    g()\n") == []
    assert unasserted("def test_x():\n    with pytest.raises(OSError):\n        f()\n") == []
