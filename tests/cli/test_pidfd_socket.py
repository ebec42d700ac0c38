"""--pidfd-socket: the caller gets a pidfd of the container's first process (runc 1.2 and later)."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only("runc 1.1 does not have it")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "pidfd"))
        sock.listen(1)
        sock.settimeout(20)
        yield sock


def receive(listener: socket.socket) -> int:
    connection, _address = listener.accept()
    with connection:
        _name, control, _flags, _peer = connection.recvmsg(4096, 4096)
    fds = array.array("i", b"".join(data for _level, _kind, data in control))
    assert len(fds) == 1
    return fds[0]


@pytest.mark.parametrize("command", [("create",), ("run", "-d")])
def test_it_is_the_first_process(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, listener: socket.socket, command: tuple[str, ...]
) -> None:
    bundle.args("sleep", "100")
    bundle.save()
    container_id = runtime.new_id()
    runtime(*command, "-b", bundle.path, "--pidfd-socket", tmp_path / "pidfd", container_id).ok()
    pidfd = receive(listener)
    fields = Path(f"/proc/self/fdinfo/{pidfd}").read_text().split()
    assert int(fields[fields.index("Pid:") + 1]) == runtime.state(container_id)["pid"]
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], 20)[0]
    os.close(pidfd)
    runtime.wait_for(container_id, "stopped")


def test_nobody_listens(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.save()
    container_id = runtime.new_id()
    result = runtime("create", "-b", bundle.path, "--pidfd-socket", tmp_path / "nope", container_id)
    result.failed("nope")
    runtime("state", container_id).failed("container does not exist")
