"""Every program of OCI runtime-tools that must pass, as a test each.  RUNTIME chooses another runtime."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import suite

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / "build" / "runtime-tools"
EXPECTATIONS = suite.read_expectations()
TRIES_OF_A_RACE = 6  # crun passes four of five
RUNTIME = os.environ.get("RUNTIME", str(HERE.parent / "build" / "pyrunc"))


@pytest.fixture(scope="session")
def tree() -> Path:
    """The suite's build; takes half a minute when there is none yet."""
    command = [str(HERE / "build-runtime-tools.sh"), str(WORK)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return WORK / "tree"


def run(tree: Path, program: str) -> suite.Outcome:
    """The last of several tries of one that races, the only one of any other."""
    expected = EXPECTATIONS[program]
    for _try in range(TRIES_OF_A_RACE if expected.reason.startswith("races") else 1):
        outcome = suite.run(tree, program, RUNTIME)
        if suite.verdict_of(expected, outcome) == "pass":
            break
    return outcome


@pytest.mark.parametrize("program", [row.program for row in EXPECTATIONS.values() if row.kind == suite.MUST])
def test_program(tree: Path, program: str) -> None:
    outcome = run(tree, program)
    assert (outcome.verdict(), outcome.complaints) == ("pass", [])


@pytest.mark.parametrize("program", [row.program for row in EXPECTATIONS.values() if row.kind == suite.CLEAN])
def test_program_that_asserts_nothing(tree: Path, program: str) -> None:
    outcome = run(tree, program)
    assert (outcome.verdict_by_what_it_prints(), outcome.asserted) == ("pass", EXPECTATIONS[program].asserted)


def test_every_program_has_an_expectation(tree: Path) -> None:
    assert sorted(path.stem for path in tree.glob("validation/*/*.t")) == sorted(EXPECTATIONS)


def test_a_runtime_that_does_nothing_passes_nothing(tree: Path) -> None:
    broken, line = suite.judge(EXPECTATIONS["create"], suite.run(tree, "create", "/bin/true"))
    assert broken, line


def test_an_error_in_the_yaml_counts() -> None:
    assert suite.Outcome(0, '  "error": "what happened",\n1..0\n').verdict_by_what_it_prints() == "error: what happened"
    assert suite.Outcome(1, "1..0\n").verdict_by_what_it_prints() == "exit code 1"
    assert suite.Outcome(0, "1..0\n").verdict_by_what_it_prints() == "pass"


@pytest.mark.parametrize(
    ("exit_code", "output", "verdict"),
    [
        (0, "TAP version 13\nok 1 - a\nok 2 # SKIP b\n1..2\n", "pass"),
        (0, "1..1\nnot ok 1 - a\n", "1 not ok"),
        (1, "1..1\nok 1 - a\n", "exit code 1"),
        (None, "ok 1 - a\n", "no end after 120 s"),
        (0, "1..3\nok 1 - a\n", "planned [3], made 1"),
        (0, '  "error": "what happened",\n', "asserts nothing: what happened"),
    ],
)
def test_verdict(exit_code: int | None, output: str, verdict: str) -> None:
    assert suite.Outcome(exit_code, output).verdict() == verdict
