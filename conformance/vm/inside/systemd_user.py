"""--systemd-cgroup as a user: the scope is of the user's own manager, which delegates what it was given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.bundle import APPLETS, DIRECTORIES, default_config
from cli.runtime import Runtime

sys.path.insert(0, str(Path(__file__).resolve().parent))
from units import directories, is_known, memberships, show, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = ("--user",)
SYSTEMD = ("--systemd-cgroup",)
SERVICE = f"/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service"


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(tmp_path)
    yield runtime
    runtime.clean_up()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A bundle that a user can run."""
    bundle = tmp_path / "bundle"
    for directory in DIRECTORIES:
        (bundle / "rootfs" / directory).mkdir(parents=True)
    shutil.copy2("/bin/busybox", bundle / "rootfs/bin/busybox")
    for applet in APPLETS:
        (bundle / "rootfs/bin" / applet).symlink_to("busybox")
    return bundle


def configure(bundle: Path, cgroups_path: str, *args: str, **resources: Any) -> None:
    config = default_config()
    config["process"]["args"] = list(args)
    linux = config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["namespaces"] = [one for one in linux["namespaces"] if one["type"] != "network"]
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.getuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getgid(), "size": 1}]
    linux["resources"] = resources
    linux["cgroupsPath"] = cgroups_path
    for mount in config["mounts"]:
        mount["options"] = [one for one in mount.get("options", []) if not one.startswith("gid=")]
    config["mounts"] = [one for one in config["mounts"] if one["destination"] != "/sys"]
    (bundle / "config.json").write_text(json.dumps(config))


def create(runtime: Runtime, bundle: Path) -> tuple[str, int]:
    container = runtime.new_id()
    runtime("create", "--bundle", bundle, container, before=SYSTEMD).ok()
    return container, runtime.state(container)["pid"]


def test_the_tests_are_outside_of_what_is_delegated() -> None:
    """So that nothing here works by the user's own write access alone."""
    assert "/session-" in memberships(os.getpid())[""]
    assert os.getuid() != 0


def test_a_container_of_a_user(runtime: Runtime, box: Path) -> None:
    configure(box, "user.slice:vmtest:life", "sleep", "1000", memory={"limit": 64 << 20}, pids={"limit": 44})
    container, pid = create(runtime, box)
    unit, path = "vmtest-life.scope", f"{SERVICE}/user.slice/vmtest-life.scope"
    assert memberships(pid)[""] == path
    shown = {"TasksMax": "44", "MemoryMax": str(64 << 20), "Delegate": "yes", "ActiveState": "active"}
    assert show(unit, *shown, manager=USER) == shown
    assert value_of(path, "", "memory.max") == str(64 << 20)
    assert value_of(path, "", "cgroup.procs").split() == [str(pid)]
    runtime("start", container).ok()
    runtime("exec", "--detach", container, "sleep", "1001").ok()
    assert len(value_of(path, "", "cgroup.procs").split()) == 2
    runtime("update", "--pids-limit", "33", container).ok()
    assert value_of(path, "", "pids.max") == "33"
    assert show(unit, "TasksMax", manager=USER) == {"TasksMax": "33"}
    runtime("pause", container).ok()
    runtime("resume", container).ok()
    runtime("delete", "--force", container).ok()
    assert not is_known(unit, USER)
    assert directories(path) == []


def test_without_a_path_it_is_in_the_users_slice(runtime: Runtime, box: Path) -> None:
    configure(box, "", "sleep", "1000")
    container, pid = create(runtime, box)
    assert memberships(pid)[""] == f"{SERVICE}/user.slice/runc-{container}.scope"


def test_over_the_bus_alone(runtime: Runtime, box: Path) -> None:
    """XDG_RUNTIME_DIR unset: what is left is DBUS_SESSION_BUS_ADDRESS."""
    configure(box, "user.slice:vmtest:bus", "sleep", "1000")
    environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    container = runtime.new_id()
    runtime("create", "--bundle", box, container, before=SYSTEMD, env=environment).ok()
    assert show("vmtest-bus.scope", "ActiveState", manager=USER) == {"ActiveState": "active"}
    runtime("delete", "--force", container, env=environment).ok()
    assert not is_known("vmtest-bus.scope", USER)


def test_nobody_to_ask(runtime: Runtime, box: Path) -> None:
    configure(box, "user.slice:vmtest:nobody", "true")
    result = runtime("create", "--bundle", box, runtime.new_id(), before=SYSTEMD, env={"PATH": os.environ["PATH"]})
    assert result.status == 1
    assert "cannot reach this user's systemd: neither XDG_RUNTIME_DIR nor" in result.err


def test_root_of_a_namespace_of_the_users(runtime: Runtime, box: Path) -> None:
    """What rootless podman is: uid 0, of a namespace that a user made."""
    configure(box, "user.slice:vmtest:inner", "sleep", "1000")
    config = json.loads((box / "config.json").read_text())
    config["linux"]["uidMappings"][0]["hostID"] = config["linux"]["gidMappings"][0]["hostID"] = 0
    (box / "config.json").write_text(json.dumps(config))
    container = runtime.new_id()
    call = ["unshare", "--user", "--map-root-user", "--mount", "--", os.environ.get("RUNTIME", "build/pyrunc")]
    words = ["--root", str(runtime.state_root), *SYSTEMD, "create", "--bundle", str(box), container]
    runtime.raw([*call, *words]).ok()
    assert show("vmtest-inner.scope", "ActiveState", manager=USER) == {"ActiveState": "active"}
    assert memberships(runtime.state(container)["pid"])[""] == f"{SERVICE}/user.slice/vmtest-inner.scope"


@pytest.mark.parametrize("peer", ["runc", "crun"])
def test_a_peer_puts_it_at_the_same_place(runtime: Runtime, box: Path, tmp_path: Path, peer: str) -> None:
    configure(box, f"user.slice:vmtest:{peer}", "sh", "-c", "cat /proc/self/cgroup", pids={"limit": 44})
    program = shutil.which(peer, path="/usr/sbin:/usr/bin")
    assert program is not None
    call = [program, "--root", str(tmp_path / peer), *SYSTEMD, "run", "--bundle", str(box), peer]
    theirs = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    ours = runtime("run", "--bundle", box, runtime.new_id(), before=SYSTEMD).ok().out
    theirs = theirs.replace("/container\n", "\n")  # crun's own, below the scope, for a user
    assert ours == theirs == f"0::{SERVICE}/user.slice/vmtest-{peer}.scope\n"
