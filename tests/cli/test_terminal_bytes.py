"""Terminals under load: every byte arrives, the last ones too, in either direction; and what a terminal is told first.

The full number of repetitions is marked slow: `make test-long`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.bundle import Bundle

MEGABYTE = 1 << 20
FEW, MANY = 4, 200
TIMES = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]
# No newline, which the terminal would turn into two bytes
PRINT = f"head -c {MEGABYTE} /dev/zero | tr '\\0' x; printf END; exit 3"
EXPECTED = b"x" * MEGABYTE + b"END"


class Foreground:
    """The runtime as the leader of a terminal's session: what a user at a screen has."""

    def __init__(self, argv: list[str], size: tuple[int, int] = (24, 80)) -> None:
        self.leader, follower = pty.openpty()
        self.resize(*size)
        self.process = subprocess.Popen(
            argv, stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(follower)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, until: bytes | None = None) -> bytes:
        """Up to these bytes, or to the end, when nobody has the other side open any more (EIO)."""
        text = b""
        end = time.monotonic() + 60
        while until is None or until not in text:
            assert time.monotonic() < end, text[-200:]
            if select.select([self.leader], [], [], 0.2)[0]:
                try:
                    text += os.read(self.leader, 65536)
                except OSError:
                    break
        return text

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.leader)
        self.leader = -1

    def end(self) -> int:
        status = self.process.wait(30)
        if self.leader >= 0:
            os.close(self.leader)
        return status


def run_argv(runtime: Runtime, bundle: Bundle) -> list[str]:
    bundle.process["terminal"] = True
    bundle.save()
    return [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), runtime.new_id()]


def exec_argv(runtime: Runtime, container_id: str, *command: str) -> list[str]:
    return [PATH, "--root", str(runtime.state_root), "exec", "--tty", container_id, *command]


@pytest.fixture
def running(runtime: Runtime, bundle: Bundle) -> str:
    bundle.args("sleep", "1000")
    return runtime.run_detached(bundle)


@pytest.mark.parametrize("times", TIMES)
def test_a_megabyte_and_exit(runtime: Runtime, bundle: Bundle, times: int) -> None:
    bundle.shell(PRINT)
    for _time in range(times):
        foreground = Foreground(run_argv(runtime, bundle))
        assert foreground.read() == EXPECTED
        assert foreground.end() == 3
        runtime.ids.pop()


@pytest.mark.parametrize("times", TIMES)
def test_a_megabyte_and_exit_of_exec(runtime: Runtime, running: str, times: int) -> None:
    for _time in range(times):
        foreground = Foreground(exec_argv(runtime, running, "sh", "-c", PRINT))
        assert foreground.read() == EXPECTED
        assert foreground.end() == 3


def test_reader_who_comes_late(runtime: Runtime, bundle: Bundle) -> None:
    """The container has ended long before its last bytes are read."""
    bundle.shell("head -c 60000 /dev/zero | tr '\\0' x; printf END; exit 3")
    argv = run_argv(runtime, bundle)
    foreground = Foreground(argv)
    time.sleep(1)
    assert foreground.read() == b"x" * 60000 + b"END"
    assert foreground.end() == 3


@pytest.mark.pyrunc_only("runc wants a terminal of its own for that")
@pytest.mark.parametrize("blocking", [True, False])
def test_terminal_into_a_pipe(runtime: Runtime, bundle: Bundle, blocking: bool) -> None:
    """`runtime run … | less`: slowly, and also when somebody made the pipe non-blocking."""
    bundle.shell(PRINT)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, blocking)
    process = subprocess.Popen(run_argv(runtime, bundle), stdin=subprocess.DEVNULL, stdout=write_end)
    os.close(write_end)
    text = b""
    while chunk := os.read(read_end, 20000):
        text += chunk
        time.sleep(0.005)
    os.close(read_end)
    assert process.wait(30) == 3
    assert text == EXPECTED


@pytest.mark.pyrunc_only("runc wants a terminal of its own for that")
def test_nobody_reads(runtime: Runtime, bundle: Bundle) -> None:
    """`runtime run … | true`: the container goes on without an audience."""
    bundle.shell(PRINT)
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.Popen(run_argv(runtime, bundle), stdin=subprocess.DEVNULL, stdout=write_end)
    os.close(write_end)
    assert process.wait(30) == 3


def test_a_long_paste(runtime: Runtime, bundle: Bundle) -> None:
    """More than a terminal holds, typed at once."""
    bundle.shell("stty raw -echo; printf ready; head -c 300000 | wc -c")
    foreground = Foreground(run_argv(runtime, bundle))
    assert foreground.read(b"ready") == b"ready"
    pasted = b"y" * 300000
    while pasted:
        pasted = pasted[os.write(foreground.leader, pasted[:4096]) :]
    assert b"300000" in foreground.read()
    assert foreground.end() == 0


def test_both_directions_at_once(runtime: Runtime, bundle: Bundle) -> None:
    """An echo that nobody takes must not stop what is typed, nor the other way round."""
    bundle.shell("stty raw -echo; printf ready; head -c 200000 | cat; printf END")
    foreground = Foreground(run_argv(runtime, bundle))
    foreground.read(b"ready")
    os.set_blocking(foreground.leader, False)
    left, text = b"z" * 200000, b""
    end = time.monotonic() + 60
    while not text.endswith(b"END"):
        assert time.monotonic() < end, (len(left), len(text))
        readable, writable, _ = select.select([foreground.leader], [foreground.leader] if left else [], [], 1)
        if readable:
            text += os.read(foreground.leader, 65536)
        if writable:
            left = left[os.write(foreground.leader, left[:4096]) :]
    assert text == b"z" * 200000 + b"END"
    assert foreground.end() == 0


