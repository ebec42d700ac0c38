"""The OCI state document (runtime.md#state), with what runc adds."""

from __future__ import annotations

from pyrunc.container.status import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.container.record import ContainerRecord


def state_document(record: ContainerRecord, status: str) -> dict[str, Any]:
    """What `state` prints, keys in runc's order; pid is 0 when stopped."""
    document = {
        "ociVersion": record.oci_version,
        "id": record.container_id,
        "pid": 0 if status == STOPPED else record.pid,
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
    }
    if record.annotations:
        document["annotations"] = record.annotations
    document["owner"] = ""
    return document


def hook_state(record: ContainerRecord, status: str, pid: int) -> dict[str, Any]:
    """What hooks get on stdin: exactly the spec's keys, as runc's hooks see them."""
    document: dict[str, Any] = {
        "ociVersion": record.oci_version,
        "id": record.container_id,
        "status": status,
    }
    if pid:
        document["pid"] = pid
    document["bundle"] = record.bundle
    if record.annotations:
        document["annotations"] = record.annotations
    return document
