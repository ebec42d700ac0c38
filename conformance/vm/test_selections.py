"""What only another kernel or pid 1 shows: the selections, each in its guest (user-mode Linux; under a minute each)."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from vm.machine import NO_STATUS, TIMED_OUT, TOP, Machine, newc, run
from vm.selections import SELECTIONS, Outcome, Selection, read_junit, run_selection, script
from vm.table import outcomes

MARKER = "/etc/pyrunc-vm-was-here"


@pytest.mark.parametrize("name", [name for name, selection in SELECTIONS.items() if not selection.is_long])
def test_selection(name: str) -> None:
    outcome = run_selection(name, TOP / f"build/vm/{name}.xml")
    assert outcome.passed, str(outcome)


def test_status_output_and_files_come_back_and_nothing_else(tmp_path: Path) -> None:
    """The guest's root is this machine's; what it writes there is gone with it."""
    said = io.BytesIO()
    script = f"touch {MARKER}; cat /proc/self/cgroup; id -u; echo left >/run/vm-out/file; test -e {MARKER} && exit 7"
    assert (run(Machine(), script, tmp_path, said), said.getvalue()) == (7, b"0::/job\n0\n")
    assert (tmp_path / "file").read_text() == "left\n"
    assert not Path(MARKER).exists()


def test_a_guest_that_hangs_or_dies(tmp_path: Path) -> None:
    assert run(Machine(timeout_seconds=8), "sleep 100", tmp_path) == TIMED_OUT
    assert run(Machine(), "/bin/busybox poweroff -f; sleep 100", tmp_path) == NO_STATUS


def test_only_what_ran_and_passed_has_passed(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    case = '<testcase classname="c" name="n"><skipped message="why"/></testcase>'
    suite = f'<testsuite tests="2" failures="0" errors="0" skipped="1">{case}</testsuite>'
    junit.write_text(f"<testsuites>{suite}</testsuites>")
    counts, complaints = read_junit(junit)
    assert complaints == ("c.n: why",)
    assert not Outcome(0, counts, complaints).passed
    assert not Outcome(0, {}, ()).passed
    assert not Outcome(1, {"tests": 1}, ()).passed
    assert Outcome(0, {"tests": 1, "failures": 0, "errors": 0, "skipped": 0}, ()).passed


def test_side_by_side(tmp_path: Path) -> None:
    """What fails in its teardown has not passed, though it is an entry of its own."""
    junit = tmp_path / "junit.xml"
    case = '<testcase classname="cli.test_x" name="{}">{}</testcase>'
    cases = [("a", ""), ("b", ""), ("b", "<error message='left'/>"), ("c", "<failure message='no'/>")]
    junit.write_text(f"<testsuites><testsuite>{''.join(case.format(*one) for one in cases)}</testsuite></testsuites>")
    assert outcomes(junit) == {("test_x", "a"): True, ("test_x", "b"): False, ("test_x", "c"): False}


def test_another_runtime_is_told_to_the_tests() -> None:
    selection = Selection(("tests/x.py",))
    assert "RUNTIME=/usr/sbin/runc" in script(selection, "/usr/sbin/runc")
    assert "RUNTIME" not in script(selection)


def test_archive() -> None:
    """Two entries and the trailer, as cpio(1) reads them."""
    archive = newc({"bin": None, "bin/x": b"abcde"})
    assert archive.startswith(b"070701" + b"%08X" % 1 + b"000041ED")
    assert len(archive) % 4 == 0
    assert archive.count(b"070701") == 3
    assert b"TRAILER!!!\0" in archive
