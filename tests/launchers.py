"""The launcher in each of its kinds, built from the checkout as `make build` builds it (csrc/build_launcher.py)."""

from __future__ import annotations

import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LIBRARY = TOP / "build/lib"
PYTHON = "/usr/bin/python3"
KINDS = ("static", "shared", "script")


def build_launcher(kind: str, directory: Path, library: str = str(LIBRARY), python: str = PYTHON) -> Path:
    """`directory`/bin/pyrunc; the machine has to have what this kind needs (Makefile, BUILD_PACKAGES)."""
    out = directory / "bin/pyrunc"
    command = [python, "-I", TOP / "csrc/build_launcher.py", out, library, "--kind", kind, "--work", directory / "work"]
    result = subprocess.run(list(map(str, command)), cwd=TOP, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "no image" not in result.stderr
    return out
