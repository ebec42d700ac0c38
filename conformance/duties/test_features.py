"""features.md and features-linux.md: what a runtime says of itself, and that it is true."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duties.agent import Agent
from duties.container import PATH, Result, status_of
from duties.hooks import ran

if TYPE_CHECKING:
    from duties.container import Box, Island

ARCHITECTURE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[os.uname().machine]
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


@pytest.fixture
def features(island: Island) -> dict[str, Any]:
    result = island.run(PATH, "features")
    if result.status != 0 and "unknown command" in result.out + result.err:
        pytest.skip("this version has no `features`")
    document: dict[str, Any] = json.loads(result.ok().out)
    return document


def part(features: dict[str, Any], *names: str) -> Any:
    """A member of the document; a runtime need not tell everything."""
    place: Any = features
    for name in names:
        if place is None or name not in place:
            pytest.skip(f"`features` does not tell {'.'.join(names)}")
        place = place[name]
    return place


# -- the document ------------------------------------------------------------------------------------------------------


def test_the_host_does_not_matter(features: dict[str, Any], island: Island) -> None:
    """The same without cgroups, /proc/filesystems and network."""
    script = 'mount -t tmpfs tmpfs /sys; mount --bind /dev/null /proc/filesystems; exec "$@"'
    result = island.run("unshare", "--mount", "--net", "sh", "-c", script, "sh", PATH, "features")
    assert json.loads(result.ok().out) == features


def test_null_is_not_empty(features: dict[str, Any]) -> None:
    """null is `unknown`, an empty list is `none`, and false is false: nothing known is left as null."""

    def nulls(value: Any, place: str) -> list[str]:
        if value is None:
            return [place]
        if isinstance(value, dict):
            return [found for key, inner in value.items() for found in nulls(inner, f"{place}.{key}")]
        return []

    assert nulls(features, "") == []


def test_versions_are_there(features: dict[str, Any]) -> None:
    for name in ("ociVersionMin", "ociVersionMax"):
        assert features[name].startswith("1."), name


def test_the_lowest_version_is_accepted(box: Box, features: dict[str, Any]) -> None:
    box.config["ociVersion"] = features["ociVersionMin"]
    assert box.output("echo fine") == "fine\n"


def test_the_highest_version_is_accepted(box: Box, features: dict[str, Any]) -> None:
    box.config["ociVersion"] = features["ociVersionMax"]
    assert box.output("echo fine") == "fine\n"


def order(version: str) -> tuple[int, int, int, int]:
    """Semantic Versioning, item 11, as far as it is needed: a pre-release is below its release."""
    core, _, pre = version.partition("-")
    major, minor, patch = (int(word) for word in core.split("."))
    return major, minor, patch, 0 if pre else 1


def test_the_highest_version_is_not_below_the_lowest(features: dict[str, Any]) -> None:
    assert order(features["ociVersionMin"]) <= order(features["ociVersionMax"])


# name -> the version that brought it; below `linux` too
TOP = {
    "ociVersionMin": "1.1.0", "ociVersionMax": "1.1.0", "hooks": "1.1.0", "mountOptions": "1.1.0", "linux": "1.1.0",
    "annotations": "1.1.0", "potentiallyUnsafeConfigAnnotations": "1.2.0",
}  # fmt: skip
LINUX = {
    "namespaces": "1.1.0", "capabilities": "1.1.0", "cgroup": "1.1.0", "seccomp": "1.1.0", "apparmor": "1.1.0",
    "selinux": "1.1.0", "intelRdt": "1.1.0", "mountExtensions": "1.2.0", "memoryPolicy": "1.3.0",
    "netDevices": "1.3.0",
}  # fmt: skip


def test_properties_are_those_of_the_version(features: dict[str, Any]) -> None:
    """features.md came with 1.1; a development version between 1.0.2 and 1.1 may have it."""
    newest = order(features["ociVersionMax"])
    newest = max(newest, order("1.1.0")) if features["ociVersionMax"].startswith("1.0.2-") else newest
    for found, known in ((features, TOP), (features.get("linux", {}), LINUX)):
        assert set(found) <= set(known)
        assert [name for name in found if order(known[name]) > newest] == []


def test_annotations_are_strings(features: dict[str, Any]) -> None:
    for key, value in part(features, "annotations").items():
        assert key
        assert isinstance(value, str)
        assert value == value.strip(), "runc 1.3.0 had a line feed in one"


# -- what is listed works ----------------------------------------------------------------------------------------------


def test_listed_hooks_run(box: Box, features: dict[str, Any]) -> None:
    for kind in part(features, "hooks"):
        assert ran(box, kind), kind
        box.config["hooks"] = {}
        (box.rootfs / "ran").unlink()


FILE_SYSTEM_OPTIONS = {
    "mode",
    "size",
    "uid",
    "gid",
    "nr_inodes",
    "newinstance",
    "ptmxmode",
    "data",
    "lowerdir",
    "hidepid",
}
OF_BINDS = {"bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup", "copy-symlink", "src-nofollow", "dest-nofollow"}


def test_listed_mount_options_are_recognised(box: Box, features: dict[str, Any]) -> None:
    """tmpfs refuses what it is handed and does not know."""
    for option in sorted(set(part(features, "mountOptions"))):
        row = {"destination": f"/mnt/{option}", "type": "tmpfs", "source": "tmpfs", "options": [option]}
        if option in OF_BINDS:
            row |= {"type": "bind", "source": str(box.rootfs / "home"), "options": ["rbind", option]}
        if option in ("idmap", "ridmap"):
            row |= {"uidMappings": MAPS, "gidMappings": MAPS}
        if option == "remount":
            row |= {"destination": "/mnt/bind"}
        if option == "tmpcopyup":
            row |= {"type": "tmpfs", "options": [option], "destination": "/etc"}
        box.mounts.append(row)
    assert box.created()


def test_options_of_file_systems_are_not_listed(features: dict[str, Any]) -> None:
    assert {word.partition("=")[0] for word in part(features, "mountOptions")} & FILE_SYSTEM_OPTIONS == set()


def test_listed_namespaces_are_recognised(box: Box, features: dict[str, Any]) -> None:
    listed = part(features, "linux", "namespaces")
    box.linux["namespaces"] = [{"type": kind} for kind in listed]
    if "user" in listed:
        box.linux["uidMappings"] = box.linux["gidMappings"] = MAPS
    assert box.created()


# linux/capability.h, by number
CAPABILITIES = [f"CAP_{name}" for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()]  # fmt: skip


def test_listed_capabilities_are_recognised(box: Box, features: dict[str, Any]) -> None:
    """A container that asks for all that we can give has just those in its bounding set."""
    numbers = {name: CAPABILITIES.index(name) for name in part(features, "linux", "capabilities")}
    ours = int(status_of("self")["CapBnd"], 16)
    asked = [name for name, number in numbers.items() if ours >> number & 1]
    box.process["capabilities"] = {"bounding": asked, "permitted": asked, "effective": asked}
    found = int(status_of(box.running())["CapBnd"], 16)
    assert found == sum(1 << numbers[name] for name in asked)


def profile(box: Box, **more: Any) -> dict[str, Any]:
    """A filter with one rule for a system call that nobody makes here."""
    rule: dict[str, Any] = {"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}
    box.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [ARCHITECTURE], "syscalls": [rule]}
    box.linux["seccomp"] |= more
    return rule


def check_loaded(box: Box) -> None:
    assert box.output("grep ^Seccomp: /proc/self/status") == "Seccomp:\t2\n"


def test_listed_actions_are_recognised(box: Box, features: dict[str, Any]) -> None:
    with Agent(box.directory / "agent"):
        for action in part(features, "linux", "seccomp", "actions"):
            rule = profile(box)
            rule["action"] = action
            if action == "SCMP_ACT_ALLOW":
                rule["args"] = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]
                box.linux["seccomp"]["defaultAction"] = "SCMP_ACT_LOG"
            if action == "SCMP_ACT_NOTIFY":
                box.linux["seccomp"]["listenerPath"] = str(box.directory / "agent")
            check_loaded(box)


def test_listed_operators_are_recognised(box: Box, features: dict[str, Any]) -> None:
    for operator in part(features, "linux", "seccomp", "operators"):
        rule = profile(box)
        rule["args"] = [{"index": 0, "value": 1, "valueTwo": 1, "op": operator}]
        check_loaded(box)


def test_listed_architectures_are_recognised(box: Box, features: dict[str, Any]) -> None:
    """With the machine's own.  One of the other byte order cannot be with it, which is another error than `unknown`."""
    profile(box, architectures=[ARCHITECTURE, "SCMP_ARCH_NOPE"])
    unknown = told(box.create().refused(), "SCMP_ARCH_NOPE")
    for architecture in part(features, "linux", "seccomp", "archs"):
        profile(box, architectures=[ARCHITECTURE] + [architecture] * (architecture != ARCHITECTURE))
        result = box.create()
        assert told(result, architecture) != unknown, architecture
        box("delete", "--force", box.id)


