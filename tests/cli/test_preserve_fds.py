"""--preserve-fds, LISTEN_FDS, and that no other descriptor gets in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle

# ls itself holds one more: the directory it reads
LIST = "ls /proc/self/fd | tr '\\n' ' '"


def test_nothing_else_is_open(runtime: Runtime, bundle: Bundle) -> None:
    leaked = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        assert runtime.script(bundle, LIST, close_fds=False) == "0 1 2 3 "
    finally:
        os.close(leaked)


def high_fd(content: bytes, at: int) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)
    os.dup2(read_end, at, inheritable=True)
    if read_end != at:
        os.close(read_end)


def in_child(*contents: bytes) -> None:
    """Before exec: descriptors 3, 4, ... hold these contents."""
    for index, content in enumerate(contents):
        high_fd(content, 3 + index)


def test_preserve(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("cat <&3; cat <&4; test ! -e /proc/self/fd/5")
    options = {"preexec_fn": lambda: in_child(b"three ", b"four", b"five"), "pass_fds": (3, 4, 5)}
    assert runtime.run(bundle, "--preserve-fds", "2", **options).ok().out == "three four"


def socket_activated(runtime: Runtime, bundle: Bundle, *flags: str) -> list[str]:
    """sd_listen_fds(3): the descriptors are for the process whose pid LISTEN_PID is."""
    bundle.save()
    run = [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), *flags, runtime.new_id()]
    return ["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *run]


def test_listen_fds(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("echo $LISTEN_FDS $LISTEN_PID; cat <&3; test ! -e /proc/self/fd/4")
    argv = socket_activated(runtime, bundle)
    result = runtime.raw(argv, preexec_fn=lambda: in_child(b"socket\n", b"other"), pass_fds=(3, 4)).ok()
    assert result.out == "1 1\nsocket\n"


def test_listen_fds_and_preserve(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("cat <&3; cat <&4; test ! -e /proc/self/fd/5")
    argv = socket_activated(runtime, bundle, "--preserve-fds=1")
    result = runtime.raw(argv, preexec_fn=lambda: in_child(b"a", b"b", b"c"), pass_fds=(3, 4, 5)).ok()
    assert result.out == "ab"


def test_listen_fds_for_another_process(runtime: Runtime, bundle: Bundle) -> None:
    """A socket-activated daemon's environment may have come down to us; its descriptors have not."""
    bundle.shell("echo [$LISTEN_FDS]; test ! -e /proc/self/fd/3")
    environment = os.environ | {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    result = runtime.run(bundle, env=environment, preexec_fn=lambda: in_child(b"other"), pass_fds=(3,)).ok()
    assert result.out == "[]\n"


@pytest.mark.pyrunc_only("runc 1.1 hands its log file on")
def test_log_file_is_never_handed_on(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.save()
    argv = ["run", "-b", bundle.path, "--preserve-fds", "1", runtime.new_id()]
    runtime(*argv, before=("--log", tmp_path / "log")).failed("preserve-fds: descriptor 3 is not open")
    assert "descriptor 3 is not open" in (tmp_path / "log").read_text()


@pytest.mark.pyrunc_only("runc 1.1.5 hands on what it finds there")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors(runtime: Runtime, bundle: Bundle, closed: str) -> None:
    """Without care our own files would take their numbers and get into the container."""
    bundle.shell("for fd in 0 1 2; do all=$all$(readlink /proc/1/fd/$fd)\\;; done; echo $all > /out")
    bundle.save()
    run = [PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path), runtime.new_id()]
    runtime.raw(["sh", "-c", f'exec "$@" </dev/null >/dev/null 2>/dev/null {closed}', "sh", *run]).ok()
    assert (bundle.rootfs / "out").read_text() == "/dev/null;" * 3 + "\n"


def test_descriptor_that_is_not_open(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    runtime("run", "-b", bundle.path, "--preserve-fds", "500", runtime.new_id()).failed()
