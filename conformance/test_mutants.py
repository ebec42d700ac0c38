"""Runtimes that break duties on purpose (mutants/), and the tests that have to notice.

A test of a duty that no runtime can fail proves nothing.  mutants.toml: mutant -> the duties it breaks and the tests
that must fail.  The mutant that breaks nothing passes them all, so it is the breaking that they see.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from duties import departures
from musts import HERE, read_duties
from mutants.of_commands import COMMANDS
from mutants.of_config import EDITS
from mutants.of_output import FEATURES, STATES

if TYPE_CHECKING:
    from pathlib import Path

    Jobs = list[tuple[str, list[str]]]
    Outcomes = dict[str, dict[str, str]]

TOP = HERE.parent
REAL = TOP / "build/pyrunc"
AT_ONCE = 2
PROVED_AT_LEAST = 200
# Plugins that the duties do not need take half of pytest's start-up.
ENVIRONMENT = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def read_mutants() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]}


MUTANTS = read_mutants()


def commands_of(name: str) -> str:
    """Which commands a mutant touches, as a pattern of the shell; the others are the real runtime's at once."""
    if name in COMMANDS:
        return "|".join(COMMANDS[name].commands)
    return "create" if name in EDITS or name == "nothing" else "state" if name in STATES else "features"


def executable(directory: Path, name: str) -> str:
    path = directory / name
    mutant = f"{sys.executable} -S -E {HERE / 'mutants/mutant.py'} {name}"
    path.write_text(f"""#!/bin/sh
for word in "$@"; do
    case $word in {commands_of(name)}) exec {mutant} {REAL} "$@" ;; esac
done
exec {REAL} "$@"
""")
    path.chmod(0o755)
    return str(path)


def outcomes(directory: Path, jobs: Jobs, **environment: str) -> Outcomes:
    """How these tests end with these mutants of pyrunc."""
    work = json.dumps([(name, executable(directory, name), tests) for name, tests in jobs])
    command = [sys.executable, str(HERE / "mutants/worker.py")]
    ended = subprocess.run(
        command, cwd=TOP, env=ENVIRONMENT | environment, input=work, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: Outcomes = json.loads(ended.stdout)
    return found


def all_outcomes(directory: Path, jobs: Jobs) -> Outcomes:
    """Two at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = pool.map(lambda part: outcomes(directory, part), [jobs[part::AT_ONCE] for part in range(AT_ONCE)])
        return {name: found for part in parts for name, found in part.items()}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    directory = tmp_path_factory.mktemp("mutants")
    return all_outcomes(directory, [(name, row["tests"]) for name, row in MUTANTS.items()])


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_noticed(found: Outcomes, name: str) -> None:
    assert found[name] == dict.fromkeys(MUTANTS[name]["tests"], "fail")


def test_who_breaks_nothing_passes(tmp_path: Path) -> None:
    tests = {test for row in MUTANTS.values() for test in row["tests"]} - set(departures.REASONS)
    (found,) = outcomes(tmp_path, [("nothing", sorted(tests))], DUTIES_FIRST_PARAMETER="1").values()
    assert [test for test, outcome in found.items() if outcome != "pass"] == []


def test_mutants_break_what_they_say() -> None:
    """A mutant's duty is one that a test of the mutant stands for."""
    duties = {duty.id: duty for duty in read_duties()}
    for name, row in MUTANTS.items():
        assert row["duties"], name
        for number in row["duties"]:
            assert set(duties[number].tests) & set(row["tests"]), (name, number)


def test_enough_duties_are_proved() -> None:
    assert len({number for row in MUTANTS.values() for number in row["duties"]}) >= PROVED_AT_LEAST


def test_every_mutant_is_listed() -> None:
    assert {*COMMANDS, *EDITS, *STATES, *FEATURES} == set(MUTANTS)
