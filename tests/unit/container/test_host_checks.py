"""Would it run here: configs held against made-up machines, everything at once."""

from __future__ import annotations

from typing import Any

import pytest

from ocispec.config import read_config
from ocispec.record import replace
from pyrunc.container.host_checks import HOST_CHECKS, host_problems
from pyrunc.container.host_facts import Facts, paths_of
from pyrunc.kernel.host import CgroupHierarchy, Host
from unit.ocispec.minimal import minimal

CGROUPS = tuple(
    CgroupHierarchy(version=1, controllers=(name,), mountpoint=f"/sys/fs/cgroup/{name}", own_path="/")
    for name in ("cpu", "memory", "pids", "devices")
)
EVERYTHING = (1 << 41) - 1
FACTS = Facts(
    host=Host(euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=CGROUPS),
    bundle="/b",
    kernel=(6, 1),
    namespaces=frozenset(("pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time")),
    filesystems=frozenset(("proc", "tmpfs")),
    capabilities=EVERYTHING,
    resctrl=True,
    network_devices=frozenset(("lo", "eth0")),
    memory_nodes="0-1",
    cpus="0-3",
    seccomp_actions=frozenset(("allow", "errno", "user_notif")),
    has_map_programs=True,
    hard_limits={"Max open files": 1000},
)
USER = replace(FACTS.host, euid=1000, egid=1000)
SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent"}


def problems(document: dict[str, Any], facts: Facts) -> list[str]:
    return [f"{place}: {problem}" for place, problem in host_problems(read_config(document), facts)]


def document(**sections: Any) -> dict[str, Any]:
    """The minimal config with keys of process and linux, and others, set."""
    found = minimal()
    for key in ("process", "linux"):
        found[key] |= sections.pop(key, {})
    return found | sections


def test_a_machine_that_has_everything() -> None:
    assert problems(document(), FACTS) == []


