"""The sources as the rules see them: names, syntax trees, imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[2]
ROOTS = {"pyrunc": TOP / "runtime", "ocispec": TOP / "spec"}


@dataclass(frozen=True)
class Import:
    """One imported module, as written: `from a.b import c` gives a.b.c when that is a module, else a.b."""

    module: str
    line: int
    typing_only: bool
    in_function: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def shown(self) -> str:
        return str(self.path.relative_to(TOP)) if self.path.is_relative_to(TOP) else str(self.path)

    @property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree, typing_only=False, in_function=False))


def parse(name: str, text: str) -> Module:
    """A module that exists only here: for the tests of the rules themselves."""
    return Module(name, Path(f"{name}.py"), ast.parse(text))


@cache
def modules() -> tuple[Module, ...]:
    """Every module of pyrunc and ocispec."""
    found = []
    for package, root in ROOTS.items():
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found.append(Module(name.removesuffix(".__init__"), path, ast.parse(path.read_text())))
    return tuple(found)


def module_exists(name: str) -> bool:
    package = name.partition(".")[0]
    if package not in ROOTS:
        return False
    path = ROOTS[package].joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _imports(node: ast.AST, *, typing_only: bool, in_function: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, typing_only, in_function)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                name = whole if module_exists(whole) else str(child.module)
                yield Import(name, child.lineno, typing_only, in_function)
        elif isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            for part in child.body:
                yield from _imports(ast.Module([part], []), typing_only=True, in_function=in_function)
            for part in child.orelse:
                yield from _imports(ast.Module([part], []), typing_only=typing_only, in_function=in_function)
        else:
            inside = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from _imports(child, typing_only=typing_only, in_function=inside)
