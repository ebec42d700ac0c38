"""The CRI as a kubelet uses it: pods that share namespaces, limits, probes by exec, out of memory, graceful ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from engines.cri import CONTAINER, DEFAULT_PROFILE, EXITED, NODE, POD, UNCONFINED, Cri, Refused
from engines.daemons import IMAGE, Containerd
from engines.island import Island, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

SERVICE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
LIMITS = {
    "cpu_period": 100_000,
    "cpu_quota": 50_000,
    "cpu_shares": 512,
    "memory_limit_in_bytes": 64 << 20,
    "oom_score_adj": 500,
}


@pytest.fixture(scope="module")
def cri(island: Island) -> Iterator[Cri]:
    containerd = Containerd(island, with_cri=True)
    cri = Cri(containerd.socket)
    wait_until(cri.is_there)
    yield cri
    cri.close()


class Pod:
    """A sandbox and the containers made in it."""

    def __init__(self, cri: Cri, island: Island, name: str, *, privileged: bool = False) -> None:
        self.cri = cri
        self.logs = island.directory / "logs" / name
        whose = NODE if privileged else POD
        self.namespaces = {"network": whose, "pid": NODE if privileged else CONTAINER, "ipc": whose}
        self.profile = {"profile_type": UNCONFINED if privileged else DEFAULT_PROFILE}
        self.privileged = privileged
        security = {"namespace_options": self.namespaces, "privileged": privileged, "seccomp": self.profile}
        linux: dict[str, Any] = {"cgroup_parent": f"/{island.name}/{name}", "security_context": security}
        if not privileged:
            linux["sysctls"] = [{"key": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
        self.config = {
            "metadata": {"name": name, "uid": name, "namespace": "tests"},
            "hostname": "" if privileged else name,
            "log_directory": str(self.logs),
            "linux": linux,
        }
        self.id = cri.call("RunPodSandbox", config=self.config).pod_sandbox_id

    def create(self, name: str, command: list[str], security: dict[str, Any] | None = None, **more: Any) -> str:
        """The id of a created container."""
        context = {
            "namespace_options": self.namespaces,
            "seccomp": self.profile,
            "privileged": self.privileged,
            "masked_paths": [] if self.privileged else ["/proc/kcore"],
            "readonly_paths": [] if self.privileged else ["/proc/sys"],
        } | (security or {})
        config = {
            "metadata": {"name": name},
            "image": {"image": IMAGE},
            "command": command,
            "log_path": f"{name}.log",
            "linux": {"resources": LIMITS, "security_context": context},
        } | more
        made = self.cri.call("CreateContainer", pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return str(made.container_id)

    def start(self, name: str, command: list[str], security: dict[str, Any] | None = None, **more: Any) -> str:
        container = self.create(name, command, security, **more)
        self.cri.call("StartContainer", container_id=container)
        return container

    def status(self, container: str) -> Any:
        return self.cri.call("ContainerStatus", container_id=container).status

    def wait(self, container: str) -> Any:
        return wait_until(lambda: (status := self.status(container)).state == EXITED and status)

    def execute(self, container: str, *command: str, timeout: int = 10) -> Any:
        return self.cri.call("ExecSync", container_id=container, cmd=command, timeout=timeout)

    def log(self, name: str, words: str) -> str:
        """The container's log, once these words are in it."""
        path = self.logs / f"{name}.log"
        text = ""

        def has_words() -> bool:
            nonlocal text
            text = path.read_text() if path.exists() else ""
            return words in text

        wait_until(has_words)
        return text

    def end(self) -> None:
        self.cri.call("StopPodSandbox", pod_sandbox_id=self.id)
        self.cri.call("RemovePodSandbox", pod_sandbox_id=self.id)


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
