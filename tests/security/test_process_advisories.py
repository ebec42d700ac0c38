"""Replays of what was done to other runtimes through process.cwd, user, args, stdio, and linux.sysctl."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import ROOT_OF_PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime


@pytest.mark.parametrize("number", range(3, 20))
def test_cwd_in_a_leaked_directory(runtime: Runtime, bundle: Bundle, tmp_path: Path, number: int) -> None:
    """CVE-2024-21626: the caller leaks a directory of the host, or the runtime does; cwd leads there."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host/secret").write_text("secret")
    leaked = os.open(tmp_path / "host", os.O_RDONLY)
    os.dup2(leaked, 60)
    try:
        bundle.process["cwd"] = f"/proc/self/fd/{number}"
        bundle.process["args"] = ["cat", "secret"]
        result = runtime.run(bundle, pass_fds=(leaked, 60))
        assert result.status == 1, result
        assert "secret" not in result.out
        (bundle.rootfs / "way").symlink_to("/proc/self/fd/60")
        bundle.process["cwd"] = "/way"
        assert runtime.run(bundle, pass_fds=(leaked, 60)).status == 1
    finally:
        os.close(leaked)
        os.close(60)


def test_only_stdio_is_open_inside(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    leaked = os.open(tmp_path, os.O_RDONLY)
    try:
        bundle.process["args"] = ["ls", "/proc/self/fd"]
        result = runtime.run(bundle, pass_fds=(leaked,)).ok()
        assert result.out.split() == ["0", "1", "2", "3"]  # 3 is ls's own
    finally:
        os.close(leaked)


def test_cwd_through_a_link_makes_nothing_on_the_host(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """podman's CVE-2026-55686."""
    (tmp_path / "host").mkdir()
    (bundle.rootfs / "absolute").symlink_to(tmp_path / "host")
    (bundle.rootfs / "upwards").symlink_to("../../../../../../../../.." + str(tmp_path / "host"))
    for cwd in ("/absolute/made", "/upwards/made"):
        bundle.process["cwd"] = cwd
        runtime.run(bundle)
    assert os.listdir(tmp_path / "host") == []


def test_a_numeric_user_is_never_looked_up(runtime: Runtime, bundle: Bundle) -> None:
    """CVE-2016-3697: passwd has a user called 1000 who is root."""
    (bundle.rootfs / "etc/passwd").write_text("1000:x:0:0::/root:/bin/sh\nn:x:01000:0::/x:/bin/sh\n")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    out = runtime.script(bundle, "id -u; echo $HOME")
    assert out.split() == ["1000", "/"]


def test_inheritable_stays_empty(runtime: Runtime, bundle: Bundle) -> None:
    """CVE-2022-24769, CVE-2022-29162."""
    assert runtime.script(bundle, "grep CapInh /proc/self/status").split()[1] == "0" * 16


@pytest.mark.parametrize("kind", ["fifo", "directory", "endless", "link"])
def test_a_hostile_passwd_does_not_hang_the_runtime(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """containerd's CVE-2026-47262, and a fifo that nobody writes to."""
    path = bundle.rootfs / "etc/passwd"
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "endless":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    else:
        path.symlink_to("/dev/zero")
    assert runtime.script(bundle, "echo $HOME") == "/\n"


def test_dev_null_of_the_image_is_not_chowned(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2026-88265: stdio is a pipe, and the image's /dev/null a link to a file of the host."""
    canary = tmp_path / "canary"
    canary.write_text("canary")
    bundle.config["mounts"] = [
        *(mount for mount in bundle.mounts if not mount["destination"].startswith("/dev")),
        {"destination": "/victim", "type": "bind", "source": str(canary), "options": ["bind"]},
    ]
    (bundle.rootfs / "dev/null").unlink(missing_ok=True)
    (bundle.rootfs / "dev/null").symlink_to("/victim")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    runtime.run(bundle, input=b"")
    assert (canary.stat().st_uid, canary.read_text()) == (0, "canary")


def test_a_sysctl_is_not_redirected_by_a_volume(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2025-52881: the write goes to a file of the attacker's choice."""
    volume = tmp_path / "volume"
    (volume / "ipv4").mkdir(parents=True)
    (tmp_path / "canary").write_text("canary")
    (volume / "ipv4/ip_forward").symlink_to(tmp_path / "canary")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.mounts.append({"destination": "/proc/sys/net", "type": "bind", "source": str(volume), "options": ["bind"]})
    runtime.run(bundle)
    assert (tmp_path / "canary").read_text() == "canary"


@pytest.mark.parametrize("key", ["kernel.core_pattern", "vm.swappiness", "kernel/core_pattern", "net/../kernel/sem"])
def test_a_sysctl_of_the_host_is_refused(runtime: Runtime, bundle: Bundle, key: str) -> None:
    before = subprocess.run(["sysctl", "-n", "kernel.core_pattern"], capture_output=True, check=True).stdout
    bundle.linux["sysctl"] = {key: "1"}
    assert runtime.run(bundle).status == 1
    assert subprocess.run(["sysctl", "-n", "kernel.core_pattern"], capture_output=True, check=True).stdout == before


@pytest.mark.parametrize("entry", ["/proc/self/exe", "/tool"])
def test_the_runtime_as_the_entry_point(runtime: Runtime, bundle: Bundle, entry: str) -> None:
    """CVE-2019-5736: what the container reaches as /proc/self/exe is a sealed copy of the stage, and not writable."""
    (bundle.rootfs / "tool").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "tool").chmod(0o755)
    installed = [path for path in (ROOT_OF_PROJECT / "build/lib").iterdir() if path.is_file()]
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in installed]
    bundle.process["args"] = [entry]
    assert runtime.run(bundle).status != 0
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in installed] == before


@pytest.mark.parametrize(
    "user", [{"uid": -1}, {"uid": 4294967295}, {"uid": 4294967296}, {"gid": 1 << 64}, {"uid": "0"}]
)
def test_an_id_that_is_none_is_refused(runtime: Runtime, bundle: Bundle, user: dict[str, object]) -> None:
    """CVE-2024-40635: an overflow makes it root."""
    bundle.process["user"] = {"uid": 0, "gid": 0} | user
    runtime.run(bundle).failed("process.user")
