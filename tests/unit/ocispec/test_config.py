"""Right configs: what engines really send, and every field of the model."""

from __future__ import annotations

import json
from typing import Any

import pytest

import ocispec.config
import ocispec.linux
import ocispec.resources
import ocispec.seccomp
from ocispec.config import Config, Hook, Root, User, read_config, read_process
from ocispec.defaults import default_config
from ocispec.linux import IDMapping, Namespace, TimeOffset
from ocispec.record import Record, fields_of
from ocispec.resources import Cpu, Memory, Pids, Resources, WeightDevice, read_resources
from ocispec.seccomp import ArgumentRule
from unit.ocispec.full import FULL
from unit.ocispec.minimal import config_with, minimal, recorded

MODULES = (ocispec.config, ocispec.linux, ocispec.resources, ocispec.seccomp)


@pytest.mark.parametrize("name", ["containerd", "docker", "podman", "runc-spec", "runc-spec-rootless"])
def test_recorded_configs_pass_without_a_warning(name: str) -> None:
    warnings: list[str] = []
    config = read_config(recorded(name), warnings)
    assert warnings == []
    assert config.process is not None
    assert config.process.args == tuple(recorded(name)["process"]["args"])
    assert [m.destination for m in config.mounts] == [m["destination"] for m in recorded(name)["mounts"]]


@pytest.mark.parametrize("rootless", [False, True])
def test_defaults_are_what_runc_writes(rootless: bool) -> None:
    expected = recorded("runc-spec-rootless" if rootless else "runc-spec")
    document = default_config(rootless=rootless, uid=0, gid=0)
    assert document.pop("ociVersion") == "1.3.0"
    assert expected.pop("ociVersion") == "1.0.2-dev"
    assert json.dumps(document) == json.dumps(expected)  # the order of keys counts too


def test_rootless_default_maps_the_caller() -> None:
    config = read_config(default_config(rootless=True, uid=1000, gid=100, cgroup_namespace=True))
    assert config.linux.uid_mappings == (IDMapping(container_id=0, host_id=1000, size=1),)
    assert config.linux.gid_mappings == (IDMapping(container_id=0, host_id=100, size=1),)
    assert [n.type for n in config.linux.namespaces] == ["pid", "ipc", "uts", "mount", "cgroup", "user"]


def test_minimal() -> None:
    document = {"ociVersion": "1.0.0", "root": {"path": "r"}}
    assert read_config(document) == Config(oci_version="1.0.0", root=Root(path="r"))


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.3.0", "1.99.0", "1.0.0-rc.1+build.5"])
def test_every_version_1_is_taken(version: str) -> None:
    assert read_config({**minimal(), "ociVersion": version}).oci_version == version


def test_full_config_has_no_warning_and_no_default() -> None:
    """Every field of every record is said by FULL, so none can be forgotten by the reader."""
    warnings: list[str] = []
    config = read_config(FULL, warnings)
    assert warnings == []
    said: set[str] = set()
    collect(config, said)
    records = [
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    ]
    assert len(records) > 30
    wanted = {f"{kind.__name__}.{field}" for kind in records for field in fields_of(kind)}
    # not distinguishable from absent by design: 0 is "not set", empty lists stay empty
    silent = {
        *("BlockIO.weight", "Memory.swappiness", "Personality.flags", "Capabilities.inheritable"),
        *("Scheduler.nice", "Scheduler.priority"),
    }
    assert wanted - said == silent


def collect(value: Any, said: set[str]) -> None:
    """The names of all fields below a value that differ from the record's default."""
    if isinstance(value, Record):
        defaults = type(value)._defaults  # type: ignore[attr-defined]
        for field in fields_of(value):
            item = getattr(value, field)
            if field not in defaults or item != defaults[field]:
                said.add(f"{type(value).__name__}.{field}")
            collect(item, said)
    elif isinstance(value, tuple | list):
        for item in value:
            collect(item, said)
    elif isinstance(value, dict):
        for item in value.values():
            collect(item, said)


