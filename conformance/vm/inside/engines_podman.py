"""Podman with --cgroup-manager=systemd, as root and, where this is a user's session, with the user's own manager."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engines.daemons import Podman
from engines.island import RUNTIME_PATH, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parent))
from place import Place
from units import directories, is_known, memberships, show, systemctl, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

IS_ROOT = os.geteuid() == 0
MANAGER = () if IS_ROOT else ("--user",)
LIMITS = ("--memory", "64m", "--pids-limit", "44", "--cpus", "0.5")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """As a user with plain copies: Linux 6.1 has no user.* attributes on a tmpfs, which a user's overlay needs."""
    place = Place("vmpodman")
    yield Podman(place, rootless=not IS_ROOT, storage_driver="overlay" if IS_ROOT else "vfs")
    place.end()


@pytest.fixture
def name() -> str:
    return f"box{next(_numbers)}"


def detached(podman: Podman, name: str, *flags: str, command: tuple[str, ...] = ("sleep", "1000")) -> tuple[str, str]:
    """(unit, cgroup) of a container that podman started."""
    podman("run", "--detach", "--name", name, *podman.placed(), *flags, "box", *command).ok()
    return placed(podman, name)


def placed(podman: Podman, name: str) -> tuple[str, str]:
    path = memberships(int(podman.inspect(name, "{{.State.Pid}}")))[""]
    scope = path.partition(".scope")[0] + ".scope"  # the container may be in a cgroup of its own below
    return Path(scope).name, scope


def test_what_is_asked_for_what(podman: Podman) -> None:
    shown = podman("info", "--format", "{{.Host.CgroupManager}} {{.Host.CgroupsVersion}} {{.Host.OCIRuntime.Path}}")
    assert shown.ok().text == f"systemd v2 {RUNTIME_PATH}"


def test_run(podman: Podman, name: str) -> None:
    podman.run("--name", name, *LIMITS, "box", "sh", "-c", "echo out; exit 7").must_end(7, "out")
    podman.run("box", "/nowhere").must_end(127, "no such file or directory")


def test_a_scope_with_limits_and_commands_in_it(podman: Podman, name: str) -> None:
    unit, path = detached(podman, name, *LIMITS)
    assert unit == f"libpod-{podman.inspect(name, '{{.Id}}')}.scope"
    wanted = {"TasksMax": "44", "MemoryMax": str(64 << 20), "CPUQuotaPerSecUSec": "500ms", "Delegate": "yes"}
    assert show(unit, *wanted, manager=MANAGER) == wanted
    assert value_of(path, "", "memory.max") == str(64 << 20)
    assert value_of(path, "", "pids.max") == "44"
    podman("exec", name, "sh", "-c", "echo inside; exit 3").must_end(3, "inside")
    podman.in_terminal("exec", "-it", name, "tty").ok("/dev/pts/0")
    podman("exec", "--detach", name, "sleep", "1001").ok()
    wait_until(lambda: len(value_of(path, "", "cgroup.procs").split()) == 2)
    podman("rm", "--force", "--time", "0", name).ok()
    assert directories(path) == []
    assert not is_known(unit, MANAGER)


def test_update_and_daemon_reload(podman: Podman, name: str) -> None:
    unit, path = detached(podman, name, *LIMITS)
    podman("update", "--memory", "32m", "--cpus", "0.25", name).ok()
    systemctl(*MANAGER, "daemon-reload")
    wanted = {"MemoryMax": str(32 << 20), "CPUQuotaPerSecUSec": "250ms", "TasksMax": "44"}
    assert show(unit, *wanted, manager=MANAGER) == wanted
    assert value_of(path, "", "memory.max") == str(32 << 20)
    assert value_of(path, "", "cpu.max") == "25000 100000"
    podman("exec", name, "sh", "-c", "echo >/dev/null; head -c 1 /dev/urandom >/dev/null").ok()


def test_pause_stats_top(podman: Podman, name: str) -> None:
    _unit, path = detached(podman, name)
    podman("pause", name).ok()
    assert podman.status(name) == "paused"
    assert "frozen 1" in value_of(path, "", "cgroup.events")
    podman("unpause", name).ok()
    assert "sleep" in podman("top", name).ok().out
    assert podman("stats", "--no-stream", "--format", "{{.PIDs}}", name).ok().text == "1"


def test_out_of_memory(podman: Podman, name: str) -> None:
    """State.OOMKilled stays false in these guests, with runc as well: conmon 2.1.6 is not told."""
    words = ("--memory", "16m", "--memory-swap", "16m")
    command = ("sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; tail /dev/zero")
    unit, _path = detached(podman, name, *words, command=command)
    podman("exec", name, "touch", "/go").ok()
    assert podman("wait", name).ok().text == "137"
    podman("rm", name).ok()
    assert not is_known(unit, MANAGER)


def test_stop_and_start_again(podman: Podman, name: str) -> None:
    unit, path = detached(podman, name, command=("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"))
    podman("stop", "--time", "10", name).ok()
    assert podman.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"
    wait_until(lambda: directories(path) == [])
    podman("start", name).ok()
    assert placed(podman, name) == (unit, path)


def test_pod(podman: Podman, name: str) -> None:
    """Its containers are scopes in the pod's slice."""
    infra = ("--infra-image", "box", "--infra-command", "sleep 1000")
    podman("pod", "create", "--name", name, "--network", "none", *infra).ok()
    podman("run", "--detach", "--pod", name, "--name", f"{name}-in", "box", "sleep", "1001").ok()
    unit, path = placed(podman, f"{name}-in")
    assert "libpod_pod" in Path(path).parent.name
    assert show(unit, "Slice", manager=MANAGER) == {"Slice": Path(path).parent.name}
    podman("pod", "rm", "--force", "--time", "0", name).ok()
    assert directories(path) == []


def test_a_unit_of_systemd_in_a_container(podman: Podman, name: str) -> None:
    """What --cgroupns=private and a writable cgroup are for: a container that makes cgroups of its own."""
    script = "mkdir /sys/fs/cgroup/own && echo 1 >/sys/fs/cgroup/own/cgroup.procs && cat /proc/1/cgroup; sleep 1000"
    flags = ("--security-opt", "unmask=/sys/fs/cgroup", "--mount", "type=tmpfs,destination=/run")
    _unit, path = detached(podman, name, *flags, "--systemd=always", command=("sh", "-c", script))
    wait_until(lambda: directories(f"{path}/own"))
    wait_until(lambda: podman("logs", name).out.strip() == "0::/own")
    podman("rm", "--force", "--time", "0", name).ok()
    assert directories(path) == []