# name -> (what is asked, what the machine is like, what is said)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "kernel": ({}, {"kernel": (5, 10)}, ": Linux 5.10 is too old"),
    "rootfs": ({}, {"paths": {"/b/rootfs": ""}}, "root.path: rootfs rootfs does not exist"),
    "rootfs that is none": ({}, {"paths": {"/b/rootfs": "file"}}, "root.path: rootfs rootfs is not a directory"),
    "program": ({}, {"program": False}, 'process.args[0]: the root filesystem has no "sh"'),
    "bind source": (
        {"mounts": [{"destination": "/x", "type": "bind", "source": "/gone", "options": ["bind"]}]},
        {"paths": {"/gone": ""}},
        'mounts[0].source: "/gone" does not exist',
    ),
    "relative bind source": (
        {"mounts": [{"destination": "/x", "source": "gone", "options": ["rbind"]}]},
        {"paths": {"/b/gone": ""}},
        'mounts[0].source: "gone" does not exist',
    ),
    "file system": (
        {"mounts": [{"destination": "/x", "type": "zfs", "source": "x"}]},
        {},
        'mounts[0].type: this kernel has no file system "zfs"',
    ),
    "namespace": ({}, {"namespaces": FACTS.namespaces - {"time"}}, "linux.namespaces[7].type: this kernel has no time"),
    "namespace path": (
        {"linux": {"namespaces": [{"type": "ipc", "path": "/gone"}], "uidMappings": [], "gidMappings": []}},
        {"paths": {"/gone": ""}},
        "linux.namespaces[0].path: /gone does not exist",
    ),
    "user namespaces": ({}, {"user_namespaces": 0}, "linux.namespaces[5].type: no user namespace may be made here"),
    "rootless": (
        {"linux": {"namespaces": [], "uidMappings": [], "gidMappings": []}},
        {"host": USER},
        "linux.namespaces: rootless container requires user namespaces",
    ),
    "newuidmap": (
        {"linux": {"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}},
        {"host": USER, "has_map_programs": False},
        "linux.uidMappings: more than one's own id takes newuidmap",
    ),
    "apparmor": ({"process": {"apparmorProfile": "x"}}, {}, "process.apparmorProfile: apparmor: config provided but"),
    "selinux": ({"process": {"selinuxLabel": "x"}}, {}, "process.selinuxLabel: selinux is disabled"),
    "resctrl": ({"linux": {"intelRdt": {}}}, {"resctrl": False}, "linux.intelRdt: no resctrl file system is mounted"),
    "network device": (
        {"linux": {"netDevices": {"eth9": {}}}}, {}, 'linux.netDevices["eth9"]: there is no such network device',
    ),
    "right to move it": (
        {"linux": {"netDevices": {"eth0": {}}}}, {"capabilities": 0}, 'linux.netDevices["eth0"]: moving a network',
    ),
    "unified": (
        {"linux": {"resources": {"unified": {"memory.high": "1"}}}}, {}, "linux.resources.unified",
    ),
    "page size": (
        {"linux": {"resources": {"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}}},
        {"page_sizes": ("2MB",)},
        "linux.resources.hugepageLimits[0].pageSize",
    ),
    "hard limit": (
        {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1001}]}},
        {"capabilities": 0},
        "process.rlimits[0].hard: raising it above 1000 needs CAP_SYS_RESOURCE",
    ),
    "oom score": ({"process": {"oomScoreAdj": -1}}, {"capabilities": 0}, "process.oomScoreAdj: lowering it below 0"),
    "real time": (
        {"process": {"scheduler": {"policy": "SCHED_RR", "priority": 1}}},
        {"capabilities": 0},
        "process.scheduler.policy: SCHED_RR needs CAP_SYS_NICE",
    ),
    "nice": (
        {"process": {"scheduler": {"policy": "SCHED_OTHER", "nice": -1}}},
        {"capabilities": 0},
        "process.scheduler.nice: a negative niceness needs CAP_SYS_NICE",
    ),
    "i/o priority": (
        {"process": {"ioPriority": {"class": "IOPRIO_CLASS_RT"}}},
        {"capabilities": 0},
        "process.ioPriority.class: IOPRIO_CLASS_RT needs CAP_SYS_NICE",
    ),
    "memory nodes": (
        {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "1-2"}}}, {}, "linux.memoryPolicy.nodes: this",
    ),
    "processors": (
        {"process": {"execCPUAffinity": {"initial": "3-9", "final": "4,7"}}},
        {},
        "process.execCPUAffinity.final: this machine has the processors 0-3, none of 4,7",
    ),
    "no seccomp": (
        {"linux": {"seccomp": SECCOMP}}, {"seccomp_actions": frozenset()}, "linux.seccomp: this kernel has no seccomp",
    ),
    "no listeners": (
        {"linux": {"seccomp": SECCOMP}}, {"seccomp_actions": frozenset(("allow",))}, "linux.seccomp.listenerPath: this",
    ),
    "no agent": (
        {"linux": {"seccomp": SECCOMP}}, {"paths": {"/agent": "file"}}, "linux.seccomp.listenerPath: no agent listens",
    ),
    "hook": (
        {"hooks": {"createContainer": [{"path": "/h"}]}}, {"paths": {"/h": ""}}, "hooks.createContainer[0].path: /h",
    ),
    "hook that is no program": (
        {"hooks": {"poststop": [{"path": "/h"}]}}, {"paths": {"/h": "file"}}, "hooks.poststop[0].path: /h is no",
    ),
    "sysctl": (
        {"linux": {"sysctl": {"net.ipv4.x": "1"}}},
        {"paths": {"/proc/sys/net/ipv4/x": ""}},
        'linux.sysctl["net.ipv4.x"]: this kernel has no such parameter',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_machine_lacks(case: str) -> None:
    """Exactly one thing is said, and with everything there nothing is."""
    asked, changes, words = CASES[case]
    (said,) = problems(document(**asked), replace(FACTS, **changes))
    assert said.startswith(words)


def test_a_module_may_bring_a_file_system() -> None:
    asked, _, _ = CASES["file system"]
    assert problems(document(**asked), replace(FACTS, has_modules=True)) == []


@pytest.mark.parametrize("case", ["rootfs", "bind source", "namespace path", "no agent", "hook", "sysctl"])
def test_what_we_may_not_look_at_is_no_problem(case: str) -> None:
    asked, changes, _ = CASES[case]
    hidden = dict.fromkeys(changes["paths"], "hidden")
    assert problems(document(**asked), replace(FACTS, paths=hidden)) == []


def test_everything_is_told_at_once() -> None:
    found = problems(
        document(process={"apparmorProfile": "x", "selinuxLabel": "y"}, linux={"intelRdt": {}}),
        replace(FACTS, resctrl=False, kernel=(5, 4), program=False),
    )
    assert len(found) == 5


def test_every_check_has_a_case() -> None:
    said = {check.__name__ for check in HOST_CHECKS for asked, changes, _ in CASES.values()
            if list(check(read_config(document(**asked)), replace(FACTS, **changes)))}  # fmt: skip
    assert said == {check.__name__ for check in HOST_CHECKS}


def test_paths_of_a_file_without_its_bundle() -> None:
    config = read_config(
        document(mounts=[{"destination": "/x", "source": s, "options": ["bind"]} for s in ("/a", "b")])
    )
    assert list(paths_of(config, "")) == ["/a"]
    assert list(paths_of(config, "/b")) == ["/b/rootfs", "/a", "/b/b"]
