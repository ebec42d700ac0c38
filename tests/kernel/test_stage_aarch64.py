"""The stage for aarch64, cross-compiled and run by qemu-user: the same program, other numbers, other code."""

from __future__ import annotations

import os
import shutil
from errno import EBADF, EINVAL, ENOENT
from typing import TYPE_CHECKING

import pytest

from pyrunc.kernel.constants import AT_FDCWD
from pyrunc.program.builder import Program
from stage_process import StageProcess, build_stage, encoded, run_stage

if TYPE_CHECKING:
    from pathlib import Path

AARCH64 = "aarch64"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """qemu-user and the stage.  Both packages are in tests/packages.txt: without them this is an error, not a skip."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    assert emulator, "qemu-user is not installed"
    return [emulator, str(build_stage(tmp_path_factory.mktemp(AARCH64) / "stage", "aarch64-linux-gnu-gcc"))]


def test_a_program_of_every_kind(command: list[str], tmp_path: Path) -> None:
    """Six arguments, registers, pointers, relocations, a check, a jump, tolerated errnos, a sync with an answer."""
    p = Program()
    end, name = p.target(), p.scratch(16)
    directory = p.result("openat", AT_FDCWD, str(tmp_path), os.O_PATH, 0)
    p.call("openat", directory, "absent", 0, 0, tolerate=(EINVAL, ENOENT))
    p.sync(1, "name", 5, name)
    p.call("mkdirat", directory, name, 0o700)
    file = p.result("openat", directory, "file", os.O_RDWR | os.O_CREAT, 0o600)
    vector = p.structure(bytes(8) + (7).to_bytes(8, "little"), [(0, p.string("content"))])
    p.call("pwritev", file, vector, 1, 2, 0, 0)
    back = p.scratch(8)
    p.call("pread64", file, back, 8, 2)
    p.check(back, int.from_bytes(b"content\0", "little"), doing="compare", errno=EINVAL)
    p.jump_if(file, 0, end, differs=True)
    p.call("close", 999)
    p.here(end)
    p.call("close", 998)
    with StageProcess(command) as stage:
        stage.send(encoded(p, AARCH64))
        assert stage.message() == (2, 5)
        stage.answer(b"made\0")
        assert stage.message() == (len(p.operations) - 1, -EBADF)
        assert stage.message() is None
        assert stage.wait() == 1
    assert (tmp_path / "made").is_dir()
    assert (tmp_path / "file").read_bytes() == b"\0\0content"


def test_execve_with_its_relocated_arguments(command: list[str]) -> None:
    p = Program()
    p.call("execve", "/bin/sh", p.pointers(["sh", "-c", "exit $N"]), p.pointers(["N=42"]))
    with StageProcess(command) as stage:
        stage.send(encoded(p, AARCH64))
        assert stage.message() is None
        assert stage.wait() == 42


def test_a_malformed_program_is_refused(command: list[str]) -> None:
    p = Program()
    p.call("getpid")
    content = bytearray(encoded(p, AARCH64))
    content[32] = 99
    assert run_stage(command, bytes(content)) == ([(0xFFFFFFFF, -71)], 1)
