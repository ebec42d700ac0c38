"""docs/spec.txt names every property of the schema, files that speak of it, and tests that are there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rules.source import TOP
from unit.ocispec.flatten import Schemas

if TYPE_CHECKING:
    from typing import Any

SCHEMAS = TOP / "spec/ocispec/schemas"
ROWS: list[Any] = []


def load() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("spec_table", TOP / "docs/spec.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["spec_table"] = module
    spec.loader.exec_module(module)
    return module


TABLE = load()
ROWS = TABLE.rows()
NAMES = [name for row in ROWS for name in row.properties]


def properties() -> set[str]:
    """The leaves of the schema, without indexes: `mounts.options`, `linux.sysctl`."""
    paths = [re.sub(r"/(\[\]|\{\})", "", path) for path in Schemas(SCHEMAS).flatten("config.schema.json")]
    names = {path.removeprefix("/").replace("/", ".") for path in paths} - {""}
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def unnamed(known: set[str], names: list[str]) -> list[str]:
    stars = tuple(name.removesuffix("*") for name in names if name.endswith("*"))
    return sorted(name for name in known if name not in names and not name.startswith(stars))


def test_every_property_has_a_row() -> None:
    assert unnamed(properties(), NAMES) == []


def test_every_row_is_of_a_property() -> None:
    known = properties()
    strange = [
        n for n in NAMES if n not in known and not (n.endswith(".*") and any(k.startswith(n[:-1]) for k in known))
    ]
    assert strange == []
    assert sorted(name for name in set(NAMES) if NAMES.count(name) > 1) == []


def test_the_rule_sees_a_property_without_a_row() -> None:
    assert unnamed(properties(), [name for name in NAMES if name != "process.cwd"]) == ["process.cwd"]
    assert len(properties()) > 130


def snake(name: str) -> str:
    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return {"exec_cpuaffinity": "exec_cpu_affinity", "hca_handles": "hca_handles", "block_io": "block_io"}.get(
        word, word
    )


@pytest.mark.parametrize("row", ROWS, ids=[row.properties[0] for row in ROWS])
def test_the_file_speaks_of_the_property(row: Any) -> None:
    """Of its own name or, for a key of an object or of a list, of that one's."""
    text = (TOP / row.file).read_text()
    for name in row.properties:
        parts = [part for part in name.split(".") if part not in ("*", "linux", "process", "resources")]
        assert any(snake(part) in text or part in text for part in parts), name


@pytest.mark.parametrize("test", sorted({test for row in ROWS for test in row.tests}))
def test_the_test_is_there(test: str) -> None:
    path, _, function = test.partition("::")
    tree = ast.parse((TOP / "tests" / path).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_is_what_the_table_says() -> None:
    result = subprocess.run(
        [sys.executable, TOP / "docs/spec.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
