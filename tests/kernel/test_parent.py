"""The parent's side on the real stage: what it hears, and that nothing survives a failure."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.errors import StageFailed
from pyrunc.kernel.files import Fd
from pyrunc.kernel.processes import ignored_signals, open_pidfd, start_time, wait_for_exit
from pyrunc.process.birth import emit_birth
from pyrunc.process.descriptors import Descriptors, preserved
from pyrunc.process.spawn import Stage
from pyrunc.program.builder import Program

MACHINE = os.uname().machine


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    started: list[Stage] = []
    yield started
    for stage in started:
        stage.kill()
        stage.socket.close()
        stage.pidfd.close()


def start(program: Program, stages: list[Stage], opened: dict[str, int] | None = None) -> Stage:
    descriptors = Descriptors()
    for name in opened or {}:
        descriptors.add(name)
    stage = Stage(program, MACHINE, descriptors)
    stage.start(opened or {}, 0, -1)
    stages.append(stage)
    return stage


def test_a_sync_point_is_heard_and_answered(stages: list[Stage]) -> None:
    p = Program()
    slot = p.scratch(16)
    p.sync(3, "halfway", 77, slot)
    p.check(slot.field(0, 4), int.from_bytes(b"answ", "little"), doing="look at the answer", errno=5)
    p.sync(4, "the end")
    stage = start(p, stages)
    message = stage.receive()
    assert message is not None
    assert (message[0].number, message[1]) == (3, 77)
    stage.answer(b"answer")
    message = stage.receive()
    assert message is not None
    assert message[0].number == 4


def test_a_failure_comes_back_as_its_label(stages: list[Stage]) -> None:
    p = Program()
    with p.at("mounts[3]", "/proc"):
        p.call("openat", -100, "/nowhere/at/all", 0, doing="open it")
    stage = start(p, stages)
    with pytest.raises(StageFailed) as caught:
        stage.receive()
    assert str(caught.value) == "mounts[3] /proc: open it: ENOENT (no such file or directory)"
    assert caught.value.errno == 2


def test_a_stage_that_is_killed_is_none(stages: list[Stage]) -> None:
    p = Program()
    p.sync(1, "forever")
    stage = start(p, stages)
    assert stage.receive() is not None
    os.kill(stage.pid, signal.SIGKILL)
    assert stage.receive() is None
    assert stage.kill() == 9


def test_the_stage_ends_when_the_parent_does() -> None:
    """Both ways: EOF on its socket while it waits for an answer, the death signal while it sleeps."""
    for sleeps in (False, True):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            p = Program()
            emit_birth(p, ())
            p.sync(1, "alive")
            if sleeps:
                p.call("nanosleep", p.constant((1000).to_bytes(8, "little") + bytes(8)), 0)
            else:
                p.sync(2, "forever")
            stage = Stage(p, MACHINE, Descriptors())
            stage.start({}, 0, -1)
            stage.receive()
            os.write(write_end, str(stage.pid).encode())
            stage.answer()
            if not sleeps:
                stage.receive()
            time.sleep(0.05)
            os._exit(0)
        os.close(write_end)
        pid = int(os.read(read_end, 20))
        os.close(read_end)
        pidfd = open_pidfd(pid)
        assert os.waitpid(child, 0)[1] == 0
        if pidfd is not None:
            with pidfd:
                assert wait_for_exit(pidfd, 5)


def test_descriptors_signals_and_image(stages: list[Stage], tmp_path: Path) -> None:
    """The stage has what it was given and nothing else, ignores nothing, and its executable cannot be changed."""
    leaked = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    given = os.open(tmp_path, os.O_RDONLY)
    ignored = ignored_signals(Path("/proc/self/status").read_bytes())
    assert 13 in ignored  # CPython ignores SIGPIPE: there is something to reset
    p = Program()
    emit_birth(p, ignored)
    p.sync(1, "look at me")
    with Fd(given):
        stage = start(p, stages, {preserved(0): given})
        assert stage.receive() is not None
        found = {int(n): os.readlink(f"/proc/{stage.pid}/fd/{n}") for n in os.listdir(f"/proc/{stage.pid}/fd")}
    os.close(leaked)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert found[4] == str(tmp_path)
    status = dict(
        line.split(":\t") for line in Path(f"/proc/{stage.pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["SigIgn"].strip("0") == status["SigBlk"].strip("0") == status["SigCgt"].strip("0") == ""
    assert int(status["VmRSS"].split()[0]) <= 100
    assert os.readlink(f"/proc/{stage.pid}/exe").startswith("/memfd:pyrunc")
    with pytest.raises(OSError, match=r"Text file busy|Operation not permitted|Permission denied"):
        os.open(f"/proc/{stage.pid}/exe", os.O_WRONLY)


def test_start_time_names_a_process() -> None:
    found = start_time(os.getpid())
    assert found is not None
    assert found[1] == "R"
    assert start_time(2**22 + 1) is None
