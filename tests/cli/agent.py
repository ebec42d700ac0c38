"""A seccomp agent: takes containers' listeners from a socket, and answers what their processes ask."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from cli.runtime import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# seccomp_unotify(2): struct seccomp_notif is 80 bytes, struct seccomp_notif_resp 24
RECEIVE, SEND = 0xC0502100, 0xC0182101
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
POLL_MILLISECONDS = 50


class Agent:
    """Runs until the block ends.

    answers   system call number -> errno to return; what is not in it goes on (CONTINUE)
    states    the documents received, one a connection; `descriptors` with how many descriptors each
    closed    how many connections the runtime has closed
    asked     the numbers of the system calls that were asked about
    """

    def __init__(self, path: Path, answers: dict[int, int]) -> None:
        self.answers = answers
        self.states: list[dict[str, Any]] = []
        self.descriptors: list[int] = []
        self.closed = 0
        self.asked: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Agent:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def received(self, count: int) -> list[dict[str, Any]]:
        """The documents, when there are so many: what the runtime sent may still be in the socket when it ends."""
        wait_until(lambda: len(self.states) >= count)
        assert len(self.states) == count
        return self.states

    def _accept(self) -> None:
        self._socket.settimeout(POLL_MILLISECONDS / 1000)
        while not self._stop.is_set():
            try:
                connection, _address = self._socket.accept()
            except TimeoutError:
                continue
            self._start(self._take, connection)

    def _start(self, work: Callable[[Any], None], argument: Any) -> None:
        thread = threading.Thread(target=work, args=(argument,))
        self._threads.append(thread)
        thread.start()

    def _take(self, connection: socket.socket) -> None:
        """One document and its descriptors; then the runtime closes (runc 1.1 not before its own end)."""
        content = b""
        received: list[int] = []
        with connection:
            while not self._stop.is_set():
                chunk, control, _flags, _peer = connection.recvmsg(65536, 4096)
                for _level, _kind, data in control:
                    received += array.array("i", data)
                if not chunk:
                    self.closed += 1
                    return
                content += chunk
                if content.endswith(b"}") and is_json(content):
                    self.descriptors.append(len(received))
                    self.states.append(json.loads(content))
                    for number in received:
                        self._start(self._serve, number)

    def _serve(self, listener: int) -> None:
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        with open(listener, "rb", buffering=0):
            while not self._stop.is_set():
                events = dict(poller.poll(POLL_MILLISECONDS)).get(listener, 0)
                if events & select.POLLHUP:
                    return
                if events & select.POLLIN:
                    self._answer(listener)

    def _answer(self, listener: int) -> None:
        request = bytearray(80)
        try:
            fcntl.ioctl(listener, RECEIVE, request)
            identity, number = struct.unpack_from("<Q8xi", request)
            self.asked.append(number)
            error = self.answers.get(number, 0)
            fcntl.ioctl(listener, SEND, struct.pack("<QqiI", identity, 0, -error, 0 if error else CONTINUE))
        except OSError as problem:
            if problem.errno != errno.ENOENT:  # who asked is gone
                raise


def is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
