"""Settings go to the kernel's own procfs, whatever is mounted on the /proc that the stage finds (CVE-2025-52881).

The stage finds somebody else's when it joins a mount namespace by path, a masked one when pyrunc runs in a container.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime

pytestmark = pytest.mark.pyrunc_only("runc 1.1.5 writes through the /proc that it finds")
KEY = "net.ipv4.ip_forward"


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[int]:
    """A process in a mount namespace whose /proc/sys is a tmpfs with a file of that name."""
    fake = tmp_path / "fake"
    script = f"""
        mkdir -p {fake}; mount -t tmpfs none {fake}; mkdir -p {fake}/net/ipv4; echo fake >{fake}/net/ipv4/ip_forward
        mount --bind {fake} /proc/sys; echo ready >{tmp_path}/ready; exec sleep 100
    """
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script]
    with subprocess.Popen(argv) as process:
        wait_until((tmp_path / "ready").exists)
        yield process.pid
        process.kill()


def test_a_joined_mount_namespace(runtime: Runtime, bundle: Bundle, neighbour: int) -> None:
    """The setting is the container's own, and the file that stood in its place is as it was."""
    bundle.namespace("mount", f"/proc/{neighbour}/ns/mnt")
    bundle.config["mounts"] = [mount for mount in bundle.mounts if mount["destination"] == "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["sysctl"] = {KEY: "1"}
    with open(f"/proc/{neighbour}/root/proc/sys/net/ipv4/ip_forward") as fake:
        assert fake.read() == "fake\n"
        assert runtime.script(bundle, "cat /proc/sys/net/ipv4/ip_forward") == "1\n"
        fake.seek(0)
        assert fake.read() == "fake\n"


@pytest.mark.parametrize("spaces", [(), ("user",)], ids=["root", "user namespace"])
def test_a_masked_proc_of_the_host(runtime: Runtime, bundle: Bundle, tmp_path: Path, spaces: tuple[str, ...]) -> None:
    """As in a container: /proc/sys is read-only.  Root makes a procfs of its own; who may not is told."""
    bundle.linux["sysctl"] = {KEY: "1"}
    if spaces:
        bundle.namespace("user")
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = maps
    bundle.config["mounts"] = []
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.args("true")
    bundle.save()
    script = 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec "$@"'
    command = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh"]
    argv = [*command, PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path)]
    result = runtime.raw([*argv, runtime.new_id()])
    if spaces:
        result.failed("linux.sysctl")
    else:
        result.ok()
