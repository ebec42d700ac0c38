"""The report: verdicts, TAP, and the committed page."""

from __future__ import annotations

import pytest
import report
from duties import departures
from musts import Duty, read_cases, read_duties

DUTY = Duty(7, "MUST", "runtime.md#state", "text", since="1.3", tests=("a", "b"))


def run(tests: dict[str, list[str]], spec: str = "1.2.0") -> report.Run:
    return report.Run("name", "1.0", spec, tests)


@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        (["pass"], ["pass"], "pass"),
        (["pass"], ["fail", "hangs"], "fail"),
        (["absent"], ["fail", "hangs"], "fail"),
        (["absent"], ["pass"], "absent"),
        (["pass"], None, "not run"),
    ],
)
def test_a_duty_is_as_good_as_its_worst_test(a: list[str], b: list[str] | None, outcome: str) -> None:
    assert run({"a": a} | ({"b": b} if b else {})).outcome(DUTY) == outcome


def test_how_it_failed() -> None:
    ran = run({"a": ["fail", "hangs"], "b": ["fail", "accepts it", "hangs"]})
    assert ran.how(DUTY) == "accepts it, hangs"
    assert report.cell(ran, DUTY) == "**accepts it, hangs** (since 1.3)"
    assert report.cell(run(ran.tests, "1.3.0"), DUTY) == "**accepts it, hangs**"


def test_tap() -> None:
    duties, cases = read_duties(), read_cases()
    tests = {test: ["pass"] for duty in duties for test in duty.tests} | {case.test: ["pass"] for case in cases}
    lines = report.as_tap(run(tests)).splitlines()
    assert lines[:2] == ["TAP version 13", f"1..{len(duties) + len(cases)}"]
    assert lines[2].startswith("ok 1 - bundle.md/container-format MUST: ")
    assert not [line for line in lines if line.startswith("not ok")]
    tests[duties[0].tests[0]] = ["fail", "hangs"]
    assert "not ok 1" in report.as_tap(run(tests))
    assert '  how: "hangs"' in report.as_tap(run(tests)).splitlines()


def test_the_page_is_that_of_the_results() -> None:
    """`make duties-page` writes both."""
    assert report.PAGE.read_text() == report.page(report.kept())


def test_the_results_are_of_these_tests() -> None:
    named = {test for duty in read_duties() for test in duty.tests} | {case.test for case in read_cases()}
    for ran in report.kept():
        assert set(ran.tests) == named, ran.name


def test_pyrunc_fails_what_it_says() -> None:
    (pyrunc,) = [ran for ran in report.kept() if ran.name == "pyrunc"]
    assert {test for test, row in pyrunc.tests.items() if row[0] == "fail"} == set(departures.REASONS)
    assert {test for test, row in pyrunc.tests.items() if row[0] == "absent"} == set()
