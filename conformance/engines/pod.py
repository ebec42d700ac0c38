"""A pod as a kubelet asks the CRI for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.cri import CONTAINER, DEFAULT_PROFILE, EXITED, NODE, POD, UNCONFINED
from engines.daemons import IMAGE
from engines.island import wait_until

if TYPE_CHECKING:
    from engines.cri import Cri
    from engines.island import Island

LIMITS = {
    "cpu_period": 100_000,
    "cpu_quota": 50_000,
    "cpu_shares": 512,
    "memory_limit_in_bytes": 64 << 20,
    "oom_score_adj": 500,
}


class Pod:
    """A sandbox and the containers made in it."""

    def __init__(
        self, cri: Cri, island: Island, name: str, *, privileged: bool = False, on_the_nodes_network: bool = False
    ) -> None:
        self.cri = cri
        self.logs = island.directory / "logs" / name
        whose = NODE if privileged else POD
        network = NODE if privileged or on_the_nodes_network else POD
        self.namespaces = {"network": network, "pid": NODE if privileged else CONTAINER, "ipc": whose}
        self.profile = {"profile_type": UNCONFINED if privileged else DEFAULT_PROFILE}
        self.privileged = privileged
        security = {"namespace_options": self.namespaces, "privileged": privileged, "seccomp": self.profile}
        linux: dict[str, Any] = {"cgroup_parent": island.cgroup_parent(name), "security_context": security}
        if network == POD:
            linux["sysctls"] = [{"key": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
        self.config = {
            "metadata": {"name": name, "uid": name, "namespace": "tests"},
            "hostname": name if network == POD else "",
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
