"""process.terminal: in the foreground on the caller's terminal, detached through --console-socket."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import termios
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cli.runtime import NAME, PATH, Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle


class ConsoleSocket:
    """What a shim does: accept one connection, take one descriptor from one message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(20)
        self.name = b""
        self.fds: list[int] = []
        self.thread = threading.Thread(target=self._receive)
        self.thread.start()

    def _receive(self) -> None:
        connection, _address = self.listener.accept()
        with connection:
            self.name, control, _flags, _peer = connection.recvmsg(4096, 4096)
            for _level, kind, data in control:
                assert kind == socket.SCM_RIGHTS
                self.fds += array.array("i", data)

    def terminal(self) -> int:
        self.thread.join()
        self.listener.close()
        assert len(self.fds) == 1
        assert 0 < len(self.name) < 4096
        return self.fds[0]


def read_all(terminal: int) -> str:
    text = b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # EIO: the last process has closed its side
                break
            text += chunk
    return text.decode()


def read_until(terminal: int, words: str) -> str:
    text = b""
    end = time.monotonic() + 20
    while words.encode() not in text:
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65536)
    return text.decode()


def start_in_terminal(runtime: Runtime, bundle: Bundle) -> tuple[subprocess.Popen[bytes], int]:
    bundle.process["terminal"] = True
    bundle.save()
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    argv = [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), runtime.new_id()]
    process = subprocess.Popen(
        argv, stdin=follower, stdout=follower, stderr=follower, preexec_fn=lambda: take_terminal()
    )
    os.close(follower)
    return process, leader


def take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_console_socket(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    bundle.shell("test -t 0 && test -t 1 && test -t 2 && tty && readlink /proc/self/fd/0")
    console = ConsoleSocket(tmp_path / "console")
    container_id = runtime.create(bundle, "--console-socket", console.path)
    terminal = console.terminal()
    runtime("start", container_id).ok()
    assert read_all(terminal).split() == ["/dev/pts/0", "/dev/pts/0"]
    os.close(terminal)


def test_console_can_be_talked_to(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    bundle.shell("read line; echo got $line; stat -c '%u %t %T' /dev/console")
    console = ConsoleSocket(tmp_path / "console")
    container_id = runtime.run_detached(bundle, "--console-socket", console.path)
    terminal = console.terminal()
    os.write(terminal, b"hello\n")
    assert "got hello" in read_until(terminal, "got hello\r\n")
    os.close(terminal)
    runtime.wait_for(container_id, "stopped")


def test_controlling_terminal(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Ctrl-C reaches the process: the terminal is its controlling one."""
    bundle.process["terminal"] = True
    bundle.shell("trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.05; done")
    console = ConsoleSocket(tmp_path / "console")
    runtime.run_detached(bundle, "--console-socket", console.path)
    terminal = console.terminal()
    read_until(terminal, "ready")
    os.write(terminal, b"\x03")
    read_until(terminal, "interrupted")
    os.close(terminal)


def test_console_size(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    bundle.process["consoleSize"] = {"height": 40, "width": 123}
    bundle.shell("stty size")
    console = ConsoleSocket(tmp_path / "console")
    runtime.run_detached(bundle, "--console-socket", console.path)
    terminal = console.terminal()
    assert read_all(terminal) == "40 123\r\n"
    os.close(terminal)


def test_console_of_a_user(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell("echo to the terminal > /dev/tty; stat -c %u $(tty)")
    console = ConsoleSocket(tmp_path / "console")
    runtime.run_detached(bundle, "--console-socket", console.path)
    terminal = console.terminal()
    assert read_all(terminal) == "to the terminal\r\n1000\r\n"
    os.close(terminal)


def test_foreground(runtime: Runtime, bundle: Bundle) -> None:
    # runc sets the size a moment later than it starts the process
    bundle.shell("tty; while [ \"$(stty size 2>&1)\" != '33 99' ]; do sleep 0.05; done; exit 4")
    process, terminal = start_in_terminal(runtime, bundle)
    with process:
        assert read_all(terminal) == "/dev/pts/0\r\n"
        assert process.wait(20) == 4
    os.close(terminal)


def test_foreground_input_is_raw(runtime: Runtime, bundle: Bundle) -> None:
    """The outer terminal neither echoes nor interrupts: that is the inner one's job."""
    bundle.shell("trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.05; done")
    process, terminal = start_in_terminal(runtime, bundle)
    with process:
        read_until(terminal, "ready")
        os.write(terminal, b"\x03")
        read_until(terminal, "interrupted")
        assert process.wait(20) == 7
    os.close(terminal)


def test_resize(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done")
    process, terminal = start_in_terminal(runtime, bundle)
    with process:
        read_until(terminal, "ready")
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 0, 0))
        read_until(terminal, "11 22")
        assert process.wait(20) == 0
    os.close(terminal)


def test_terminal_is_given_back_as_it_was(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.save()
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    bundle.args("true")
    bundle.save()
    argv = [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), runtime.new_id()]
    subprocess.run(
        argv, stdin=follower, stdout=follower, stderr=follower, check=True, preexec_fn=lambda: take_terminal()
    )
    assert termios.tcgetattr(follower) == before
    os.close(leader)
    os.close(follower)


@pytest.mark.parametrize(("command", "flags"), [("create", ()), ("run", ("-d",))])
def test_detached_without_a_socket(runtime: Runtime, bundle: Bundle, command: str, flags: tuple[str, ...]) -> None:
    bundle.process["terminal"] = True
    bundle.save()
    words = f"{NAME} {command} failed: cannot allocate tty if {NAME} will detach without setting console socket"
    result = runtime(command, "-b", bundle.path, *flags, runtime.new_id())
    result.failed(words.replace(f"if {NAME}", "if runc") if words not in result.err else words)


def test_socket_without_a_terminal(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.save()
    result = runtime("create", "-b", bundle.path, "--console-socket", tmp_path / "s", runtime.new_id())
    result.failed("will not detach or allocate tty")


def test_nobody_listens(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    bundle.save()
    container_id = runtime.new_id()
    runtime("create", "-b", bundle.path, "--console-socket", tmp_path / "nope", container_id).failed("nope")
    runtime("state", container_id).failed("container does not exist")
