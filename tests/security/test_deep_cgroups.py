"""A container that may make cgroups makes them deeper than a path can say: listed, ended and removed all the same.

Recursion by path ended with ENAMETOOLONG (or RecursionError) after two thousand directories, and the container could
not be deleted any more; a process down there was not in `ps`, and `kill --all` passed it by.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import cgroups_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from cli.runtime import Runtime

DEPTH = 2500
HIERARCHIES = ("freezer", "pids")

pytestmark = pytest.mark.pyrunc_only("runc goes by path")


@contextmanager
def directory(path: Path) -> Iterator[None]:
    before = os.open(".", os.O_PATH)
    os.chdir(path)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def dig(top: Path, pid: int) -> None:
    """Directories in directories, and the process in the last; one more beside each hundredth."""
    with directory(top):
        for level in range(DEPTH):
            os.mkdir("a")
            if level % 100 == 0:
                os.mkdir("b")
            os.chdir("a")
        Path("cgroup.procs").write_text(str(pid))


@pytest.fixture
def deep(runtime: Runtime, bundle: Bundle) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A container without a pid namespace of its own, with a process far below."""
    bundle.without_namespace("pid")
    bundle.args("sleep", "100")
    container_id = runtime.run_detached(bundle)
    with subprocess.Popen(["sleep", "100"]) as sleeper:
        for hierarchy in HIERARCHIES:
            dig(Path("/sys/fs/cgroup", hierarchy, container_id), sleeper.pid)
        yield container_id, sleeper
        sleeper.kill()


def test_it_is_listed(runtime: Runtime, deep: tuple[str, subprocess.Popen[bytes]]) -> None:
    container_id, sleeper = deep
    assert sleeper.pid in json.loads(runtime("ps", "--format", "json", container_id).ok().out)


def test_it_is_killed(runtime: Runtime, deep: tuple[str, subprocess.Popen[bytes]]) -> None:
    container_id, sleeper = deep
    runtime("kill", "--all", container_id, "KILL").ok()
    assert sleeper.wait(10) == -9


def test_it_is_deleted(runtime: Runtime, deep: tuple[str, subprocess.Popen[bytes]]) -> None:
    container_id, sleeper = deep
    runtime("delete", "--force", container_id).ok()
    assert sleeper.wait(10) == -9
    assert cgroups_of(container_id) == []
