"""create: a container that waits, and everything that is wrong before it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.runtime import NAME, Runtime

if TYPE_CHECKING:
    from cli.bundle import Bundle


def test_waits_for_start(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("touch /started")
    container_id = runtime.create(bundle)
    state = runtime.state(container_id)
    assert state["status"] == "created"
    assert state["pid"] > 0
    assert Path(f"/proc/{state['pid']}").exists()
    assert not (bundle.rootfs / "started").exists()


def test_later_changes_of_the_config_do_not_matter(runtime: Runtime, bundle: Bundle) -> None:
    """runtime.md: "any updates to config.json after this step MUST NOT affect the container"."""
    bundle.shell("touch /first")
    container_id = runtime.create(bundle)
    (bundle.path / "config.json").write_text("{")
    runtime("start", container_id).ok()
    runtime.wait_for(container_id, "stopped")
    assert (bundle.rootfs / "first").exists()


def test_bundle_is_the_current_directory_by_default(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    container_id = runtime.new_id()
    runtime("create", container_id, cwd=bundle.path).ok()
    assert runtime.state(container_id)["bundle"] == str(bundle.path)


def test_relative_bundle(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    container_id = runtime.new_id()
    runtime("create", "-b", bundle.path.name, container_id, cwd=bundle.path.parent).ok()
    assert runtime.state(container_id)["bundle"] == str(bundle.path)
    assert runtime.state(container_id)["rootfs"] == str(bundle.rootfs)


def test_flags_after_the_id(runtime: Runtime, bundle: Bundle) -> None:
    bundle.save()
    container_id = runtime.new_id()
    runtime("create", container_id, "--bundle", bundle.path).ok()
    assert runtime.state(container_id)["status"] == "created"


def test_absolute_rootfs(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["root"]["path"] = str(bundle.rootfs)
    assert runtime.script(bundle, "ls /bin/busybox") == "/bin/busybox\n"


def test_id_in_use(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    again = runtime("create", "--bundle", bundle.path, container_id)
    again.failed(f"{NAME} create failed: container with given ID already exists")
    assert runtime.state(container_id)["status"] == "created"


def test_no_config(runtime: Runtime, tmp_path: Path) -> None:
    runtime("create", "--bundle", tmp_path, runtime.new_id()).failed(
        f"{NAME} create failed: JSON specification file config.json not found"
    )


@pytest.mark.parametrize("container_id", ["", "a/b", "../x", "ü", "a b", "a\nb", "a:b", ".."])
def test_id_that_is_none(runtime: Runtime, bundle: Bundle, container_id: str) -> None:
    bundle.save()
    result = runtime("create", "--bundle", bundle.path, container_id)
    result.failed("container" if container_id == "" else f"{NAME} create failed: invalid container ID format")


@pytest.mark.parametrize("container_id", ["-x", "a.b", "A_b-c.d+e", "0", "_x", "+x", "x" * 200])
def test_unusual_id(runtime: Runtime, bundle: Bundle, container_id: str) -> None:
    bundle.save()
    runtime.ids.append(container_id)
    runtime("create", "--bundle", bundle.path, "--", container_id).ok()
    assert runtime("list", "-q").ok().out == f"{container_id}\n"
    runtime("delete", "--force", "--", container_id).ok()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], 'exec: "nope": executable file not found in $PATH'),
        (["/nope"], 'exec: "/nope": stat /nope: no such file or directory'),
        (["/bin"], 'exec: "/bin": '),  # 1.1: permission denied, later: is a directory; 126 both
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
        (["/etc/passwd/x"], 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
        (["./nope"], 'exec: "./nope": stat ./nope: no such file or directory'),
    ],
)
def test_executable_is_looked_up(runtime: Runtime, bundle: Bundle, args: list[str], words: str) -> None:
    """Engines derive the exit code of `docker run` from these words."""
    bundle.args(*args)
    bundle.save()
    container_id = runtime.new_id()
    prefix = f"{NAME} create failed: unable to start container process: "
    result = runtime("create", "--bundle", bundle.path, container_id).failed(words)
    assert prefix in result.err.replace('\\"', '"')
    runtime("state", container_id).failed("container does not exist")


def test_cwd_that_cannot_be(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["cwd"] = "/etc/passwd"
    bundle.save()
    runtime("create", "--bundle", bundle.path, runtime.new_id()).failed("/etc/passwd")


def test_environment_of_the_caller_does_not_matter(runtime: Runtime, bundle: Bundle) -> None:
    """podman calls kill and delete without PATH and HOME; containerd's shim sets LD_LIBRARY_PATH."""
    bundle.save()
    container_id = runtime.new_id()
    bare = {"XDG_RUNTIME_DIR": ""}
    runtime("create", "--bundle", bundle.path, container_id, env=bare).ok()
    runtime("start", container_id, env={"LD_LIBRARY_PATH": "/opt/containerd/lib:"}).ok()
    runtime.wait_for(container_id, "stopped")
    runtime("delete", container_id, env=bare).ok()


def test_state_directory_is_not_for_everybody(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    assert (runtime.state_root / container_id).stat().st_mode & 0o066 == 0
    assert (runtime.state_root / container_id / "state.json").stat().st_mode & 0o777 == 0o600


def test_systemd_where_there_is_none(runtime: Runtime, bundle: Bundle) -> None:
    """Engines look for these words; this machine has no systemd."""
    assert not Path("/run/systemd/system").exists()
    bundle.save()
    words = "systemd not running on this host, cannot use systemd cgroups manager"
    runtime("create", "-b", bundle.path, runtime.new_id(), before=("--systemd-cgroup",)).failed(words)