def told(result: Result, name: str) -> str:
    """An error without its time, this name, and a guess at what was meant."""
    return result.err.partition("msg=")[2].partition("(did you mean")[0].replace(name, "")


def with_flag(box: Box, flag: str) -> Result:
    profile(box, flags=[flag])
    if flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":  # needs a listener (seccomp(2))
        box.linux["seccomp"]["syscalls"][0]["action"] = "SCMP_ACT_NOTIFY"
        box.linux["seccomp"]["listenerPath"] = str(box.directory / "agent")
    result = box.create()
    if result.status == 0:
        result = box.start()
    box("delete", "--force", box.id)
    return result


def test_known_flags_are_recognised(box: Box, features: dict[str, Any]) -> None:
    """What is known and not supported is refused in other words than what is unknown."""
    known = part(features, "linux", "seccomp", "knownFlags")
    with Agent(box.directory / "agent"):
        unknown = told(with_flag(box, "SECCOMP_FILTER_FLAG_NOPE").refused(), "SECCOMP_FILTER_FLAG_NOPE")
        for flag in known:
            assert told(with_flag(box, flag), flag) != unknown, flag


def test_supported_flags_work(box: Box, features: dict[str, Any]) -> None:
    with Agent(box.directory / "agent"):
        for flag in part(features, "linux", "seccomp", "supportedFlags"):
            with_flag(box, flag).ok()


