"""docs/engines.md, word for word: its files are put where it says, its commands are typed as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engines.cri import NODE, Cri
from engines.daemons import IMAGE, ROOT_TAR
from engines.images import image_archive, root_archive
from engines.island import PROJECT, RUNTIME_PATH, USER, Island, Result, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PAGE = (PROJECT / "docs/engines.md").read_text()
INSTALLED = "/usr/local/bin/pyrunc"
BLOCK = re.compile(r"((?:[^\n]+\n)*)\n```(\w+)\n(.*?)```", re.DOTALL)


def section(title: str) -> str:
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    assert "*Tried.*" in text
    return text


def files(title: str) -> dict[str, str]:
    """Path -> content: the last path in backquotes before a block that is no command."""
    found = {}
    for before, language, content in BLOCK.findall(section(title)):
        if language != "sh":
            paths = re.findall(r"`(/[^`]+)`", before)
            found[paths[0]] = content
    assert found
    return found


def commands(title: str) -> list[str]:
    """One line each; no systemd runs here: what it is told, the test does."""
    blocks = [content for _before, language, content in BLOCK.findall(section(title)) if language == "sh"]
    return [line for block in blocks for line in block.splitlines() if not line.startswith("systemctl")]


def type_in(island: Island, line: str, image: str, directory: Path | None = None) -> Result:
    return island.run("sh", "-c", f"cd {directory or '/'} && {line}", variables={"IMAGE": image})


@pytest.fixture
def island() -> Iterator[Island]:
    """With the runtime installed, and nothing configured."""
    island = Island()
    try:
        if RUNTIME_PATH == PROJECT / "build/pyrunc":
            island.run("sh", "-c", f"cd {PROJECT} && sh csrc/install.sh '' /usr/local").ok(INSTALLED)
        else:
            island.run("ln", "-s", RUNTIME_PATH, INSTALLED).ok()
        (island.directory / ROOT_TAR).write_bytes(root_archive())
        yield island
    finally:
        island.end()


def put(island: Island, path: str, content: str) -> None:
    given = content.encode()
    island.run("sh", "-c", f"mkdir -p $(dirname {path}) && cat >{path}", given=given).ok()


def import_image(island: Island, name: str, namespace: str, command: tuple[str, ...] = ("sh",)) -> None:
    archive = island.directory / "image.tar"
    archive.write_bytes(image_archive(root_archive(), name, command))
    island.run("ctr", "--namespace", namespace, "image", "import", archive).ok()


def test_containerd(island: Island) -> None:
    ((path, content),) = files("containerd").items()
    # Not from the page: root without CAP_SYS_RESOURCE, as in many virtual machines, may not lower an oom_score_adj
    more = '[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = true\n'
    put(island, path, content + more)
    island.daemon("containerd", "containerd")
    wait_until(lambda: island.run("ctr", "version").status == 0)
    import_image(island, IMAGE, "default")
    (line,) = commands("containerd")
    type_in(island, line, IMAGE).ok("hello")
    pod_of_the_named_runtime(island)


def pod_of_the_named_runtime(island: Island) -> None:
    default = island.run("containerd", "config", "default").ok().out
    pause = re.findall(r'sandbox_image = "(.*)"', default)[0]
    import_image(island, pause, "k8s.io", ("sleep", "1000000"))
    cri = Cri(Path(f"/proc/{island.pid}/root/run/containerd/containerd.sock"))
    wait_until(cri.is_there)
    namespaces = {"network": NODE, "pid": NODE, "ipc": NODE}
    config = {
        "metadata": {"name": "pod", "uid": "pod", "namespace": "tests"},
        "linux": {"cgroup_parent": f"/{island.name}", "security_context": {"namespace_options": namespaces}},
    }
    pod = cri.call("RunPodSandbox", config=config, runtime_handler="pyrunc").pod_sandbox_id
    cri.call("StopPodSandbox", pod_sandbox_id=pod)
    cri.call("RemovePodSandbox", pod_sandbox_id=pod)
    cri.close()


def test_docker(island: Island) -> None:
    written = files("Docker")
    for path, content in written.items():
        put(island, path, content)
    hello, *as_runc = commands("Docker")
    for line in as_runc:
        type_in(island, line, "box").ok()
    path_of_unit = re.findall(r"Environment=PATH=(\S+)", "".join(written.values()))[0]
    # Not from the page: cgroups that can be told from everybody else's on the machine
    flags = ("--cgroup-parent", f"/{island.name}")
    island.daemon("dockerd", "dockerd", *flags, variables={"PATH": path_of_unit})
    wait_until(lambda: island.run("docker", "version").status == 0)
    island.run("docker", "import", island.directory / ROOT_TAR, "box").ok()
    type_in(island, hello, "box").ok("hello")
    assert json.loads(island.run("docker", "info", "--format", "{{json .Runtimes}}").ok().text)["pyrunc"]["path"]
    (island.directory / "Dockerfile").write_text("FROM box\nRUN echo built by $(cat /proc/1/comm)\n")
    build = ("docker", "build", "--network", "none", "--no-cache", str(island.directory))
    island.run(*build, variables={"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}).ok("built by")


@pytest.mark.parametrize("user", ["root", USER])
def test_podman(island: Island, user: str) -> None:
    top = island.directory / "home"
    ((path, content),) = files("Podman and Buildah").items()
    put(island, path if user == "root" else f"{top}/.config/containers/containers.conf", content)
    put(island, f"{top}/context/Containerfile", "FROM box\nRUN echo built\n")
    island.run("chown", "-R", user, top).ok()
    run, build = commands("Podman and Buildah")
    # Not from the page: no limits that this machine does not let us raise, and no network to set up
    more = " --network none --ulimit host"
    lines = [
        f"podman import {island.directory}/{ROOT_TAR} box",
        run.replace("--rm", f"--rm{more}"),
        build.replace(" .", " --network none --ulimit nofile=1024:1024 ."),
        "podman info --format '{{.Host.OCIRuntime.Path}}'",
        f"podman run --rm{more} box /nowhere",
    ]
    results = [as_user(island, user, top, line) for line in lines]
    results[0].ok()
    results[1].ok("hello")
    results[2].ok("built")
    assert results[3].ok().text == INSTALLED
    results[4].must_end(127, "no such file or directory")


def as_user(island: Island, user: str, top: Path, line: str) -> Result:
    become = () if user == "root" else ("setpriv", "--reuid", user, "--regid", user, "--init-groups")
    variables = {"IMAGE": "box"} | ({} if user == "root" else {"HOME": str(top)})
    return island.run(*become, "sh", "-c", f"cd {top}/context && {line}", variables=variables)


def test_the_page_says_what_was_not_tried() -> None:
    for title in ("CRI-O", "Kubernetes", "BuildKit"):
        assert "**Not tried here" in PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
