"""State and features documents: keys, their order, and what is left out."""

from __future__ import annotations

import json

from ocispec.features import (
    CgroupFeatures,
    Features,
    IntelRdtFeatures,
    LinuxFeatures,
    MemoryPolicyFeatures,
    SeccompFeatures,
)
from ocispec.state import ContainerProcessState, State
from ocispec.writer import container_process_state_document, features_document, state_document

STATE = State(oci_version="1.3.0", id="c1", status="running", bundle="/b", pid=42)


def test_bare_state() -> None:
    assert json.dumps(state_document(STATE)) == json.dumps(
        {"ociVersion": "1.3.0", "id": "c1", "pid": 42, "status": "running", "bundle": "/b"}
    )


def test_state_as_runc_prints_it() -> None:
    state = State(
        oci_version="1.3.0",
        id="c1",
        status="stopped",
        bundle="/b",
        rootfs="/b/rootfs",
        created="2026-11-23T19:09:15.431157606Z",
        annotations={"b": "1", "a": "2"},
        owner="",
    )
    assert list(state_document(state).items()) == [
        ("ociVersion", "1.3.0"),
        ("id", "c1"),
        ("pid", 0),
        ("status", "stopped"),
        ("bundle", "/b"),
        ("rootfs", "/b/rootfs"),
        ("created", "2026-11-23T19:09:15.431157606Z"),
        ("annotations", {"b": "1", "a": "2"}),
        ("owner", ""),
    ]


def test_container_process_state() -> None:
    document = container_process_state_document(
        ContainerProcessState(oci_version="1.3.0", pid=42, state=STATE, metadata="m")
    )
    assert list(document) == ["ociVersion", "fds", "pid", "metadata", "state"]
    assert document["fds"] == ["seccompFd"]
    assert document["state"] == state_document(STATE)
    bare = container_process_state_document(ContainerProcessState(oci_version="1.3.0", pid=42, state=STATE))
    assert "metadata" not in bare


def test_features_not_said_and_said_to_be_none_differ() -> None:
    silent = features_document(Features(oci_version_min="1.0.0", oci_version_max="1.3.0"))
    assert silent == {"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0"}
    none = features_document(
        Features(
            oci_version_min="1.0.0",
            oci_version_max="1.3.0",
            hooks=(),
            linux=LinuxFeatures(apparmor=False),
            annotations={},
        )
    )
    assert none["hooks"] == []
    assert none["linux"] == {"apparmor": {"enabled": False}}
    assert none["annotations"] == {}


def test_all_features() -> None:
    document = features_document(
        Features(
            oci_version_min="1.0.0",
            oci_version_max="1.3.0",
            hooks=("prestart",),
            mount_options=("ro",),
            annotations={"a": "b"},
            potentially_unsafe_config_annotations=("x.",),
            linux=LinuxFeatures(
                namespaces=("pid",),
                capabilities=("CAP_KILL",),
                cgroup=CgroupFeatures(v1=True, v2=True, systemd=False, systemd_user=False, rdma=True),
                seccomp=SeccompFeatures(
                    enabled=True,
                    actions=("SCMP_ACT_ALLOW",),
                    operators=("SCMP_CMP_EQ",),
                    archs=("SCMP_ARCH_X86",),
                    known_flags=(),
                    supported_flags=(),
                ),
                apparmor=True,
                selinux=True,
                intel_rdt=IntelRdtFeatures(enabled=True, schemata=True, monitoring=True),
                memory_policy=MemoryPolicyFeatures(modes=("MPOL_BIND",), flags=()),
                idmap=True,
                net_devices=True,
            ),
        )
    )
    linux = document["linux"]
    assert list(document)[:4] == ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions"]
    assert list(linux["cgroup"]) == ["v1", "v2", "systemd", "systemdUser", "rdma"]
    assert list(linux["seccomp"]) == ["enabled", "actions", "operators", "archs", "knownFlags", "supportedFlags"]
    assert linux["mountExtensions"] == {"idmap": {"enabled": True}}
    assert linux["netDevices"] == {"enabled": True}
    assert linux["memoryPolicy"] == {"modes": ["MPOL_BIND"], "flags": []}
    assert linux["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}
    assert document["potentiallyUnsafeConfigAnnotations"] == ["x."]