def test_values_of_the_full_config() -> None:
    config = read_config(FULL)
    assert config.process is not None
    assert config.process.user == User(uid=4294967294, gid=7, umask=0o22, additional_gids=(5, 6))
    assert config.process.io_priority is not None
    assert config.process.io_priority.class_ == "IOPRIO_CLASS_BE"
    assert config.hooks.poststop == (Hook(path="/bin/hook", args=("hook", "x"), env=("A=b",), timeout=5),)
    assert config.linux.namespaces[1] == Namespace(type="network", path="/proc/1/ns/net")
    assert config.linux.time_offsets["boottime"] == TimeOffset(secs=2)
    assert config.linux.devices[0].file_mode == 0o660  # 8624 is 020660: the type is said by `type`
    assert config.linux.sysctl == {"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0/1.forwarding": "0"}
    assert config.linux.seccomp is not None
    assert config.linux.seccomp.syscalls[0].args == (
        ArgumentRule(index=5, value=2**64 - 1, value_two=1, op="SCMP_CMP_MASKED_EQ"),
    )
    resources = config.linux.resources
    assert resources is not None
    assert (resources.devices[1].major, resources.devices[1].minor) == (1, None)  # -1 is any
    assert resources.memory is not None
    assert resources.memory.swappiness is None  # 2^64-1 is "not set"
    assert resources.block_io is not None
    assert resources.block_io.weight is None  # 0 is "not set"
    assert resources.block_io.weight_device == (WeightDevice(major=8, minor=0, weight=500, leaf_weight=300),)


def test_absent_and_empty_seccomp_flags_differ() -> None:
    profile: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW"}
    for given, expected in ((None, None), ([], ())):
        config = read_config(config_with("linux.seccomp", {**profile, "flags": given}))
        assert config.linux.seccomp is not None
        assert config.linux.seccomp.flags == expected


def test_process_as_engines_send_it_to_exec() -> None:
    process = read_process(
        {
            "terminal": True,
            "user": {"uid": 0, "gid": 0, "additionalGids": [0]},
            "args": ["sh"],
            "env": [],
            "cwd": "/",
            "capabilities": {"bounding": ["CAP_CHOWN"]},
        }
    )
    assert process.capabilities is not None
    assert process.capabilities.bounding == ("CAP_CHOWN",)
    assert process.capabilities.ambient == ()
    assert read_process({"args": ["sh"], "cwd": "/"}).user == User(uid=0, gid=0)


def test_resources_as_engines_send_them_to_update() -> None:
    resources = read_resources(
        {
            "memory": {"limit": 67108864, "reservation": 0, "swap": 134217728, "kernel": 0},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
            "pids": {"limit": 50},
            "blockIO": {"weight": 0},
        }
    )
    assert resources.memory == Memory(limit=67108864, reservation=0, swap=134217728, kernel=0)
    assert resources.cpu == Cpu(shares=512, quota=50000, period=100000, cpus="0")
    assert resources.pids == Pids(limit=50)
    assert read_resources({}) == Resources()


WARNINGS = {
    "linux.resources.memory.kernel: Linux has no kernel memory limit since 5.16, ignoring": config_with(
        "linux.resources.memory", {"kernel": 5}
    ),
    "linux.resources.memory.kernelTCP: no limit is set on kernel TCP memory, ignoring": config_with(
        "linux.resources.memory", {"kernelTCP": 5}
    ),
    'process.capabilities.bounding[1]: unknown capability "CAP_FOO", ignoring': config_with(
        "process.capabilities", {"bounding": ["CAP_KILL", "CAP_FOO"]}
    ),
    "process.scheduler.nice: has no effect on SCHED_RR, ignoring": config_with(
        "process.scheduler", {"policy": "SCHED_RR", "priority": 1, "nice": 1}
    ),
    "process.commandLine: only for Windows, ignoring": config_with("process.commandLine", "x"),
    "process.user.username: only for Windows, ignoring": config_with("process.user.username", "x"),
    "windows: not for Linux containers, ignoring": config_with("windows", {}),
    "linux.intelRdt.enableCMT: removed in runtime-spec 1.3, ignoring": config_with(
        "linux.intelRdt", {"enableCMT": True}
    ),
    "linux.intelRdt.memBwSchema: should start with MB:": config_with("linux.intelRdt", {"memBwSchema": "x"}),
    'mounts[0].destination: should be an absolute path, not "a"': config_with("mounts", [{"destination": "a"}]),
    "linux.uidMappings: the user namespace is joined by path and keeps its own mappings, ignoring": config_with(
        "linux.namespaces", [{"type": "user", "path": "/proc/1/ns/user"}]
    ),
}


@pytest.mark.parametrize("warning", WARNINGS)
def test_what_is_odd_is_accepted_with_a_warning(warning: str) -> None:
    warnings: list[str] = []
    read_config(WARNINGS[warning], warnings)
    assert warnings == [warning]
    assert read_config(WARNINGS[warning]).oci_version == "1.3.0"
