"""A seccomp agent that only listens: what arrives, on how many connections, with which descriptors."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

from duties.container import wait_until

if TYPE_CHECKING:
    from pathlib import Path


class Connection:
    """What came: the bytes, how many descriptors with each piece, what they are, whether it was closed."""

    def __init__(self) -> None:
        self.data = b""
        self.counts: list[int] = []
        self.links: list[str] = []
        self.descriptors: list[int] = []
        self.closed = False


class Agent:
    """Listens until the block ends; descriptors stay open until then: without one a notifying call fails (ENOSYS)."""

    def __init__(self, path: Path) -> None:
        self.connections: list[Connection] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(8)
        self._socket.settimeout(0.05)
        self._stop = False
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Agent:
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()
        self._socket.close()
        for connection in self.connections:
            for descriptor in connection.descriptors:
                os.close(descriptor)

    def wait(self, number: int) -> list[Connection]:
        """That many connections, closed by the runtime."""
        wait_until(lambda: len(self.connections) >= number and all(one.closed for one in self.connections), 5)
        return self.connections

    def _accept(self) -> None:
        while not self._stop:
            try:
                accepted, _ = self._socket.accept()
            except TimeoutError:
                continue
            connection = Connection()
            self.connections.append(connection)
            thread = threading.Thread(target=self._read, args=(accepted, connection))
            self._threads.append(thread)
            thread.start()

    def _read(self, accepted: socket.socket, connection: Connection) -> None:
        accepted.settimeout(0.05)
        with accepted:
            while not self._stop:
                try:
                    data, descriptors, _, _ = socket.recv_fds(accepted, 4096, 8)
                except TimeoutError:
                    continue
                if not data:
                    connection.closed = True
                    return
                connection.data += data
                connection.counts.append(len(descriptors))
                connection.links += [os.readlink(f"/proc/self/fd/{one}") for one in descriptors]
                connection.descriptors += descriptors
