"""sd_notify(3) through the runtime: READY=1 of the container reaches whoever called, with a pid that he knows."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.bundle import Bundle

# The container's own sd_notify(3); it prints where it was told to send to.
SENDER = """\
import os, socket, sys, time
address = os.environ["NOTIFY_SOCKET"]
print(address, flush=True)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(address)
for message in sys.argv[1:]:
    sender.send(message.encode())
"""


class Caller:
    """What a service manager is to a service: a datagram socket, and what came over it."""

    def __init__(self, path: Path | None) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path) if path else "")  # "": the kernel chooses an abstract name
        bound = self.socket.getsockname()
        self.address = bound if isinstance(bound, str) else f"@{bound[1:].decode()}"
        self.heard: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Descriptors (BARRIER=1) are closed at once: that is the answer."""
        while True:
            try:
                content, fds, _flags, _address = socket.recv_fds(self.socket, 4096, 4)
            except OSError:
                return
            for number in fds:
                os.close(number)
            if not fds:
                self.heard.append(content.decode())

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"NOTIFY_SOCKET": self.address}


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    caller = Caller(tmp_path / "caller.sock")
    yield caller
    caller.socket.close()


@pytest.fixture
def sender(bundle: Bundle) -> str:
    """The command that sends its arguments: the host's Python, read-only."""
    for name in ("lib", "lib64"):
        (bundle.rootfs / name).symlink_to(f"usr/{name}")
    (bundle.rootfs / "send.py").write_text(SENDER)
    bundle.mounts.append({"destination": "/usr", "source": "/usr", "type": "bind", "options": ["rbind", "ro"]})
    return "/usr/bin/python3 -IS /send.py"


def start(runtime: Runtime, bundle: Bundle, caller: Caller, *flags: str) -> subprocess.Popen[str]:
    bundle.save()
    argv = [PATH, "--root", str(runtime.state_root), "run", "--bundle", str(bundle.path), *flags, runtime.new_id()]
    return subprocess.Popen(
        argv, env=caller.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def test_foreground(runtime: Runtime, bundle: Bundle, caller: Caller, sender: str) -> None:
    """The service's main process is the runtime then: the service manager sees it end, not the container."""
    bundle.shell(f"{sender} STATUS=starting; {sender} 'READY=1\nMAINPID=1\nWATCHDOG=1'; exit 5")
    with start(runtime, bundle, caller) as process:
        output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (5, "/run/notify/notify.sock\n" * 2)
    assert caller.heard == ["READY=1\n", f"MAINPID={process.pid}\n"]


def test_detached(runtime: Runtime, bundle: Bundle, caller: Caller, sender: str) -> None:
    """`run -d` returns when the container is ready, and says which process it is."""
    bundle.shell(f"sleep 0.3; {sender} READY=1; exec sleep 1000")
    bundle.save()
    container_id = runtime.new_id()
    runtime("run", "-d", "-b", bundle.path, container_id, env=caller.environment).ok()
    pid = runtime.state(container_id)["pid"]
    wait_until(lambda: len(caller.heard) == 2)
    assert caller.heard == ["READY=1\n", f"MAINPID={pid}\n"]


def test_create_and_start(runtime: Runtime, bundle: Bundle, caller: Caller, sender: str) -> None:
    bundle.shell(f"{sender} READY=1; exec sleep 1000")
    container_id = runtime.create(bundle, env=caller.environment)
    assert caller.heard == []
    runtime("start", container_id, env=caller.environment).ok()
    pid = runtime.state(container_id)["pid"]
    wait_until(lambda: len(caller.heard) == 2)
    assert caller.heard == ["READY=1\n", f"MAINPID={pid}\n"]


def test_nobody_waits(runtime: Runtime, bundle: Bundle, caller: Caller) -> None:
    """Who creates with NOTIFY_SOCKET may start without it."""
    bundle.args("sleep", "1000")
    container_id = runtime.create(bundle, env=caller.environment)
    runtime("start", container_id).ok()
    assert caller.heard == []


def test_user_of_the_container(runtime: Runtime, bundle: Bundle, caller: Caller, sender: str) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell(f"{sender} READY=1")
    assert runtime.run(bundle, env=caller.environment).ok().out == "/run/notify/notify.sock\n"
    assert caller.heard[0] == "READY=1\n"


@pytest.mark.pyrunc_only("runc 1.1 waits for ever: container ends, never ready")
@pytest.mark.parametrize("flags", [(), ("-d",)])
def test_container_that_is_never_ready(
    runtime: Runtime, bundle: Bundle, caller: Caller, flags: tuple[str, ...]
) -> None:
    bundle.shell("sleep 0.2; exit 3")
    with start(runtime, bundle, caller, *flags) as process:
        process.communicate(timeout=30)
    assert process.returncode == (0 if flags else 3)
    assert caller.heard == []


@pytest.mark.pyrunc_only("runc 1.1 takes messages until READY=1, then the container's sd_notify blocks")
def test_messages_after_ready_do_not_fill_the_socket(
    runtime: Runtime, bundle: Bundle, caller: Caller, sender: str
) -> None:
    bundle.shell(f"{sender} READY=1; for i in 1 2 3 4; do {sender} " + "WATCHDOG=1 " * 50 + "; done; exit 4")
    with start(runtime, bundle, caller) as process:
        process.communicate(timeout=60)
    assert process.returncode == 4
    assert len(caller.heard) == 2


@pytest.mark.pyrunc_only("runc fails to tell, and says nothing")
def test_caller_who_is_gone(runtime: Runtime, bundle: Bundle, tmp_path: Path, sender: str) -> None:
    bundle.shell(f"{sender} READY=1; exit 6")
    result = runtime.run(bundle, env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert result.status == 6
    assert "NOTIFY_SOCKET: No such file or directory" in result.err


def test_abstract_address(runtime: Runtime, bundle: Bundle, sender: str) -> None:
    caller = Caller(None)
    bundle.shell(f"{sender} READY=1")
    runtime.run(bundle, env=caller.environment).ok()
    assert caller.heard[0] == "READY=1\n"
    caller.socket.close()


def test_without_a_caller(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.script(bundle, "echo [$NOTIFY_SOCKET]; test ! -e /run/notify") == "[]\n"
