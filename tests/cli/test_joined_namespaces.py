"""linux.namespaces, id mappings, time offsets, sysctl, from the outside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.bundle import Bundle
    from cli.runtime import Runtime

MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]
NOBODY_HERE = 12345


@pytest.fixture
def neighbour() -> Iterator[Callable[..., int]]:
    """`unshare OPTIONS sleep`; the pid of the sleep."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        process = subprocess.Popen(
            ["unshare", *options, "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return int(children[0]) if children else process.pid

    yield start
    for process in started:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def namespace(pid: int | str, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


def inside(runtime: Runtime, bundle: Bundle, *names: str) -> list[str]:
    return runtime.script(bundle, "".join(f"readlink /proc/self/ns/{name};" for name in names)).split()


def user_namespace(bundle: Bundle) -> None:
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = MAPS
    # uid 100000 has to reach the rootfs
    for directory in (bundle.path, *bundle.path.parents):
        directory.chmod(directory.stat().st_mode | 0o111)


def test_new_ones_are_new(runtime: Runtime, bundle: Bundle) -> None:
    names = ("pid", "net", "ipc", "uts", "mnt")
    found = inside(runtime, bundle, *names)
    assert all(inner != namespace("self", name) for inner, name in zip(found, names, strict=True))


def test_what_is_not_named_is_the_hosts(runtime: Runtime, bundle: Bundle) -> None:
    for kind in ("network", "ipc", "uts"):
        bundle.without_namespace(kind)
    bundle.config.pop("hostname")
    bundle.config["mounts"] = [mount for mount in bundle.mounts if mount["type"] != "sysfs"]
    names = ("net", "ipc", "uts", "user")
    assert inside(runtime, bundle, *names) == [namespace("self", name) for name in names]


def test_joined_ones_as_in_a_pod(runtime: Runtime, bundle: Bundle, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--net", "--ipc", "--uts")
    for kind, name in (("network", "net"), ("ipc", "ipc"), ("uts", "uts")):
        bundle.namespace(kind, f"/proc/{pid}/ns/{name}")
    names = ("net", "ipc", "uts")
    assert inside(runtime, bundle, *names) == [namespace(pid, name) for name in names]


def test_a_shared_pid_namespace(runtime: Runtime, bundle: Bundle, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--pid", "--fork")
    bundle.namespace("pid", f"/proc/{pid}/ns/pid")
    assert inside(runtime, bundle, "pid") == [namespace(pid, "pid")]
    container_id = runtime.run_detached(bundle_with_sleep(bundle))
    state = runtime.state(container_id)
    assert namespace(state["pid"], "pid") == namespace(pid, "pid")
    assert Path(f"/proc/{state['pid']}/stat").read_text().split()[3] != str(pid)
    runtime("kill", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")


def bundle_with_sleep(bundle: Bundle) -> Bundle:
    bundle.args("sleep", "60")
    return bundle


def test_a_namespace_that_is_not_there(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("network", "/run/netns/no-such-namespace")
    runtime.run(bundle).failed("no-such-namespace")


def test_a_new_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    user_namespace(bundle)
    lines = runtime.script(bundle, "id -u; cat /proc/self/uid_map; cat /proc/self/gid_map; hostname").split()
    assert lines == ["0", "0", "100000", "65536", "0", "100000", "65536", "box"]


def test_a_user_of_a_new_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    user_namespace(bundle)
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7]}
    container_id = runtime.run_detached(bundle_with_sleep(bundle))
    status = Path(f"/proc/{runtime.state(container_id)['pid']}/status").read_text().split("\n")
    fields = {name: rest.split() for name, _, rest in (line.partition(":") for line in status)}
    assert fields["Uid"] == ["101000"] * 4
    assert fields["Gid"] == ["101001"] * 4
    assert "100007" in fields["Groups"]
    runtime("kill", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")


def test_maps_of_several_ranges(runtime: Runtime, bundle: Bundle) -> None:
    """In any order, with holes, to hosts' ids of any order."""
    user_namespace(bundle)
    bundle.linux["uidMappings"] = [
        {"containerID": 5000, "hostID": 300000, "size": 1},
        {"containerID": 0, "hostID": 100000, "size": 10},
        {"containerID": 1000, "hostID": 200000, "size": 100},
    ]
    bundle.process["user"] = {"uid": 5000, "gid": 0}
    out = runtime.script(bundle, "id -u; cat /proc/self/uid_map").split()
    assert out[0] == "5000"
    rows = {tuple(map(int, out[i : i + 3])) for i in range(1, len(out), 3)}
    assert rows == {(5000, 300000, 1), (0, 100000, 10), (1000, 200000, 100)}


def test_the_init_is_a_child_of_the_caller(runtime: Runtime, bundle: Bundle) -> None:
    """With a second process too: what waits for `run` gets the program's status."""
    user_namespace(bundle)
    bundle.shell("exit 7")
    assert runtime.run(bundle).status == 7


def test_no_mappings(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user")
    assert "no uid mappings found" in runtime.run(bundle).failed().err


def test_a_users_namespace_joined_with_the_same_mappings(
    runtime: Runtime, bundle: Bundle, neighbour: Callable[..., int]
) -> None:
    """containerd's CRI sends both."""
    pid = neighbour("--user", "--net")
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 100000 65536\n")
    user_namespace(bundle)
    bundle.namespace("user", f"/proc/{pid}/ns/user")
    bundle.namespace("network", f"/proc/{pid}/ns/net")
    assert inside(runtime, bundle, "user", "net") == [namespace(pid, "user"), namespace(pid, "net")]


@pytest.mark.pyrunc_only
def test_time_offsets(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1000000}}
    uptime = float(runtime.script(bundle, "cut -d. -f1 /proc/uptime"))
    assert 999999 < uptime - float(Path("/proc/uptime").read_text().split()[0]) < 1000010


def test_sysctls(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "7654321", "fs.mqueue.msg_max": "11"}
    out = runtime.script(bundle, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax")
    assert out.split() == ["1", "7654321"]


def test_sysctls_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    user_namespace(bundle)
    bundle.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 65535"}
    assert runtime.script(bundle, "cat /proc/sys/net/ipv4/ping_group_range").split() == ["0", "65535"]


def test_lo_is_up(runtime: Runtime, bundle: Bundle) -> None:
    assert "UP" in runtime.script(bundle, "ifconfig lo")


def test_rootless(bundle: Bundle, tmp_path: Path) -> None:
    """An ordinary user with one id of their own, in a state root of theirs."""
    user_namespace(bundle)
    own = [{"containerID": 0, "hostID": NOBODY_HERE, "size": 1}]
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = own
    bundle.linux.pop("resources")
    bundle.process["rlimits"] = []
    bundle.process["cwd"] = "/made/here"
    bundle.config["mounts"] = [mount for mount in bundle.mounts if mount["type"] in ("proc", "tmpfs")]
    bundle.shell("id -u; pwd; echo $HOME; touch /made/here/file; hostname")
    bundle.save()
    home = tmp_path / "user"
    home.mkdir()
    # A copy: the template's busybox is a hard link.
    shutil.copytree(bundle.path, home / "bundle", symlinks=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY_HERE, NOBODY_HERE, follow_symlinks=False)
    result = subprocess.run(
        [PATH, "--root", str(home / "state"), "run", "--bundle", str(home / "bundle"), f"rootless-{os.getpid()}"],
        user=NOBODY_HERE,
        group=NOBODY_HERE,
        extra_groups=[],
        env={"XDG_RUNTIME_DIR": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (result.returncode, result.stdout.decode().split()) == (0, ["0", "/made/here", "/root", "box"]), result
    assert (home / "bundle/rootfs/made/here/file").stat().st_uid == NOBODY_HERE
