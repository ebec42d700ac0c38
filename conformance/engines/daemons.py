"""Engines, each configured for the runtime under test as docs/engines.md has it, each on an island of its own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from engines.images import image_archive, root_archive
from engines.island import ENGINES_PATH, RUNTIME_PATH, USER, Island, Result, wait_until

if TYPE_CHECKING:
    import subprocess

IMAGE = "localhost/box:1"
PAUSE_IMAGE = "localhost/pause:1"
ROOT_TAR = "root.tar"

CONTAINERD_CONFIG = """\
version = 2
root = "{top}/containerd/root"
state = "{top}/containerd/state"
disabled_plugins = [{disabled}]
[grpc]
  address = "{top}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{top}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{top}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "tested"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tested.options]
        BinaryName = "{runtime}"
        SystemdCgroup = {systemd}
"""
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "box",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "box0",
            "isGateway": True,
            "ipam": {"type": "host-local", "subnet": "10.98.0.0/24"},
        }
    ],
}
PODMAN_CONFIG = """\
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
events_logger = "file"
cgroup_manager = "{cgroup_manager}"
runtime = "{name}"
runtime_supports_json = ["{name}"]
tmp_dir = "{top}/tmp"
[engine.runtimes]
{name} = ["{runtime}"]
"""


class Containerd:
    """containerd, and `ctr` with the runtime under test.  Containers are in a namespace named after the island."""

    def __init__(self, island: Island, *, with_cri: bool = False) -> None:
        self.island = island
        top = island.directory
        self.socket = top / "containerd.sock"
        text = CONTAINERD_CONFIG.format(
            top=top,
            pause=PAUSE_IMAGE,
            runtime=RUNTIME_PATH,
            disabled="" if with_cri else '"io.containerd.grpc.v1.cri"',
            systemd="true" if island.cgroup_manager == "systemd" else "false",
        )
        (top / "config.toml").write_text(text)
        (top / "cni").mkdir()
        (top / "cni/1.conflist").write_text(json.dumps(NETWORK))
        island.daemon("containerd", "containerd", "--config", top / "config.toml")
        wait_until(lambda: self.ctr("version").status == 0)
        self.namespace = "k8s.io" if with_cri else island.name
        root = root_archive()
        self._import(image_archive(root, IMAGE, ("sh",)))
        if with_cri:
            self._import(image_archive(root, PAUSE_IMAGE, ("sleep", "1000000")))

    def _import(self, image: bytes) -> None:
        path = self.island.directory / "image.tar"
        path.write_bytes(image)
        self.ctr("--namespace", self.namespace, "image", "import", str(path)).ok()
        path.unlink()

    def ctr(self, *words: str) -> Result:
        return self.island.run("ctr", "--address", self.socket, *words)

    def __call__(self, *words: str) -> Result:
        return self.ctr("--namespace", self.namespace, *words)

    def run(self, *words: str) -> Result:
        """`words`: flags, container id, command."""
        return self(*self.run_words(*words))

    def run_words(self, *words: str) -> tuple[str, ...]:
        flags = [word for word in words if word.startswith("--")]
        rest = words[len(flags) :]
        return ("run", "--runc-binary", str(RUNTIME_PATH), *flags, IMAGE, *rest)

    def in_terminal(self, *words: str) -> Result:
        return self.island.in_terminal("ctr", "--address", self.socket, "--namespace", self.namespace, *words)

    def status(self, container_id: str) -> str:
        rows = [line.split() for line in self("task", "ls").ok().out.splitlines()]
        return next((row[2] for row in rows if row[0] == container_id), "")


class Docker:
    """dockerd with its own containerd; `flags` are more of dockerd's."""

    def __init__(self, island: Island, *flags: str) -> None:
        self.island = island
        self.socket = island.directory / "docker.sock"
        self.configuration = island.directory / "daemon.json"
        self.configuration.write_text(json.dumps(self.settings()))
        # BuildKit looks for `runc` in PATH: docs/engines.md
        programs = island.directory / "programs"
        programs.mkdir()
        (programs / "runc").symlink_to(RUNTIME_PATH)
        self.variables = {"PATH": f"{programs}:{ENGINES_PATH}", "DOCKER_HOST": f"unix://{self.socket}"}
        self.start(*flags)

    def settings(self) -> dict[str, object]:
        top = self.island.directory
        return {
            "data-root": f"{top}/docker/data",
            "exec-root": f"{top}/docker/exec",
            "pidfile": f"{top}/docker.pid",
            "hosts": [f"unix://{self.socket}"],
            "storage-driver": "overlay2",
            "cgroup-parent": f"/{self.island.name}",
            "default-runtime": "tested",
            "runtimes": {
                "tested": {"path": str(RUNTIME_PATH)},
                "debugging": {"path": str(RUNTIME_PATH), "runtimeArgs": ["--debug"]},
            },
        }

    def start(self, *flags: str) -> None:
        argv = ("dockerd", "--config-file", self.configuration, *flags)
        self.process: subprocess.Popen[bytes] = self.island.daemon("dockerd", *argv, variables=self.variables)
        wait_until(lambda: self("version").status == 0)
        path = self.island.directory / ROOT_TAR
        if not path.exists():
            path.write_bytes(root_archive())
        if not self("images", "-q", "box").text:
            self("import", str(path), "box").ok()

    def restart(self, *flags: str) -> None:
        """dockerd ends as it does for `systemctl restart`, and comes back with these flags."""
        pid = int((self.island.directory / "docker.pid").read_text())
        self.island.run("kill", str(pid)).ok()
        assert self.process.wait(30) == 0
        self.start(*flags)

    def __call__(self, *words: str, given: bytes = b"", variables: dict[str, str] | None = None) -> Result:
        return self.island.run("docker", *words, given=given, variables=self.variables | (variables or {}))

    def in_terminal(self, *words: str, size: tuple[int, int] = (24, 80), typed: bytes = b"") -> Result:
        return self.island.in_terminal("docker", *words, size=size, typed=typed, variables=self.variables)

    def run(self, *words: str, given: bytes = b"") -> Result:
        """`words`: flags, image, command."""
        return self("run", "--rm", *words, given=given)

    def inspect(self, name: str, what: str) -> str:
        return self("inspect", "--format", what, name).ok().text

    def status(self, name: str) -> str:
        return self.inspect(name, "{{.State.Status}}")


