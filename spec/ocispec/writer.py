"""State and features documents as JSON-ready dicts, keys in the order in which runc prints them."""

from __future__ import annotations

from ocispec.record import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ocispec.features import Features, LinuxFeatures
    from ocispec.record import Record
    from ocispec.state import ContainerProcessState, State


def state_document(state: State) -> dict[str, Any]:
    """`pid` is always there, as runc prints it; `annotations` and runc's additions when there are any."""
    document: dict[str, Any] = {
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": state.pid,
        "status": state.status,
        "bundle": state.bundle,
    }
    if state.rootfs is not None:
        document["rootfs"] = state.rootfs
    if state.created is not None:
        document["created"] = state.created
    if state.annotations:
        document["annotations"] = dict(state.annotations)
    if state.owner is not None:
        document["owner"] = state.owner
    return document


def container_process_state_document(container: ContainerProcessState) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ociVersion": container.oci_version,
        "fds": list(container.fds),
        "pid": container.pid,
    }
    if container.metadata:
        document["metadata"] = container.metadata
    document["state"] = state_document(container.state)
    return document


def features_document(features: Features) -> dict[str, Any]:
    """What is None is left out: "not said" and "none" are different (features.md)."""
    document = _said(features, ("oci_version_min", "oci_version_max", "hooks", "mount_options"), _FEATURE_KEYS)
    if features.linux is not None:
        document["linux"] = _linux_features(features.linux)
    document.update(_said(features, ("annotations", "potentially_unsafe_config_annotations"), _FEATURE_KEYS))
    return document


_FEATURE_KEYS = {
    "oci_version_min": "ociVersionMin",
    "oci_version_max": "ociVersionMax",
    "mount_options": "mountOptions",
    "potentially_unsafe_config_annotations": "potentiallyUnsafeConfigAnnotations",
}
_LINUX_KEYS = {
    "systemd_user": "systemdUser",
    "known_flags": "knownFlags",
    "supported_flags": "supportedFlags",
}


def _linux_features(linux: LinuxFeatures) -> dict[str, Any]:
    section = _said(linux, ("namespaces", "capabilities"), _LINUX_KEYS)
    parts: tuple[tuple[str, Record | bool | None], ...] = (
        ("cgroup", linux.cgroup),
        ("seccomp", linux.seccomp),
        ("apparmor", linux.apparmor),
        ("selinux", linux.selinux),
        ("intelRdt", linux.intel_rdt),
        ("memoryPolicy", linux.memory_policy),
    )
    for key, part in parts:
        if part is not None:
            section[key] = {"enabled": part} if isinstance(part, bool) else _said(part, fields_of(part), _LINUX_KEYS)
    if linux.idmap is not None:
        section["mountExtensions"] = {"idmap": {"enabled": linux.idmap}}
    if linux.net_devices is not None:
        section["netDevices"] = {"enabled": linux.net_devices}
    return section


def _said(record: Record, fields: Iterable[str], keys: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields:
        value = getattr(record, field)
        if value is not None:
            found[keys.get(field, field)] = list(value) if isinstance(value, tuple) else value
    return found
