"""linux.namespaces, user namespaces, hostname, sysctl, resources: how the container is apart from the host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.bundle import in_user_namespace
from cli.limits import IS_V2
from cli.runtime import PATH, cgroups_of, pids_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from cli.runtime import Runtime

FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup"}


def own(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{FILES[kind]}").readlink())


@pytest.mark.parametrize("kind", FILES)
def test_new(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.namespace(kind)
    assert runtime.script(bundle, f"readlink /proc/self/ns/{FILES[kind]}").strip() != own(kind)


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "cgroup"])
def test_shared_with_the_host(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.without_namespace(kind)
    if kind == "uts":
        bundle.config.pop("hostname")
    if kind == "network":
        bundle.mounts[4] = {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}
    assert runtime.script(bundle, f"readlink /proc/self/ns/{FILES[kind]}").strip() == own(kind)


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process with own namespaces that a container can join."""
    argv = ["unshare", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--pid", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(children[0])
        os.kill(int(children[0]), 9)


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid"])
def test_by_path(runtime: Runtime, bundle: Bundle, stranger: int, kind: str) -> None:
    path = Path(f"/proc/{stranger}/ns/{FILES[kind]}")
    bundle.namespace(kind, str(path))
    if kind == "uts":
        bundle.config.pop("hostname")
    assert runtime.script(bundle, f"readlink /proc/self/ns/{FILES[kind]}").strip() == str(path.readlink())


def test_namespace_of_another_container(runtime: Runtime, bundle: Bundle) -> None:
    """What a pod is: the second container in the first one's network, ipc and uts namespaces."""
    bundle.args("sleep", "100")
    pid = runtime.state(runtime.run_detached(bundle))["pid"]
    for kind in ("network", "ipc", "uts"):
        bundle.namespace(kind, f"/proc/{pid}/ns/{FILES[kind]}")
    bundle.config.pop("hostname")
    out = runtime.script(bundle, "hostname; readlink /proc/self/ns/net")
    assert out.split() == ["box", str(Path(f"/proc/{pid}/ns/net").readlink())]


@pytest.mark.parametrize("path", ["/nope", "/etc/passwd", "/proc/self/ns/uts"])
def test_path_that_is_no_namespace(runtime: Runtime, bundle: Bundle, path: str) -> None:
    bundle.namespace("network", path)
    bundle.save()
    assert runtime("run", "-b", bundle.path, runtime.new_id()).status == 1


def test_loopback_is_up(runtime: Runtime, bundle: Bundle) -> None:
    assert "LOOPBACK,UP" in runtime.script(bundle, "ip link show lo")


def test_hostname(runtime: Runtime, bundle: Bundle) -> None:
    before = os.uname().nodename
    assert runtime.script(bundle, "hostname") == "box\n"
    assert os.uname().nodename == before


def test_sysctl(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmni": "1234"}
    assert runtime.script(bundle, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni") == "1\n1234\n"


@pytest.mark.parametrize("name", ["kernel.panic", "vm.swappiness", "kernel.../x"])
def test_sysctl_of_the_host(runtime: Runtime, bundle: Bundle, name: str) -> None:
    bundle.linux["sysctl"] = {name: "1"}
    runtime.run(bundle).failed(name)


@pytest.mark.parametrize(("name", "kind"), [("net.ipv4.ip_forward", "network"), ("kernel.shmmni", "ipc")])
def test_sysctl_without_its_namespace(runtime: Runtime, bundle: Bundle, name: str, kind: str) -> None:
    bundle.without_namespace(kind)
    bundle.linux["sysctl"] = {name: "1"}
    runtime.run(bundle).failed(name)


def test_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    in_user_namespace(bundle)
    out = runtime.script(bundle, "id -u; cat /proc/self/uid_map; touch /mine; stat -c %u /mine").split()
    assert out == ["0", "0", "100000", "65536", "0"]
    assert (bundle.rootfs / "mine").stat().st_uid == 100000


def test_user_of_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    in_user_namespace(bundle)
    bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [7]}
    out = runtime.script(bundle, "id -u; id -g; grep Groups /proc/self/status")
    assert out.split() == ["1000", "1000", "Groups:", "7"]


def test_devices_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    in_user_namespace(bundle)
    out = runtime.script(bundle, "echo x > /dev/null && head -c 2 /dev/zero | wc -c; stat -c %t:%T /dev/random")
    assert out == "2\n1:8\n"


@pytest.mark.pyrunc_only("runc binds the host's node at that path, if there is one")
def test_listed_devices_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    """They are what config.json says, whatever the host has at that path."""
    in_user_namespace(bundle)
    bundle.linux["devices"] = [
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/deep/er/full", "type": "c", "major": 1, "minor": 7},
        {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600, "uid": 5},
    ]
    script = "stat -c '%n %F %t:%T %a %u %g' /dev/mine /deep/er/full /dev/zero /dev/pipe; head -c 3 /dev/mine | wc -c"
    assert runtime.script(bundle, script, umask=0o077).splitlines() == [
        "/dev/mine character special file 1:5 640 3 4",
        "/deep/er/full character special file 1:7 666 0 0",
        "/dev/zero character special file 1:5 600 0 0",
        "/dev/pipe fifo 0:0 600 5 0",
        "3",
    ]


@pytest.mark.pyrunc_only("runc binds whatever the host has there")
def test_a_listed_device_without_the_right_to_make_it(runtime: Runtime, bundle: Bundle) -> None:
    """The host's node of the same path stands in, if it is that device."""
    in_user_namespace(bundle)
    bundle.linux["devices"] = [{"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o600}]
    bundle.shell("stat -c %t:%T /dev/full")
    argv = ["setpriv", "--bounding-set=-mknod", PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path)]
    for minor in (7, 8):
        bundle.linux["devices"][0]["minor"] = minor
        bundle.save()
        result = runtime.raw([*argv, runtime.new_id()])
        assert (result.status, result.out) == ((0, "1:7\n") if minor == 7 else (1, "")), result


def test_a_device_of_somebody_unknown_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    """The host's node stands in: its owner is nobody inside, as the device's would be."""
    in_user_namespace(bundle, size=10)
    bundle.linux["devices"] = [{"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "uid": 500, "gid": 500}]
    assert runtime.script(bundle, "stat -c '%t:%T %u %g' /dev/full") == "1:7 65534 65534\n"


def test_user_namespace_without_mappings(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user")
    runtime.run(bundle).failed("ser namespaces enabled, but no uid mapping")


@pytest.mark.pyrunc_only("runc 1.1 ignores them")
def test_mappings_without_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    runtime.run(bundle).failed("linux.uidMappings")


def test_cgroup_path(runtime: Runtime, bundle: Bundle) -> None:
    container_id = "clitest-cgroup-path"
    bundle.linux["cgroupsPath"] = f"/clitest/{container_id}"
    bundle.args("sleep", "100")
    runtime.run_detached(bundle)
    assert {path.parent.name for path in cgroups_of(container_id)} == {"clitest"}
    runtime("delete", "-f", runtime.ids[-1]).ok()
    assert not cgroups_of(container_id)
    for directory in cgroups_of("clitest"):
        directory.rmdir()


def test_cgroup_by_default(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    container_id = runtime.create(bundle)
    top = "/sys/fs/cgroup/" if IS_V2 else "/sys/fs/cgroup/pids/"
    assert any(str(path).startswith(top) for path in cgroups_of(container_id))
    pid = runtime.state(container_id)["pid"]
    assert pid in pids_of(container_id), "it is in its cgroups when create returns"


def test_pids_limit_is_felt(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"]["pids"] = {"limit": 5}
    bundle.shell("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all")
    result = runtime.run(bundle)
    assert "can't fork" in result.err


def test_host_root_is_out_of_reach(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.script(bundle, "ls / | tr '\\n' ' '").split() == sorted(
        ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var", "work"]
    )
