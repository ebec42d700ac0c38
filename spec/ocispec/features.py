"""The features document (features.md, features-linux.md).

features.md: null (None here: not said) and an empty list or False (said: none) are different things.
"""

from __future__ import annotations

from ocispec.record import Record


class CgroupFeatures(Record):
    v1: bool | None = None
    v2: bool | None = None
    systemd: bool | None = None
    systemd_user: bool | None = None
    rdma: bool | None = None


class SeccompFeatures(Record):
    enabled: bool | None = None
    actions: tuple[str, ...] | None = None
    operators: tuple[str, ...] | None = None
    archs: tuple[str, ...] | None = None
    known_flags: tuple[str, ...] | None = None
    supported_flags: tuple[str, ...] | None = None


class IntelRdtFeatures(Record):
    enabled: bool | None = None
    schemata: bool | None = None
    monitoring: bool | None = None


class MemoryPolicyFeatures(Record):
    modes: tuple[str, ...] | None = None
    flags: tuple[str, ...] | None = None


class LinuxFeatures(Record):
    """`apparmor`, `selinux`, `idmap` and `net_devices` are the `enabled` of the objects of that name."""

    namespaces: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] | None = None
    cgroup: CgroupFeatures | None = None
    seccomp: SeccompFeatures | None = None
    apparmor: bool | None = None
    selinux: bool | None = None
    intel_rdt: IntelRdtFeatures | None = None
    memory_policy: MemoryPolicyFeatures | None = None
    idmap: bool | None = None
    net_devices: bool | None = None


class Features(Record):
    oci_version_min: str
    oci_version_max: str
    hooks: tuple[str, ...] | None = None
    mount_options: tuple[str, ...] | None = None
    linux: LinuxFeatures | None = None
    annotations: dict[str, str] | None = None
    potentially_unsafe_config_annotations: tuple[str, ...] | None = None
