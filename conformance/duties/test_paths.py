"""config-linux.md: rootfs propagation, masked and read-only paths, sysctl, labels, personality, memory policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from duties.container import Box

PROPAGATION = {
    "shared": ({"shared"}, {"unbindable"}),
    "slave": (set(), {"shared", "unbindable"}),
    "private": (set(), {"shared", "master", "unbindable"}),
    "unbindable": ({"unbindable"}, {"shared"}),
}


@pytest.mark.parametrize("word", PROPAGATION)
def test_rootfs_propagation(box: Box, word: str) -> None:
    box.linux["rootfsPropagation"] = word
    pid = box.created()
    present, absent = PROPAGATION[word]
    words = {one.partition(":")[0] for one in box.mountinfo(pid, "/")[1]}
    assert present <= words
    assert not absent & words


def test_masked_paths(box: Box) -> None:
    """A file, a directory, a device; what is not there is no error."""
    (box.rootfs / "secret").write_text("secret\n")
    (box.rootfs / "secrets").mkdir()
    (box.rootfs / "secrets/one").write_text("secret\n")
    box.linux["maskedPaths"] = ["/secret", "/secrets", "/dev/full", "/nowhere/at/all"]
    script = (
        "cat /secret; ls -A /secrets; touch /secrets/x 2>/dev/null && echo writable; echo x > /dev/full && echo null"
    )
    assert box.output(script) == "null\n"
    assert (box.rootfs / "secret").read_text() == "secret\n"


@pytest.mark.parametrize("path", ["proc/kcore", "secret", "./x", ""])
def test_masked_paths_are_absolute(box: Box, path: str) -> None:
    (box.rootfs / "secret").write_text("secret\n")
    box.linux["maskedPaths"] = [path]
    box.refused()


def test_readonly_paths(box: Box) -> None:
    (box.rootfs / "file").write_text("old\n")
    (box.rootfs / "folder").mkdir()
    box.linux["readonlyPaths"] = ["/file", "/folder", "/proc/sys", "/nowhere/at/all"]
    script = "(echo new > /file) 2>&1; touch /folder/x 2>&1; (echo 1 > /proc/sys/net/ipv4/ip_forward) 2>&1; cat /file"
    text = box.output(script)
    assert text.lower().count("read-only file system") == 3
    assert text.endswith("old\n")


@pytest.mark.parametrize("path", ["proc/sys", "folder", "./x", ""])
def test_readonly_paths_are_absolute(box: Box, path: str) -> None:
    (box.rootfs / "folder").mkdir()
    box.linux["readonlyPaths"] = [path]
    box.refused()


def test_sysctl(box: Box) -> None:
    box.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "12345", "fs.mqueue.msg_max": "17"}
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max"
    assert box.output(script) == "1\n12345\n17\n"


def test_apparmor_without_apparmor_is_an_error(box: Box) -> None:
    """The profile cannot be applied: not to say so leaves a container that is thought to be confined."""
    assert not Path("/sys/kernel/security/apparmor").exists()
    box.process["apparmorProfile"] = "some-profile"
    box.refused_by_start_at_the_latest()


@pytest.mark.parametrize("personality", [{}, {"domain": ""}, {"domain": "NOPE"}, {"domain": "linux"}])
def test_personality_domain_is_required(box: Box, personality: dict[str, str]) -> None:
    box.linux["personality"] = personality
    box.refused()


@pytest.mark.parametrize("policy", [{"nodes": "0"}, {"mode": ""}, {"mode": "MPOL_NOPE"}, {"mode": "MPOL_BIND"}])
def test_memory_policy_mode_is_required(box: Box, policy: dict[str, str]) -> None:
    """MPOL_BIND without nodes cannot be applied either (set_mempolicy(2))."""
    box.linux["memoryPolicy"] = policy
    box.refused_by_start_at_the_latest()


def test_personality_is_applied(box: Box) -> None:
    """uname(2) of a 32-bit personality says so."""
    box.linux["personality"] = {"domain": "LINUX32"}
    assert box.output("uname -m") == {"x86_64": "i686", "aarch64": "armv8l"}[os.uname().machine] + "\n"


def test_memory_policy_is_applied(box: Box) -> None:
    """numa_maps(5) shows the policy of each mapping."""
    box.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0"}
    assert "bind:0" in box.output("cat /proc/self/numa_maps")
