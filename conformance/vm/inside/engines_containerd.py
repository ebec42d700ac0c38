"""containerd with SystemdCgroup = true: a pod as the kubelet makes it, and `ctr`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engines.cri import EXITED, Cri
from engines.daemons import Containerd
from engines.island import wait_until
from engines.pod import Pod

sys.path.insert(0, str(Path(__file__).resolve().parent))
from place import Place
from units import directories, is_known, memberships, show, systemctl, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
POD_SLICE = "/vmcri.slice/vmcri-pod1.slice"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    place = Place("vmcri")
    yield place
    place.end()


@pytest.fixture(scope="module")
def containerd(place: Place) -> Containerd:
    return Containerd(place, with_cri=True)


@pytest.fixture(scope="module")
def pod(containerd: Containerd) -> Iterator[Pod]:
    cri = Cri(containerd.socket)
    wait_until(cri.is_there)
    pod = Pod(cri, containerd.island, "pod1", on_the_nodes_network=True)
    yield pod
    pod.end()
    assert not directories(POD_SLICE) or not list(directories(POD_SLICE)[0].glob("cri-containerd-*"))
    cri.close()


def scope_of(container: str) -> tuple[str, str]:
    """(unit, cgroup)."""
    unit = f"cri-containerd-{container}.scope"
    return unit, f"{POD_SLICE}/{unit}"


def test_a_container_of_a_pod(pod: Pod) -> None:
    """Created, its limits known to systemd, a probe by exec, updated, stopped, removed."""
    container = pod.start("life", SERVICE)
    unit, path = scope_of(container)
    wanted = {"MemoryMax": str(64 << 20), "CPUQuotaPerSecUSec": "500ms", "Delegate": "yes", "Slice": "vmcri-pod1.slice"}
    assert show(unit, *wanted) == wanted
    pids = value_of(path, "", "cgroup.procs").split()
    assert {memberships(int(pid))[""] for pid in pids} == {path}
    result = pod.execute(container, "sh", "-c", "cat /proc/self/cgroup; exit 3")
    assert (result.exit_code, result.stdout) == (3, b"0::/\n")
    pod.cri.call("UpdateContainerResources", container_id=container, linux={"memory_limit_in_bytes": 32 << 20})
    assert value_of(path, "", "memory.max") == str(32 << 20)
    systemctl("daemon-reload")
    assert show(unit, "MemoryMax") == {"MemoryMax": str(32 << 20)}
    assert value_of(path, "", "memory.max") == str(32 << 20)
    assert pod.execute(container, "sh", "-c", "echo >/dev/null; head -c1 /dev/urandom").exit_code == 0
    pod.cri.call("StopContainer", container_id=container, timeout=10)
    assert pod.status(container).exit_code == 0
    pod.cri.call("RemoveContainer", container_id=container)
    assert directories(path) == []
    assert not is_known(unit)


def test_out_of_memory(pod: Pod) -> None:
    """containerd hears of the exit and of the kernel's count on two ways; in a slow guest the exit may come first."""
    reasons = []
    while "OOMKilled" not in reasons and len(reasons) < 5:
        status = pod.wait(pod.start(f"greedy{len(reasons)}", ["sh", "-c", "sleep 1; tail /dev/zero"]))
        assert (status.state, status.exit_code) == (EXITED, 137)
        reasons.append(status.reason)
    assert "OOMKilled" in reasons


def test_ctr(containerd: Containerd) -> None:
    flags = ("--runc-systemd-cgroup", "--memory-limit=33554432", "--cgroup=vmctr.slice:ctr:one")
    containerd.run("--detach", *flags, "one", "sleep", "1000").ok()
    path = "/vmctr.slice/ctr-one.scope"
    assert show("ctr-one.scope", "MemoryMax", "ActiveState") == {"MemoryMax": "33554432", "ActiveState": "active"}
    containerd("task", "exec", "--exec-id", "e1", "one", "sh", "-c", "echo inside; exit 3").must_end(3, "inside")
    containerd("task", "metrics", "one").ok("pids.current")
    containerd("task", "pause", "one").ok()
    assert "frozen 1" in value_of(path, "", "cgroup.events")
    containerd("task", "resume", "one").ok()
    containerd("task", "kill", "--signal", "SIGKILL", "one").ok()
    wait_until(lambda: containerd.status("one") == "STOPPED")
    containerd("task", "rm", "one").must_end(0, "137")
    assert directories(path) == []
    assert not is_known("ctr-one.scope")
