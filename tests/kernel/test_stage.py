"""csrc/stage.c on the real kernel, with programs that need no privileges."""

from __future__ import annotations

import os
import select
import stat
import time
from errno import EBADF, EEXIST, EINVAL, ENOENT, ENOTDIR
from typing import TYPE_CHECKING

import pytest

from pyrunc.kernel.constants import AT_EMPTY_PATH, AT_FDCWD
from pyrunc.program.builder import Program
from stage_process import MESSAGE, SOCKET, StageProcess, encoded, run_stage

if TYPE_CHECKING:
    from pathlib import Path

    from _pyrunc_assembler import Pattern

STATX_MODE_OFFSET = 28
STATX_BASIC_STATS = 0x7FF
SIGCHLD = 17
P_PID = 1
WEXITED = 4


def run(stage: Path, p: Program) -> tuple[list[tuple[int, int]], int]:
    return run_stage([stage], encoded(p))


def test_an_empty_program_ends_with_0(stage: Path) -> None:
    assert run(stage, Program()) == ([], 0)


def test_a_result_goes_into_a_register_and_to_the_parent(stage: Path) -> None:
    p = Program()
    p.sync(1, "pid", p.result("getpid"))
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        assert process.message() == (1, process.pid)
        process.answer()
        assert process.wait() == 0


def test_all_six_arguments_arrive(stage: Path, tmp_path: Path) -> None:
    """mmap(2) of the second page of a file, written back through a register that holds its address."""
    path = tmp_path / "file"
    path.write_bytes(bytes(4096) + b"second page" + bytes(4085))
    p = Program()
    file = p.result("openat", AT_FDCWD, str(path), os.O_RDWR, 0)
    address = p.result("mmap", 0, 4096, 1, 2, file, 4096)
    p.call("pwrite64", file, address, 11, 0)
    assert run(stage, p) == ([], 0)
    assert path.read_bytes().startswith(b"second page")


def test_files_are_made_written_and_read(stage: Path, tmp_path: Path) -> None:
    content = b"\0written by the stage\xff"
    p = Program()
    directory = p.result("openat", AT_FDCWD, str(tmp_path), os.O_DIRECTORY | os.O_PATH, 0)
    p.call("mkdirat", directory, "made", 0o700)
    file = p.result("openat", directory, "made/file", os.O_RDWR | os.O_CREAT, 0o640)
    p.call("write", file, p.constant(content), len(content))
    p.close(file)
    p.close(directory)
    assert run(stage, p) == ([], 0)
    assert (tmp_path / "made/file").read_bytes() == content


def test_a_failure_is_reported_with_its_operation_and_ends_the_program(stage: Path, tmp_path: Path) -> None:
    p = Program()
    p.call("getpid")
    p.call("openat", AT_FDCWD, str(tmp_path / "absent"), 0, 0)
    p.call("mkdirat", AT_FDCWD, str(tmp_path / "never"), 0o700)
    assert run(stage, p) == ([(1, -ENOENT)], 1)
    assert os.listdir(tmp_path) == []


def test_tolerated_errnos_go_on_and_keep_the_register(stage: Path, tmp_path: Path) -> None:
    p = Program()
    register = p.register()
    p.set(register, 77)
    p.call("mkdirat", AT_FDCWD, str(tmp_path), 0o700, into=register, tolerate=(ENOENT, EINVAL, EEXIST))
    p.sync(1, "kept", register)
    assert run(stage, p) == ([(2, 77)], 0)


def test_tolerated_errnos_go_to_their_target(stage: Path, tmp_path: Path) -> None:
    p = Program()
    missing = p.target()
    p.call("openat", AT_FDCWD, str(tmp_path / "x"), os.O_PATH, 0, tolerate=(ENOENT,), otherwise=missing)
    p.call("mkdirat", AT_FDCWD, str(tmp_path / "never"), 0o700)
    p.here(missing)
    p.call("mkdirat", AT_FDCWD, str(tmp_path / "x"), 0o700)
    assert run(stage, p) == ([], 0)
    assert os.listdir(tmp_path) == ["x"]


