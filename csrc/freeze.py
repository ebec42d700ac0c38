"""Write pyrunc's modules as C: the launcher's table of frozen modules (struct _frozen, cpython/import.h).

usage: freeze.py OUT DIRECTORY|FILE...     run by the interpreter that the launcher embeds: the code is its own

Of CPython's table only the two parts of importlib are taken over: the rest of it is the standard library, which the
hot path does not import, as static objects, whose addresses the dynamic linker would have to fill in at every start
(0.6 MB; 0.4 ms).  Docstrings and asserts go (optimize=2).
"""

from __future__ import annotations

import ast
import importlib
import marshal
import sys
from pathlib import Path
from typing import NamedTuple

OPTIMIZE = 2
BOOTSTRAP = {"_frozen_importlib": "_bootstrap.py", "_frozen_importlib_external": "_bootstrap_external.py"}

HEAD = '#include <Python.h>\n#include "frozen.h"\n'


class Frozen(NamedTuple):
    name: str
    code: bytes
    is_package: bool


class WithoutAnnotations(ast.NodeTransformer):
    """Those of functions, which nobody reads at run time; a class's are the fields of a Record (ocispec/record.py)."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


def freeze(name: str, path: Path, shown: str, *, is_package: bool = False) -> Frozen:
    tree = WithoutAnnotations().visit(ast.parse(path.read_bytes(), shown))
    code = compile(tree, shown, "exec", dont_inherit=True, optimize=OPTIMIZE)
    return Frozen(name, marshal.dumps(code), is_package)


def bootstrap() -> list[Frozen]:
    directory = Path(importlib.__file__ or "").parent
    return [freeze(name, directory / file, f"<frozen {name}>") for name, file in BOOTSTRAP.items()]


def modules_below(top: Path) -> list[Frozen]:
    """Every module of the packages in a directory, or the one module that a file is: NAME=FILE names it anew."""
    found = []
    for path in sorted(top.rglob("*.py")):
        shown = path.relative_to(top)
        parts = list(shown.with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(freeze(name, path, str(shown), is_package=is_package))
    return found


def named_module(argument: str) -> Frozen:
    name, _, path = argument.partition("=")
    return freeze(name, Path(path), f"{name}.py")


def table(name: str, modules: list[Frozen]) -> str:
    arrays = [f"static const unsigned char {name}_{i}[] = {{{list_of(m.code)}}};" for i, m in enumerate(modules)]
    rows = [
        f'\t{{.name = "{m.name}", .code = {name}_{i}, .size = {len(m.code)}, .is_package = {int(m.is_package)}}},'
        for i, m in enumerate(modules)
    ]
    return "\n".join([*arrays, f"const struct _frozen {name}[] = {{", *rows, "\t{0},", "};", ""])


def list_of(content: bytes) -> str:
    return ",".join(map(str, content))


def main() -> None:
    out, *sources = sys.argv[1:]
    modules: list[Frozen] = []
    for source in sources:
        modules += [named_module(source)] if "=" in source else modules_below(Path(source))
    text = HEAD + table("frozen_bootstrap", bootstrap()) + table("frozen_modules", modules)
    Path(out).write_text(text)


if __name__ == "__main__":
    main()
