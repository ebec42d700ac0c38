"""A test without an assertion cannot fail for the right reason; and tests/unit, run after every change, stays quick."""

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


# Small ones with a fixed seed: some hundredths of a second together.
MAY_DRAW = {"tests/unit/csrc/test_image.py": "random", "tests/unit/security/test_bpf.py": "random"}


def drawn_from(text: str) -> list[str]:
    """What a file imports that makes cases at random."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return sorted(names & {"hypothesis", "random"})


def test_random_cases_are_in_tests_properties() -> None:
    """A third of the time of tests/unit went into 11 such tests."""
    files = sorted((TOP / "tests/unit").rglob("*.py"))
    assert len(files) > 60
    found = {str(path.relative_to(TOP)): drawn for path in files if (drawn := drawn_from(path.read_text()))}
    assert found == {path: [name] for path, name in MAY_DRAW.items()}


def test_the_rule_sees_what_draws() -> None:
    assert drawn_from("from hypothesis import given\n") == ["hypothesis"]
    assert drawn_from("def f():\n    import random, hypothesis.strategies\n") == ["hypothesis", "random"]
    assert drawn_from("import randomness\n") == []