def test_an_errno_that_is_not_in_the_list_fails(stage: Path, tmp_path: Path) -> None:
    p = Program()
    p.call("mkdirat", AT_FDCWD, str(tmp_path), 0o700, tolerate=(ENOENT, ENOTDIR))
    assert run(stage, p) == ([(0, -EEXIST)], 1)


@pytest.mark.parametrize(("expected", "differs", "failed"), [(stat.S_IFDIR, False, False), (stat.S_IFREG, False, True)])
def test_checks_read_what_calls_wrote(stage: Path, tmp_path: Path, expected: int, differs: bool, failed: bool) -> None:
    p = Program()
    status = p.scratch(256)
    p.call("statx", AT_FDCWD, str(tmp_path), 0, STATX_BASIC_STATS, status)
    mode = status.field(STATX_MODE_OFFSET, 2)
    p.check(mode, expected, mask=0o170000, doing="check", errno=ENOTDIR, differs=differs)
    assert run(stage, p) == (([(1, -ENOTDIR)], 1) if failed else ([], 0))


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_checks_of_every_width(stage: Path, width: int) -> None:
    p = Program()
    memory = p.constant(b"\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9").field(1, width)
    value = int.from_bytes(b"\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9"[:width], "little")
    register = p.register()
    p.set(register, value)
    p.check(memory, value, doing="immediate", errno=1)
    p.check(memory, register, doing="register", errno=2)
    p.check(memory, p.constant(value.to_bytes(width, "little")), doing="pointer", errno=3)
    p.check(memory, value ^ 1, doing="differs", errno=4, differs=True)
    p.check(memory, value & ~1, mask=~1, doing="masked", errno=5)
    p.check(memory, value ^ 1, doing="the one that fails", errno=6)
    assert run(stage, p) == ([(6, -6)], 1)


def test_a_check_without_errno_reports_what_it_found(stage: Path) -> None:
    p = Program()
    p.check(p.constant(b"\0\7"), 0, doing="wait status", errno=0)
    assert run(stage, p) == ([(0, -0x700)], 1)


def test_a_check_with_a_target_jumps(stage: Path) -> None:
    p = Program()
    end = p.target()
    p.check(p.constant(b"\1"), 2, doing="check", errno=EINVAL, otherwise=end)
    p.call("close", 99)
    p.here(end)
    assert run(stage, p) == ([], 0)


@pytest.mark.parametrize(
    ("value", "differs", "jumps"), [(0, False, True), (5, False, False), (0, True, False), (5, True, True)]
)
def test_jumps(stage: Path, value: int, differs: bool, jumps: bool) -> None:
    p = Program()
    end = p.target()
    register, zero = p.register(), p.register()
    p.set(register, value)
    p.jump_if(register, zero, end, differs=differs)
    p.call("close", 99)
    p.here(end)
    assert run(stage, p) == (([], 0) if jumps else ([(2, -EBADF)], 1))


def test_an_answer_is_stored_and_its_rest_stays_zero(stage: Path) -> None:
    p = Program()
    reader, writer = os.pipe()
    room = p.scratch(16)
    p.sync(4, "ready", 0, room)
    p.call("write", 5, room, 16)
    with open(reader, "rb", buffering=0) as pipe, StageProcess([stage], {5: writer}) as process:
        os.close(writer)
        process.send(encoded(p))
        assert process.message() == (0, 0)
        process.answer(b"HOME=/root")
        assert process.wait() == 0
        assert pipe.read(64) == b"HOME=/root\0\0\0\0\0\0"


def test_a_program_and_an_answer_in_single_bytes(stage: Path) -> None:
    p = Program()
    room = p.scratch(3)
    p.sync(1, "slow", 0, room)
    p.check(room.field(2, 1), ord("c"), doing="check", errno=EINVAL)
    with StageProcess([stage]) as process:
        for byte in encoded(p):
            process.send(bytes([byte]))
        assert process.message() == (0, 0)
        for byte in (3).to_bytes(8, "little") + b"abc":
            process.send(bytes([byte]))
            time.sleep(0.001)
        assert process.wait() == 0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((5).to_bytes(8, "little") + b"12345", id="longer than the room"),
        pytest.param((0xFFFFFFFF).to_bytes(8, "little"), id="absurdly long"),
        pytest.param(b"\0\0\0\0\1\0\0\0", id="second word not zero"),
        pytest.param((4).to_bytes(8, "little") + b"12", id="ends in the payload"),
        pytest.param(b"\0\0\0", id="ends in the length"),
    ],
)
def test_odd_answers_end_it_silently(stage: Path, answer: bytes) -> None:
    p = Program()
    p.sync(1, "wait", 0, p.scratch(4))
    p.call("close", 99)
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        assert process.message() == (0, 0)
        process.send(answer)
        process.socket.shutdown(1)
        assert process.message() is None
        assert process.wait() == 1