def test_memory_policy_modes_are_recognised(box: Box, features: dict[str, Any]) -> None:
    shown = {"MPOL_BIND": "bind:0", "MPOL_PREFERRED": "prefer:0", "MPOL_INTERLEAVE": "interleave:0"}
    for mode in part(features, "linux", "memoryPolicy", "modes"):
        box.linux["memoryPolicy"] = {"mode": mode}
        if mode not in ("MPOL_DEFAULT", "MPOL_LOCAL"):
            box.linux["memoryPolicy"]["nodes"] = "0"
        assert shown.get(mode, "") in box.output("cat /proc/self/numa_maps"), mode


def test_memory_policy_flags_are_recognised(box: Box, features: dict[str, Any]) -> None:
    for flag in part(features, "linux", "memoryPolicy", "flags"):
        box.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}
        assert "bind" in box.output("cat /proc/self/numa_maps"), flag


def test_idmap_is_told(box: Box, features: dict[str, Any]) -> None:
    """True as soon as any file system works; and not false where it does."""
    told = part(features, "linux", "mountExtensions", "idmap", "enabled")
    source = box.directory / "source"
    source.mkdir()
    row = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["bind", "idmap"]}
    box.mounts.append(row | {"uidMappings": MAPS, "gidMappings": MAPS})
    works = box.create().status == 0 and "idmapped" in Path(f"/proc/{box.state()['pid']}/mountinfo").read_text()
    assert told == works
