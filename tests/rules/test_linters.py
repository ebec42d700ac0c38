"""Formatting, lints and types, with the settings of pyproject.toml and .clang-format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rules.source import TOP

SCRIPTS = Path(sys.executable).parent
PYTHON_SOURCES = ["runtime", "spec", "csrc", "tests", "conformance", "setup.py"]
C_SOURCES = sorted(str(path.relative_to(TOP)) for path in (TOP / "csrc").glob("*.[ch]"))
LINTERS = {
    "ruff format": [str(SCRIPTS / "ruff"), "format", "--check", "--quiet", *PYTHON_SOURCES],
    "ruff check": [str(SCRIPTS / "ruff"), "check", "--quiet", *PYTHON_SOURCES],
    "mypy": [str(SCRIPTS / "mypy"), "--no-error-summary"],
    "clang-format": ["clang-format", "--dry-run", "-Werror", *C_SOURCES],
}


def complaints(command: list[str], text: str | None = None) -> tuple[int, str]:
    result = subprocess.run(command, cwd=TOP, input=text, capture_output=True, text=True, check=False)
    return result.returncode, (result.stdout + result.stderr)[:4000]


@pytest.mark.parametrize("linter", LINTERS)
def test_linter(linter: str) -> None:
    assert complaints(LINTERS[linter]) == (0, "")


@pytest.mark.parametrize(
    ("command", "bad"),
    [
        ([str(SCRIPTS / "ruff"), "format", "--check", "-"], "x=1\n"),
        ([str(SCRIPTS / "ruff"), "check", "--quiet", "-"], "import os\n"),
        ([str(SCRIPTS / "mypy"), "-c", "x: int = ''"], None),
        (["clang-format", "--dry-run", "-Werror"], "int  f( ){return 1;}\n"),
    ],
    ids=list(LINTERS),
)
def test_linter_can_fail(command: list[str], bad: str | None) -> None:
    code, _ = complaints(command, bad)
    assert code != 0