def test_a_sync_without_room_refuses_a_payload(stage: Path) -> None:
    p = Program()
    p.sync(1, "wait")
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        assert process.message() == (0, 0)
        process.answer(b"x")
        assert process.wait() == 1


def test_a_sync_value_never_looks_like_a_failure(stage: Path) -> None:
    p = Program()
    register = p.register()
    p.set(register, -1)
    p.sync(1, "value", register)
    assert run(stage, p) == ([(1, 0x7FFFFFFF)], 0)


def test_it_ends_when_the_parent_is_gone(stage: Path) -> None:
    """EOF while it waits for the program, and EPIPE, not SIGPIPE, when it speaks to nobody."""
    with StageProcess([stage]) as process:
        process.socket.close()
        assert process.wait() == 1
    p = Program()
    ready, go = os.pipe()
    p.call("read", 5, p.scratch(1), 1)
    p.sync(1, "nobody listens")
    with StageProcess([stage], {5: ready}) as process:
        os.close(ready)
        process.send(encoded(p))
        process.socket.close()
        os.write(go, b"x")
        os.close(go)
        assert process.wait() == 1


def test_a_failure_that_nobody_hears_is_no_signal(stage: Path) -> None:
    p = Program()
    ready, go = os.pipe()
    p.call("read", 5, p.scratch(1), 1)
    p.call("close", 99)
    with StageProcess([stage], {5: ready}) as process:
        os.close(ready)
        process.send(encoded(p))
        process.socket.close()
        os.close(go)
        assert process.wait() == 1