class Podman:
    """podman with conmon, as root or as the island's user (who may be ourselves)."""

    def __init__(self, island: Island, *, rootless: bool, storage_driver: str = "overlay") -> None:
        self.island = island
        self.rootless = rootless
        top = island.directory / ("home" if rootless else "podman")
        top.mkdir(exist_ok=True)
        configuration = PODMAN_CONFIG.format(
            top=top, name=RUNTIME_PATH.name, runtime=RUNTIME_PATH, cgroup_manager=island.cgroup_manager
        )
        if rootless:  # RLIMIT_NPROC counts all processes of the user, and its limits are nobody's to raise
            configuration = configuration.replace("default_ulimits", "# default_ulimits")
        (top / "containers.conf").write_text(configuration)
        (top / ROOT_TAR).write_bytes(root_archive())
        self.top = top
        self.storage = ("--root", f"{top}/root", "--runroot", f"{top}/runroot", "--storage-driver", storage_driver)
        self.variables = {"CONTAINERS_CONF": f"{top}/containers.conf", "HOME": str(top)}
        self.entry: tuple[str, ...] = ("podman",)
        if rootless and os.geteuid() == 0:
            (top / "run").mkdir(mode=0o700)
            for path in (top / "run", top / "containers.conf", top / ROOT_TAR):
                os.chown(path, 60000, 60000)
            self.variables["XDG_RUNTIME_DIR"] = f"{top}/run"
            self.entry = ("setpriv", "--reuid", USER, "--regid", USER, "--init-groups", "podman")
        self("import", f"{top}/{ROOT_TAR}", "box").ok()

    @property
    def argv(self) -> tuple[str, ...]:
        return (*self.entry, *self.storage)

    def __call__(self, *words: str, given: bytes = b"", **options: object) -> Result:
        line = (*self.argv, *words)
        return self.island.run("env", "-C", str(self.top), *line, given=given, variables=self.variables, **options)

    def in_terminal(self, *words: str, size: tuple[int, int] = (24, 80)) -> Result:
        line = ("env", "-C", str(self.top), *self.argv, *words)
        return self.island.in_terminal(*line, size=size, variables=self.variables)

    def placed(self, *words: str) -> tuple[str, ...]:
        """Flags that keep a container to what is the island's own."""
        network = () if "--network" in words or "--pod" in words else ("--network", "none")
        return network if self.rootless else (*network, "--cgroup-parent", self.island.cgroup_parent())

    def run(self, *words: str, given: bytes = b"", **options: object) -> Result:
        """`words`: flags, image, command."""
        return self("run", "--rm", *self.placed(*words), *words, given=given, **options)

    def inspect(self, name: str, what: str) -> str:
        return self("inspect", "--format", what, name).ok().text

    def status(self, name: str) -> str:
        return self.inspect(name, "{{.State.Status}}")
