"""Runs duties against one mutant after the other, without starting pytest anew for each.

stdin: JSON [[mutant's name, path of its executable, [tests]], ...]; stdout: JSON {name: {test: outcome}}.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

DUTIES = Path(__file__).resolve().parent.parent / "duties"


def forget() -> None:
    """The modules of the last run: they took the runtime's path from the environment."""
    for name, module in list(sys.modules.items()):
        if str(DUTIES) in str(getattr(module, "__file__", None)):
            del sys.modules[name]


def run(runtime: str, tests: list[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        os.chmod(scratch, 0o755)
        results = Path(scratch) / "results"
        os.environ |= {"RUNTIME": runtime, "DUTIES_RESULTS": str(results), "DUTIES_FIRST_FAILURE": "1"}
        options = ["-q", "--tb=line", "-p", "no:cacheprovider", "--basetemp", f"{scratch}/tests"]
        forget()
        with contextlib.redirect_stdout(sys.stderr):
            status = pytest.main([*options, *(str(DUTIES / test) for test in tests)])
        if status not in (0, 1):
            raise SystemExit(f"{runtime}: pytest ended with {status}")
        return {test: row[0] for test, row in json.loads(results.read_text()).items()}


def main() -> int:
    json.dump({name: run(runtime, tests) for name, runtime, tests in json.load(sys.stdin)}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
