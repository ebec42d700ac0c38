"""Foreground run: signals to the container, bytes between the terminals, and how it ended.

One poll loop, nothing blocks: a terminal that takes no input must not stop its output (`yes | pyrunc run -t … cat`).
"""

from __future__ import annotations

import posix
from errno import EAGAIN, ECHILD, EIO, EPIPE
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll

from pyrunc.kernel.processes import send_signal
from pyrunc.kernel.signals import read_signals
from pyrunc.kernel.terminal import copy_window_size, is_terminal, make_raw, restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.kernel.files import Fd
    from pyrunc.process.notify import Notifier

_SIGCHLD = 17
_SIGURG = 23  # Go runtimes send it to themselves; runc does not pass it on either
_SIGWINCH = 28
_NOT_FORWARDED = (_SIGCHLD, _SIGURG, _SIGWINCH)
_STDIN, _STDOUT = 0, 1
_CHUNK = 65536
_MAX_PENDING = 1 << 20  # bytes for one direction; more is not read before these are written


def exit_code(status: int) -> int:
    """A wait status as a shell says it: 128 + the signal, or the exit status."""
    return 128 + posix.WTERMSIG(status) if posix.WIFSIGNALED(status) else posix.WEXITSTATUS(status)


class Terminal:
    """Ours and the container's: what is typed goes to `master`, what comes from it to stdout."""

    def __init__(self, master: Fd) -> None:
        self.master = master
        self.to_master = b""
        self.to_stdout = b""
        self.stdin_open = True
        self.master_open = True
        self._before: Any = None
        posix.set_blocking(master.number, False)
        self.resize()  # now: the program is not executed yet, and may ask for it first of all

    def __enter__(self) -> Terminal:
        if is_terminal(_STDIN):
            self._before = make_raw(_STDIN)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._before is not None:
            restore(_STDIN, self._before)
        self.master.close()

    def resize(self) -> None:
        copy_window_size(_STDIN, self.master.number)

    def interests(self) -> list[tuple[int, int]]:
        """What to poll for now."""
        wanted = []
        if self.stdin_open and self.master_open and len(self.to_master) < _MAX_PENDING:
            wanted.append((_STDIN, POLLIN))
        if self.master_open:
            events = POLLIN if len(self.to_stdout) < _MAX_PENDING else 0
            wanted.append((self.master.number, events | (POLLOUT if self.to_master else 0)))
        if self.to_stdout:
            wanted.append((_STDOUT, POLLOUT))
        return wanted

    def handle(self, number: int, events: int) -> None:
        if number == _STDIN and events & (POLLIN | POLLHUP | POLLERR):
            self._read_stdin()
        if number == self.master.number:
            if events & POLLOUT:
                self._write_master()
            if events & (POLLIN | POLLHUP | POLLERR):
                self._read_master()
        if number == _STDOUT:
            self._write_stdout()

    def drain(self) -> None:
        """The last bytes: what the container wrote before it ended is still in the terminal."""
        while self.master_open or self.to_stdout:
            if self.master_open and not self._read_master():
                self.master_open = False
            if self.to_stdout:
                poller = poll()  # a stdout that somebody made non-blocking takes it when it can
                poller.register(_STDOUT, POLLOUT)
                poller.poll()
                self._write_stdout()

    def _read_stdin(self) -> None:
        try:
            content = posix.read(_STDIN, _CHUNK)
        except OSError as error:
            if error.errno == EAGAIN:
                return
            if error.errno != EIO:
                raise
            content = b""  # the terminal was hung up: the container goes on without
        self.to_master += content
        self.stdin_open = bool(content)

    def _read_master(self) -> bool:
        """Whether there was something.  EIO: nobody has the other side open any more (pty(7))."""
        try:
            content = posix.read(self.master.number, _CHUNK)
        except OSError as error:
            if error.errno == EAGAIN:
                return False
            if error.errno != EIO:
                raise
            content = b""
        self.to_stdout += content
        self.master_open = bool(content)
        return bool(content)

    def _write_master(self) -> None:
        try:
            self.to_master = self.to_master[posix.write(self.master.number, self.to_master) :]
        except OSError as error:
            if error.errno == EIO:
                self.to_master = b""
            elif error.errno != EAGAIN:
                raise

    def _write_stdout(self) -> None:
        try:
            self.to_stdout = self.to_stdout[posix.write(_STDOUT, self.to_stdout) :]
        except OSError as error:
            if error.errno in (EPIPE, EIO):  # nobody reads us any more: the container need not stop for that
                self.to_stdout = b""
            elif error.errno != EAGAIN:
                raise


def relay(pid: int, pidfd: Fd, signals: Fd, terminal: Terminal | None, notifier: Notifier | None = None) -> int:
    """Serve the container until its init ends; its wait status."""
    while True:
        poller = poll()
        poller.register(signals.number, POLLIN)
        poller.register(pidfd.number, POLLIN)
        if notifier:
            poller.register(notifier.socket.number, POLLIN)
        for number, events in terminal.interests() if terminal else ():
            poller.register(number, events)
        ready = dict(poller.poll())
        if signals.number in ready:
            _forward(read_signals(signals), pid, pidfd, terminal)
        if notifier and ready.pop(notifier.socket.number, 0):
            notifier.serve(posix.getpid())  # to the caller, we are the service: he sees us end, not the container
        for number, events in ready.items():
            if terminal and number not in (signals.number, pidfd.number):
                terminal.handle(number, events)
        if pidfd.number in ready:
            if terminal:
                terminal.drain()
            return posix.waitpid(pid, 0)[1]


def _forward(numbers: list[int], pid: int, pidfd: Fd, terminal: Terminal | None) -> None:
    for number in numbers:
        if number == _SIGWINCH and terminal:
            terminal.resize()
        elif number == _SIGCHLD:
            _reap_orphans(pid)
        elif number not in _NOT_FORWARDED:
            send_signal(pidfd, number)


def _reap_orphans(init: int) -> None:
    """As sub-reaper we inherit what the container leaves behind; init itself is left for its own waitpid."""
    while True:
        try:
            found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except OSError as error:
            if error.errno == ECHILD:
                return
            raise
        if found is None or found.si_pid == init:
            return
        posix.waitpid(found.si_pid, 0)