@pytest.mark.pyrunc_only("runc sets the size a moment after the start")
def test_size_is_there_from_the_start(runtime: Runtime, bundle: Bundle, running: str) -> None:
    """Ten times each: what is set only a moment later is seen as 0 x 0 now and then."""
    bundle.args("stty", "size")
    for columns in range(100, 110):
        foreground = Foreground(exec_argv(runtime, running, "stty", "size"), (41, columns))
        assert foreground.read() == f"41 {columns}\r\n".encode()
        assert foreground.end() == 0
        foreground = Foreground(run_argv(runtime, bundle), (43, columns))
        assert foreground.read() == f"43 {columns}\r\n".encode()
        assert foreground.end() == 0


def test_resize_of_exec(runtime: Runtime, running: str) -> None:
    script = "trap 'stty size; exit 4' WINCH; printf ready; while :; do sleep 0.05; done"
    foreground = Foreground(exec_argv(runtime, running, "sh", "-c", script))
    foreground.read(b"ready")
    foreground.resize(11, 22)
    assert b"11 22" in foreground.read()
    assert foreground.end() == 4


def test_many_resizes(runtime: Runtime, bundle: Bundle) -> None:
    """The last one counts."""
    bundle.shell("printf ready; until [ \"$(stty size)\" = '77 155' ]; do sleep 0.02; done; exit 6")
    foreground = Foreground(run_argv(runtime, bundle))
    foreground.read(b"ready")
    for number in range(20, 78):
        foreground.resize(number, 2 * number + 1)
    foreground.read()
    assert foreground.end() == 6


@pytest.mark.pyrunc_only("runc 1.1 leaves the container behind")
def test_window_that_is_closed(runtime: Runtime, bundle: Bundle) -> None:
    """SIGHUP goes on to the container; its output has nowhere to go, and that is no error."""
    bundle.shell("trap '' HUP; printf ready; sleep 0.5; head -c 100000 /dev/zero; exit 9")
    foreground = Foreground(run_argv(runtime, bundle))
    foreground.read(b"ready")
    foreground.hang_up()
    assert foreground.end() == 9
    assert os.listdir(runtime.state_root) == []


def test_ctrl_z_is_for_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("trap 'echo stopped; exit 8' TSTP; printf ready; while :; do sleep 0.05; done")
    foreground = Foreground(run_argv(runtime, bundle))
    foreground.read(b"ready")
    os.write(foreground.leader, b"\x1a")
    assert b"stopped" in foreground.read()
    assert foreground.end() == 8


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(tmp_path / "console"))
    made.listen(1)
    made.settimeout(20)
    yield made
    made.close()


def accept_terminal(listener: socket.socket) -> int:
    """One message with one descriptor; nothing is answered."""
    connection, _address = listener.accept()
    with connection:
        name, fds, _flags, _peer = socket.recv_fds(connection, 4096, 8)
        assert len(fds) == 1
        assert 0 < len(name) < 4096
        assert connection.recv(1) == b""  # and the runtime has hung up
    return fds[0]


def read_terminal(terminal: int) -> bytes:
    text = b""
    while True:
        assert select.select([terminal], [], [], 30)[0]
        try:
            text += os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other side open
            return text


def test_console_socket_without_an_answer(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, listener: socket.socket
) -> None:
    """`create` does not wait for anybody to accept; a resize before the start is what the process finds."""
    bundle.process["terminal"] = True
    bundle.process["consoleSize"] = {"height": 40, "width": 123}
    bundle.shell(f"stty size; {PRINT}")
    container_id = runtime.create(bundle, "--console-socket", tmp_path / "console")
    terminal = accept_terminal(listener)
    assert fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))[:4] == struct.pack("HH", 40, 123)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 51, 111, 0, 0))
    runtime("start", container_id).ok()
    assert read_terminal(terminal) == b"51 111\r\n" + EXPECTED
    os.close(terminal)


def test_console_socket_of_exec(runtime: Runtime, running: str, tmp_path: Path, listener: socket.socket) -> None:
    process = {
        "terminal": True,
        "consoleSize": {"height": 33, "width": 99},
        "args": ["sh", "-c", f"sleep 0.2; stty size; {PRINT}"],
        "cwd": "/",
        "env": ["PATH=/bin"],
        "user": {"uid": 1000, "gid": 1000},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    flags = ("--process", tmp_path / "process.json", "--console-socket", tmp_path / "console")
    runtime("exec", "--detach", *flags, "--pid-file", tmp_path / "pid", running).ok()
    terminal = accept_terminal(listener)
    assert read_terminal(terminal) == b"33 99\r\n" + EXPECTED
    os.close(terminal)


def test_signals_reach_a_container_with_a_terminal(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("trap 'exit 7' TERM; printf ready; while :; do sleep 0.05; done")
    foreground = Foreground(run_argv(runtime, bundle))
    foreground.read(b"ready")
    foreground.process.send_signal(signal.SIGTERM)
    foreground.read()
    assert foreground.end() == 7
    wait_until(lambda: os.listdir(runtime.state_root) == [])
