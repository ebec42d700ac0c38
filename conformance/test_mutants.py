"""Runtimes that break duties on purpose (mutants/), and the tests that have to notice.

A test of a duty that no runtime can fail proves nothing.  mutants.toml: mutant -> the duties it breaks and the tests
that must fail.  The mutant that breaks nothing passes them all, so it is the breaking that they see.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from duties import departures
from musts import HERE, read_duties

TOP = HERE.parent
MUTANT = HERE / "mutants/mutant.py"
REAL = TOP / "build/pyrunc"
AT_ONCE = 2
PROVED_AT_LEAST = 40
# Plugins that these tests do not need take half of the start-up.
ENVIRONMENT = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def read_mutants() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]}


MUTANTS = read_mutants()


def outcomes(name: str, tests: list[str]) -> dict[str, str]:
    """How these tests end with this mutant of pyrunc."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        os.chmod(scratch, 0o755)
        runtime, results = Path(scratch) / "mutant", Path(scratch) / "results"
        runtime.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {MUTANT} {name} {REAL} "$@"\n')
        runtime.chmod(0o755)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", f"{scratch}/tests"]
        ended = subprocess.run(
            [*command, *(str(HERE / "duties" / test) for test in tests)],
            cwd=TOP, env=ENVIRONMENT | {"RUNTIME": str(runtime), "DUTIES_RESULTS": str(results)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode in (0, 1), ended.stdout[-2000:] + ended.stderr[-2000:]
        return {test: row[0] for test, row in json.loads(results.read_text()).items()}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, str]]:
    """All mutants, two at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = list(MUTANTS)
        return dict(zip(names, pool.map(lambda name: outcomes(name, MUTANTS[name]["tests"]), names), strict=True))


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_noticed(found: dict[str, dict[str, str]], name: str) -> None:
    assert found[name] == dict.fromkeys(MUTANTS[name]["tests"], "fail")


def test_who_breaks_nothing_passes() -> None:
    tests = {test for row in MUTANTS.values() for test in row["tests"]} - set(departures.REASONS)
    assert [test for test, outcome in outcomes("nothing", sorted(tests)).items() if outcome != "pass"] == []


def test_mutants_break_what_they_say() -> None:
    """A mutant's duty is one that a test of the mutant stands for."""
    duties = {duty.id: duty for duty in read_duties()}
    for name, row in MUTANTS.items():
        assert row["duties"], name
        for number in row["duties"]:
            assert set(duties[number].tests) & set(row["tests"]), (name, number)


def test_enough_duties_are_proved() -> None:
    proved = Counter(number for row in MUTANTS.values() for number in row["duties"])
    assert len(proved) >= PROVED_AT_LEAST


def test_every_mutant_is_listed() -> None:
    known = subprocess.run(
        [sys.executable, "-S", "-E", "-c", "import mutant; print(*mutant.known())"],
        cwd=MUTANT.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(known.stdout.split()) - {"nothing"} == set(MUTANTS)
