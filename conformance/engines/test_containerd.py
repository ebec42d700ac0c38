"""containerd's shim, driven by `ctr`: create, start, exec, ps, pause, kill, delete, and who cleans up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engines.island import hierarchies, wait_until

if TYPE_CHECKING:
    from engines.daemons import Containerd


@pytest.fixture
def running(containerd: Containerd, name: str) -> str:
    """A container that sleeps."""
    containerd.run("--detach", name, "sleep", "1000").ok()
    return name


def test_output_and_exit_status(containerd: Containerd, name: str) -> None:
    result = containerd.run("--rm", name, "sh", "-c", "echo to stdout; echo to stderr >&2; exit 7")
    result.must_end(7, "to stdout", "to stderr")


def test_terminal(containerd: Containerd, name: str) -> None:
    containerd.in_terminal(*containerd.run_words("--rm", "--tty", name, "tty")).ok("/dev/pts/0")


def test_missing_program(containerd: Containerd, name: str) -> None:
    containerd.run("--rm", name, "/nowhere").must_end(1, "/nowhere", "no such file or directory")
    containerd.run("--rm", f"{name}-path", "nowhere").must_end(1, "executable file not found in $PATH")


def test_exec(containerd: Containerd, running: str) -> None:
    words = ("task", "exec", "--exec-id", "e1", running, "sh", "-c", "echo inside; exit 3")
    containerd(*words).must_end(3, "inside")
    containerd("task", "exec", "--exec-id", "e2", "--user", "1000:1000", running, "id").ok("uid=1000")


def test_exec_terminal(containerd: Containerd, running: str) -> None:
    containerd.in_terminal("task", "exec", "--tty", "--exec-id", "e1", running, "tty").ok("/dev/pts/0")


def test_exec_missing_program(containerd: Containerd, running: str) -> None:
    result = containerd("task", "exec", "--exec-id", "e1", running, "/nowhere")
    result.must_end(1, "/nowhere", "no such file or directory")


def test_processes(containerd: Containerd, running: str) -> None:
    rows = containerd("task", "ps", running).ok().out.splitlines()
    assert len(rows) == 2, rows
    assert rows[1].split()[0].isdigit()


def test_metrics(containerd: Containerd, running: str) -> None:
    containerd("task", "metrics", running).ok("pids.current")


def test_pause_and_resume(containerd: Containerd, running: str) -> None:
    containerd("task", "pause", running).ok()
    assert containerd.status(running) == "PAUSED"
    containerd("task", "resume", running).ok()
    assert containerd.status(running) == "RUNNING"


def test_kill_and_delete(containerd: Containerd, running: str) -> None:
    containerd("task", "kill", "--signal", "SIGKILL", running).ok()
    wait_until(lambda: containerd.status(running) == "STOPPED")
    late = containerd("task", "kill", "--signal", "SIGKILL", running)
    late.must_end(1)
    assert "already finished" in late.out or "not found" in late.out
    containerd("task", "rm", running).must_end(0, "137")
    containerd("container", "rm", running).ok()


def test_kill_all(containerd: Containerd, running: str) -> None:
    containerd("task", "kill", "--all", "--signal", "SIGKILL", running).ok()
    wait_until(lambda: containerd.status(running) == "STOPPED")
    containerd("task", "delete", running).must_end(0)


def test_limits(containerd: Containerd, name: str) -> None:
    containerd.run("--detach", "--memory-limit=33554432", "--cpus=0.5", name, "sleep", "1000").ok()
    assert limit_of(containerd, name, "memory.limit_in_bytes", "memory.max") == "33554432"
    assert limit_of(containerd, name, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"


def limit_of(containerd: Containerd, name: str, *files: str) -> str:
    """What the first of these files says in the container's cgroup: v1's name, v2's name."""
    tops = hierarchies()
    found = [path for top in tops for file in files for path in top.glob(f"{containerd.namespace}/{name}/{file}")]
    return found[0].read_text().strip()


def test_confined(containerd: Containerd, name: str) -> None:
    flags = ("--rm", "--seccomp", "--read-only", "--cap-drop=CAP_CHOWN", "--device=/dev/fuse")
    script = "test -c /dev/fuse && ! touch /x && grep -E 'Seccomp:|CapEff' /proc/self/status"
    result = containerd.run(*flags, name, "sh", "-c", script).ok("Read-only file system")
    assert "Seccomp:\t2" in result.out
    effective = int(result.out.partition("CapEff:")[2].split()[0], 16)
    assert effective & 1 == 0  # CAP_CHOWN is capability 0


def test_privileged(containerd: Containerd, name: str) -> None:
    script = "mkdir /m && mount -t tmpfs none /m && grep ' /m ' /proc/mounts"
    containerd.run("--rm", "--privileged", name, "sh", "-c", script).ok("tmpfs")


def test_state_root(containerd: Containerd, name: str) -> None:
    root = containerd.island.directory / "runtime-root"
    containerd.run("--rm", f"--runc-root={root}", name, "echo", "done").ok("done")
    assert root.is_dir()


def test_container_ends_with_its_shim(containerd: Containerd, running: str) -> None:
    """containerd sees the shim go, and has the runtime delete what it left."""
    rows = [line.split() for line in containerd("task", "ls").ok().out.splitlines()]
    pid = next(row[1] for row in rows if row[0] == running)
    script = f"kill -9 $(awk '/^PPid/ {{print $2}}' /proc/{pid}/status)"
    containerd.island.run("sh", "-c", script).ok()
    wait_until(lambda: containerd.island.run("kill", "-0", pid).status != 0)


def test_nothing_is_left(containerd: Containerd, name: str) -> None:
    containerd.run("--rm", name, "true").ok()
    left = containerd.island.run("find", "/run", "/sys/fs/cgroup", "-name", name).ok()
    assert left.text == ""
