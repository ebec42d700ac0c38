"""The list of duties is whole, and says what the tests are."""

from __future__ import annotations

import ast
from collections import Counter

from duties import departures
from musts import HERE, LEVELS, read_cases, read_duties

DOCUMENTS = ("bundle.md", "runtime.md", "runtime-linux.md", "config.md", "config-linux.md", "features.md",
             "features-linux.md")  # fmt: skip
VERSIONS = ("1.0", "1.1", "1.2", "1.3")


def existing() -> set[str]:
    """`test_x.py::test_y` of every test in duties."""
    return {
        f"{path.name}::{node.name}"
        for path in (HERE / "duties").glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def named() -> set[str]:
    return {test for duty in read_duties() for test in duty.tests} | {case.test for case in read_cases()}


def test_there_are_288_duties() -> None:
    duties = read_duties()
    assert [duty.id for duty in duties] == list(range(1, 289))
    assert Counter(duty.is_must for duty in duties) == {True: 259, False: 29}


def test_every_duty_says_where_it_stands() -> None:
    for duty in read_duties():
        assert duty.level in LEVELS, duty
        assert duty.anchor.partition("#")[0] in DOCUMENTS, duty
        assert duty.since in VERSIONS, duty
        assert len(duty.text) > len("ro/rw") - 1, duty


def test_every_duty_has_a_test_or_a_reason() -> None:
    for duty in read_duties():
        assert bool(duty.tests) != bool(duty.untestable.strip()), duty
        assert not duty.untestable or len(duty.untestable.split()) >= 5, duty


def test_every_test_that_is_named_exists() -> None:
    assert named() - existing() == set()


def test_every_test_is_named() -> None:
    assert existing() - named() == set()


def test_every_case_says_what_and_whence() -> None:
    assert [case for case in read_cases() if not case.text or not case.source] == []


def test_departures_are_of_tests_that_exist() -> None:
    assert set(departures.REASONS) - existing() == set()
    assert all(departures.REASONS.values())
