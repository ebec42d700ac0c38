"""The simulator runs what csrc/stage.c would run (tests/kernel/test_stage_agrees.py compares the two)."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOENT, EPERM

import pytest

from pyrunc.program.builder import Program
from pyrunc.program.simulator import CHILD, FIRST_DESCRIPTOR, Memory, simulate

AT_FDCWD = -100


def test_arguments_are_traced_as_they_were_meant() -> None:
    p = Program()
    p.call("openat", AT_FDCWD, "/proc", 0x200000, doing="open")
    p.call("pwrite64", 5, p.constant(b"\x01\x02"), 2, 0, doing="write")
    run = simulate(p)
    assert run.calls("openat") == [(AT_FDCWD, "/proc", 0x200000)]
    assert run.calls("pwrite64") == [(5, b"\x01\x02", 2, 0)]
    assert run.ended == "end"


def test_results_travel_through_registers() -> None:
    p = Program()
    first = p.result("openat", AT_FDCWD, "/a", 0)
    second = p.result("openat", first, "b", 0)
    p.call("fchdir", second)
    run = simulate(p)
    assert run.calls("openat")[1] == (FIRST_DESCRIPTOR, "b", 0)
    assert run.calls("fchdir") == [(FIRST_DESCRIPTOR + 1,)]


def test_a_failure_ends_the_run_and_names_the_operation() -> None:
    p = Program()
    p.call("setsid")
    p.call("mkdirat", 3, "x", 0o755)
    p.call("never")
    run = simulate(p, {"mkdirat": -EPERM})
    assert run.failure == (1, EPERM)
    assert run.ended == "failed"
    assert run.names() == ["setsid", "mkdirat"]


def test_tolerated_errnos_go_on_or_to_the_target_and_leave_the_register() -> None:
    p = Program()
    end = p.target()
    descriptor = p.register()
    p.set(descriptor, 7)
    p.call("mkdirat", 3, "x", 0o755, tolerate=(EEXIST,))
    p.call("openat", 3, "x", 0, into=descriptor, tolerate=(ENOENT,), otherwise=end)
    p.call("skipped")
    p.here(end)
    p.call("close", descriptor)
    run = simulate(p, {"mkdirat": -EEXIST, "openat": -ENOENT})
    assert run.names() == ["mkdirat", "openat", "close"]
    assert run.calls("close") == [(7,)]


def test_a_list_scripts_one_call_after_the_other() -> None:
    p = Program()
    end = p.target()
    p.call("openat2", 3, "a", tolerate=(ENOENT,))
    p.call("openat2", 3, "b", tolerate=(ENOENT,), otherwise=end)
    p.call("openat2", 3, "c")
    p.here(end)
    assert len(simulate(p, {"openat2": [-ENOENT, 5]}).calls("openat2")) == 3
    assert len(simulate(p, {"openat2": [3, -ENOENT]}).calls("openat2")) == 2


def test_a_handler_writes_memory_that_a_check_reads() -> None:
    def pretended_statx(_fd: int, _path: str, _flags: int, _mask: int, status: Memory) -> int:
        status.write((0o020666).to_bytes(2, "little"), 28)
        return 0

    p = Program()
    status = p.scratch(256)
    p.call("statx", 3, "", 0, 0xFFF, status)
    p.check(status.field(28, 2), 0o020000, mask=0o170000, doing="check", errno=EINVAL)
    assert simulate(p, {"statx": pretended_statx}).ended == "end"
    assert simulate(p).failure == (1, EINVAL)


@pytest.mark.parametrize(("differs", "ended"), [(False, "end"), (True, "failed")])
def test_checks_compare_pointers_masked(differs: bool, ended: str) -> None:
    p = Program()
    one, other = p.constant(b"\x12\x34"), p.constant(b"\xf2\x34")
    p.check(one, other, mask=0xFF0F, doing="compare", errno=EINVAL, differs=differs)
    assert simulate(p).ended == ended


def test_a_check_with_a_target_jumps_instead_of_failing() -> None:
    p = Program()
    end = p.target()
    p.check(p.constant(b"\1"), 2, doing="compare", errno=EINVAL, otherwise=end)
    p.call("skipped")
    p.here(end)
    assert simulate(p).names() == []


@pytest.mark.parametrize(("value", "differs", "jumps"), [(0, False, True), (5, False, False), (5, True, True)])
def test_jump_if(value: int, differs: bool, jumps: bool) -> None:
    p = Program()
    end = p.target()
    register = p.register()
    p.set(register, value)
    p.jump_if(register, 0, end, differs=differs)
    p.call("skipped")
    p.here(end)
    assert (simulate(p).names() == []) is jumps


def test_sync_points_are_traced_and_answered() -> None:
    p = Program()
    home = p.scratch(16)
    p.sync(4, "ready", 9, home)
    p.call("execve", "/bin/sh", p.pointers(["sh"]), p.pointers([home]))
    run = simulate(p, answers={"ready": b"HOME=/root\0"})
    assert (run.trace[0].name, run.trace[0].arguments, run.trace[0].result) == ("ready", (4,), 9)
    assert bytes(run.data[home.offset :]).startswith(b"HOME=/root\0")
    assert run.ended == "execve"


def test_an_answer_that_does_not_fit_is_an_error() -> None:
    p = Program()
    p.sync(4, "ready", 0, p.scratch(4))
    with pytest.raises(IndexError):
        simulate(p, answers={"ready": b"12345"})


def test_addresses_in_structures_can_be_followed() -> None:
    seen: list[str] = []

    def pretended_execve(_path: str, argv: Memory, _envp: int) -> int:
        seen.extend((argv.at(0).text(), argv.at(8).text()))
        return 0

    p = Program()
    p.call("execve", "/bin/sh", p.pointers(["sh", "-c"]), 0)
    simulate(p, {"execve": pretended_execve})
    assert seen == ["sh", "-c"]


def test_what_leaves_is_the_end_but_a_failing_execve_is_not() -> None:
    p = Program()
    p.call("execve", "/x", 0, 0)
    p.call("never")
    assert simulate(p).ended == "execve"
    assert simulate(p, {"execve": -ENOENT}).failure == (0, ENOENT)


def test_a_fork_goes_on_as_the_parent_unless_told_otherwise() -> None:
    p = Program()
    child = p.target()
    pid = p.result("clone", 17, 0, 0, 0, 0)
    p.jump_if(pid, 0, child)
    p.call("exit_group", 0)
    p.here(child)
    p.call("execve", "/hook", 0, 0)
    assert simulate(p).ended == "exit_group"
    assert simulate(p).registers[pid.index] == CHILD
    assert simulate(p, {"clone": 0}).ended == "execve"


def test_the_report_descriptor_is_kept() -> None:
    p = Program()
    assert simulate(p).report == 3
    fifo = p.result("openat", AT_FDCWD, "fifo", 1)
    p.report(fifo)
    assert simulate(p).report == FIRST_DESCRIPTOR
