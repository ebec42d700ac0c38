"""Trees of cgroups as a container may make them: deeper than a path is long, and than Python recurses.  Needs root."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cgroup_members import Sandbox
from pyrunc.cgroups import fs
from pyrunc.cgroups.processes import list_processes
from pyrunc.cgroups.tree import children_of, remove_below, visit
from pyrunc.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(request.node.name[:20])
    yield made
    made.close()
    assert made.leftovers() == []


def nest(top: Path, depth: int, length: int) -> int:
    """Directories in directories; a descriptor of the innermost."""
    current = os.open(top, os.O_RDONLY)
    for _level in range(depth):
        os.mkdir("d" * length, dir_fd=current)
        inner = os.open("d" * length, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = inner
    return current


@pytest.mark.parametrize(("depth", "length"), [(30, 200), (sys.getrecursionlimit() + 50, 1)])
@pytest.mark.parametrize("version", [pytest.param(1, marks=pytest.mark.v1_only), 2])
def test_deep(sandbox: Sandbox, version: int, depth: int, length: int) -> None:
    """A process at the bottom is found, and keeps it busy; without it all is removed."""
    hierarchy = next(one for one in sandbox.only(version) if version == 2 or "freezer" in one.controllers)
    cgroup = sandbox.create("c1", (hierarchy,))
    path = cgroup.hierarchies[0].path
    innermost = nest(Path(path), depth, length)
    member = sandbox.run(cgroup)
    procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=innermost)
    os.write(procs, str(member.pid).encode())
    os.close(procs)
    os.close(innermost)
    assert list_processes(path) == [member.pid]
    assert not remove_below(path)
    member.kill()
    member.wait()
    fs.remove(cgroup)
    assert not Path(path).exists()


def test_wide_and_deep(sandbox: Sandbox) -> None:
    cgroup = sandbox.create("c1", sandbox.only(2))
    top = Path(cgroup.hierarchies[0].path)
    for name in ("a/1", "a/2/x", "b", "c/3"):
        (top / name).mkdir(parents=True)
    inodes = sorted(path.stat().st_ino for path in (top, *(path for path in top.rglob("*") if path.is_dir())))
    assert sorted(os.fstat(directory).st_ino for directory in visit(str(top))) == inodes
    assert sorted(children_of(str(top))) == ["a", "b", "c"]
    fs.remove(cgroup)
    assert not top.exists()
    assert list(visit(str(top))) == []
    assert children_of(str(top)) == []
    assert remove_below(str(top))


def test_what_vanishes_while_it_is_walked(sandbox: Sandbox) -> None:
    cgroup = sandbox.create("c1", sandbox.only(2))
    top = Path(cgroup.hierarchies[0].path)
    for name in ("a", "b", "c"):
        (top / name).mkdir()
    seen = 0
    for _directory in visit(str(top)):
        seen += 1
        for name in ("a", "b", "c"):
            if (top / name).exists():
                (top / name).rmdir()
    assert seen <= 2
    fs.remove(cgroup)


def test_a_process_left_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fs, "REMOVAL_WAITS", (0.001,))
    cgroup = sandbox.create("c1", sandbox.only(2))
    (Path(cgroup.hierarchies[0].path) / "below").mkdir()
    sandbox.run(cgroup, below="/below")
    with pytest.raises(KernelError, match=r"rmdir .*/c1: EBUSY .*processes are left in it"):
        fs.remove(cgroup)
