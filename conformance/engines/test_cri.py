"""The CRI as a kubelet uses it: pods that share namespaces, limits, probes by exec, out of memory, graceful ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engines.cri import POD, Cri, Refused
from engines.daemons import Containerd
from engines.island import wait_until
from engines.pod import Pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.island import Island

pytestmark = pytest.mark.slow

SERVICE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


@pytest.fixture(scope="module")
def cri(island: Island) -> Iterator[Cri]:
    containerd = Containerd(island, with_cri=True)
    cri = Cri(containerd.socket)
    wait_until(cri.is_there)
    yield cri
    cri.close()


@pytest.fixture(scope="module")
def pod(cri: Cri, island: Island) -> Iterator[Pod]:
    pod = Pod(cri, island, "pod1")
    yield pod
    pod.end()


def test_exec(pod: Pod, name: str) -> None:
    mounts = [{"container_path": "/given", "host_path": "/etc", "readonly": True}]
    container = pod.start(name, SERVICE, envs=[{"key": "WORD", "value": b"there"}], mounts=mounts)
    script = "echo $WORD; cat /proc/self/oom_score_adj; touch /given/x 2>&1; exit 3"
    result = pod.execute(container, "sh", "-c", script)
    assert result.exit_code == 3
    assert result.stdout.startswith(b"there\n500\n")
    assert b"Read-only file system" in result.stdout
    with pytest.raises(Refused, match="no such file or directory"):
        pod.execute(container, "/nowhere")
    with pytest.raises(Refused, match="timeout"):
        pod.execute(container, "sleep", "1000", timeout=1)


def test_update(pod: Pod, name: str) -> None:
    container = pod.start(name, SERVICE)
    pod.cri.call(
        "UpdateContainerResources", container_id=container, linux={"memory_limit_in_bytes": 32 << 20, "cpu_shares": 256}
    )
    show = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert pod.execute(container, "sh", "-c", show).stdout == b"33554432\n"


def test_stop(pod: Pod, name: str) -> None:
    graceful, stubborn = pod.start(f"{name}-a", SERVICE), pod.start(f"{name}-b", ["sleep", "1000"])
    pod.cri.call("StopContainer", container_id=graceful, timeout=10)
    assert pod.status(graceful).exit_code == 0
    pod.cri.call("StopContainer", container_id=stubborn, timeout=1)
    assert pod.status(stubborn).exit_code == 137
    for container in (graceful, stubborn):
        pod.cri.call("RemoveContainer", container_id=container)
        with pytest.raises(Refused, match="not found"):
            pod.status(container)


def test_missing_program(pod: Pod, name: str) -> None:
    container = pod.create(name, ["/nowhere"])
    with pytest.raises(Refused, match=r"/nowhere.*no such file or directory"):
        pod.cri.call("StartContainer", container_id=container)
    assert pod.status(container).reason == "StartError"


def test_out_of_memory(pod: Pod, name: str) -> None:
    status = pod.wait(pod.start(name, ["sh", "-c", "tail /dev/zero"]))
    assert (status.exit_code, status.reason) == (137, "OOMKilled")


def test_confined_with_terminal(pod: Pod, name: str) -> None:
    security = {
        "readonly_rootfs": True,
        "run_as_user": {"value": 1000},
        "run_as_group": {"value": 1000},
        "supplemental_groups": [2000],
        "no_new_privs": True,
        "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]},
    }
    script = "tty; id; grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; touch /x; echo end; sleep 1000"
    pod.start(name, ["sh", "-c", script], security, tty=True, stdin=True)
    text = pod.log(name, " end")
    for words in ("/dev/pts/0", "uid=1000(app)", "2000(extra)", "NoNewPrivs:\t1", "Seccomp:\t2", "Read-only"):
        assert words in text, text


def test_shared_process_namespace(pod: Pod, name: str) -> None:
    shared = {"namespace_options": {"network": POD, "pid": POD, "ipc": POD}}
    pod.start(name, ["sh", "-c", "ps; echo end; sleep 1000"], shared)
    assert "sleep 1000000" in pod.log(name, " end")  # the sandbox's own process


def test_privileged_pod_on_the_node(cri: Cri, island: Island, name: str) -> None:
    pod = Pod(cri, island, "pod2", privileged=True)
    script = "grep Seccomp: /proc/self/status; readlink /proc/self/ns/net; sleep 1000"
    container = pod.start(name, ["sh", "-c", script])
    text = pod.log(name, "net:[")
    assert "Seccomp:\t0" in text
    assert island.run("readlink", "/proc/self/ns/net").text in text
    pod.cri.call("StopContainer", container_id=container, timeout=1)
    pod.end()