def test_failures_go_where_report_says(stage: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    p = Program()
    report = p.result("openat", AT_FDCWD, str(fifo), os.O_WRONLY | os.O_CLOEXEC, 0)
    p.report(report)
    p.call("execve", str(tmp_path / "absent"), p.pointers(["absent"]), p.pointers([]))
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        with open(fifo, "rb", buffering=0) as reader:
            assert MESSAGE.unpack(reader.read(8)) == (2, -ENOENT)
            assert reader.read(8) == b""
        assert process.message() is None
        assert process.wait() == 1


def test_execve_with_pointers_in_memory(stage: Path) -> None:
    p = Program()
    reader, writer = os.pipe()
    p.call("dup3", 5, 1, 0)
    argv = p.pointers(["sh", "-c", "echo $0 $A $B", "name"])
    p.call("execve", "/bin/sh", argv, p.pointers(["A=first", b"B=\xff"]))
    with open(reader, "rb", buffering=0) as pipe, StageProcess([stage], {5: writer}) as process:
        os.close(writer)
        process.send(encoded(p))
        assert process.wait() == 0
        assert pipe.read(64) == b"name first \xff\n"


def test_a_fork_and_its_exit_status(stage: Path) -> None:
    """How hooks run: clone, execve in the child, a pidfd and waitid in the parent."""
    p = Program()
    child, info = p.target(), p.scratch(128)
    pid = p.result("clone", SIGCHLD, 0, 0, 0, 0)
    p.jump_if(pid, 0, child)
    p.call("waitid", P_PID, pid, info, WEXITED, 0)
    p.check(info.field(24, 4), 42, doing="status", errno=EINVAL)
    p.sync(1, "waited")
    p.call("exit_group", 0)
    p.here(child)
    p.call("exit_group", 42)
    assert run(stage, p) == ([(4, 0)], 0)


def test_descriptors_are_as_they_were_given(stage: Path, tmp_path: Path) -> None:
    """statx(2) of descriptor 7 by AT_EMPTY_PATH: the empty string is a pointer too."""
    p = Program()
    status = p.scratch(256)
    p.call("statx", 7, "", AT_EMPTY_PATH, STATX_BASIC_STATS, status)
    p.check(status.field(32, 8), tmp_path.stat().st_ino, doing="inode", errno=EINVAL)
    directory = os.open(tmp_path, os.O_PATH)
    with StageProcess([stage], {7: directory}) as process:
        os.close(directory)
        process.send(encoded(p))
        assert process.message() is None
        assert process.wait() == 0


def test_the_program_is_read_only_when_it_runs(stage: Path) -> None:
    """read(2) into the operations is EFAULT.  Their address is not for programs to know: it is read from maps."""
    p = Program()
    p.sync(1, "look", 0, p.scratch(8))
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        assert process.message() == (0, 0)
        with open(f"/proc/{process.pid}/maps") as maps:
            lines = [line.split() for line in maps]
        modes = {line[1] for line in lines}
        assert not [line for line in lines if "w" in line[1] and "x" in line[1]]
        assert "r--p" in modes
        assert "rw-p" in modes


def test_the_waiting_stage_does_not_poll(stage: Path) -> None:
    p = Program()
    p.sync(1, "wait")
    with StageProcess([stage]) as process:
        process.send(encoded(p))
        assert process.message() == (0, 0)
        before = cpu_ticks(process.pid)
        assert select.select([process.socket], [], [], 0.2)[0] == []
        assert cpu_ticks(process.pid) - before <= 1
        process.answer()
        assert process.wait() == 0


def cpu_ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as status:
        fields = status.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_socket_is_where_the_parent_put_it(stage: Path) -> None:
    """A program may close the socket; a sync point after that ends it."""
    p = Program()
    p.call("close", SOCKET)
    p.sync(1, "gone")
    assert run(stage, p) == ([], 1)


def making(p: Program) -> Pattern:
    """Two directories, one in the other."""
    start = len(p)
    exists = p.target()
    outer = ("mkdirat", AT_FDCWD, "/\x01outer", 0o700)
    p.call(*outer, tolerate=(EEXIST,), otherwise=exists)  # type: ignore[arg-type]
    p.here(exists)
    p.call("mkdirat", AT_FDCWD, "/\x01inner", 0o700)
    return p.pattern(start, ("/\x01outer", "/\x01inner"))


def test_rows_run_one_after_another(stage: Path, tmp_path: Path) -> None:
    p = Program()
    pattern = making(p)
    for name in ("a", "b", "a/c"):
        p.stamp(pattern, (f"{tmp_path}/{name}", f"{tmp_path}/{name}/inside"))
    p.sync(1, "made")
    assert run(stage, p) == ([(4, 0)], 0)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        *("a", "a/c", "a/c/inside", "a/inside", "b", "b/inside")
    ]


def test_a_failure_tells_the_row(stage: Path, tmp_path: Path) -> None:
    p = Program()
    pattern = making(p)
    for name in ("a", "b/absent", "c"):
        p.stamp(pattern, (f"{tmp_path}/{name}", f"{tmp_path}/{name}/inside"))
    ((told, value),), status = run(stage, p)
    assert (told, value, status) == (1 | 2 << 16, -ENOENT, 1)
    assert p.operation(told).arguments[1] == p.string(f"{tmp_path}/b/absent")
    assert os.listdir(tmp_path) == ["a"]


def test_rows_after_rows_start_again(stage: Path, tmp_path: Path) -> None:
    p = Program()
    pattern = making(p)
    for name in ("a", "b"):
        p.stamp(pattern, (f"{tmp_path}/{name}", f"{tmp_path}/{name}/inside"))
        p.call("getpid")
    p.call("mkdirat", AT_FDCWD, str(tmp_path), 0)
    assert run(stage, p) == ([(len(p) - 1, -EEXIST)], 1)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_most_rows(stage: Path) -> None:
    """More than a message can tell apart are two loops."""
    p = Program()
    p.call("access", "\x01path", 0)
    pattern = p.pattern(0, ("\x01path",))
    for _ in range(65535):
        p.stamp(pattern, ("/",))
    p.stamp(pattern, ("/absent",))
    assert [rows for _start, _end, rows in p.loops] == [65535, 1]
    assert run(stage, p) == ([(4 | 1 << 16, -ENOENT)], 1)
