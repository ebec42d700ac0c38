"""ContainerRecord: what start, kill, delete and exec know about a container; state.json is its JSON form.

Everything a later command needs is here, so that none reads config.json again: its later edits must not matter
(runtime.md#lifecycle, step 2).
"""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.errors import StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ocispec.config import Hook

VERSION = 1
_MAX_PID = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h
_TYPES = {
    "id": str, "ociVersion": str, "bundle": str, "rootfs": str, "created": str, "owner": int, "pid": int,
    "startTime": int, "bootId": str, "annotations": dict, "cgroup": dict, "privatePidNamespace": bool,
    "poststart": list, "poststop": list, "config": dict, "startFailures": dict,
}  # fmt: skip
_CGROUP_TYPES = {"version": int, "controllers": list, "path": str}


class ContainerRecord(Record):
    container_id: str
    oci_version: str
    bundle: str
    rootfs: str
    created: str  # RFC 3339, UTC, nanoseconds
    owner: int  # uid of who ran create
    pid: int = 0  # 0: create has not come to the end
    start_time: int = 0  # with the pid and the boot this names one process: kernel/processes.py
    boot_id: str = ""
    annotations: dict[str, str] = {}
    cgroup: dict[str, Any] = {}  # ContainerCgroup.as_json()
    rdt: dict[str, Any] = {}  # cgroups.resctrl's Group.as_json(), if it has one
    has_private_pid_namespace: bool = True
    hook_output: int = 0  # the stage's descriptor for what startContainer hooks print; 0: it has none
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()
    # What `exec` needs of config.json, as it was: process, and of linux seccomp, personality and memoryPolicy.
    config: dict[str, Any] = {}
    # What the stage may still report through the exec fifo: operation index -> the sentence, with {errno} in it.
    start_failures: dict[str, str] = {}


def to_json(record: ContainerRecord) -> dict[str, Any]:
    document = {
        "version": VERSION,
        "id": record.container_id,
        "ociVersion": record.oci_version,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "owner": record.owner,
        "pid": record.pid,
        "startTime": record.start_time,
        "bootId": record.boot_id,
        "annotations": record.annotations,
        "cgroup": record.cgroup,
        "privatePidNamespace": record.has_private_pid_namespace,
        "poststart": [_hook_to_json(hook) for hook in record.poststart],
        "poststop": [_hook_to_json(hook) for hook in record.poststop],
        "config": record.config,
        "startFailures": record.start_failures,
    }
    if record.rdt:
        document["rdt"] = record.rdt
    if record.hook_output:
        document["hookOutput"] = record.hook_output
    return document


def from_json(document: Any) -> ContainerRecord:
    """Raises StateError when this is no state file of ours, a damaged one, or one of a newer version."""
    if not isinstance(document, dict) or type(document.get("version")) is not int:
        raise StateError("state.json is not a state file of pyrunc")
    if document["version"] > VERSION:
        raise StateError(f"state.json has version {document['version']}, this pyrunc knows {VERSION}")
    try:
        _check_types(document, _TYPES)
        if not 0 <= document["pid"] <= _MAX_PID:
            raise StateError(f"state.json is damaged: {document['pid']} is no pid")
        if not {*map(type, document["cgroup"]["made"])} <= {str}:
            raise StateError("state.json is damaged: 'made'")
        for hierarchy in document["cgroup"]["hierarchies"]:
            _check_types(hierarchy, _CGROUP_TYPES)
        return ContainerRecord(
            container_id=document["id"],
            oci_version=document["ociVersion"],
            bundle=document["bundle"],
            rootfs=document["rootfs"],
            created=document["created"],
            owner=document["owner"],
            pid=document["pid"],
            start_time=document["startTime"],
            boot_id=document["bootId"],
            annotations=document["annotations"],
            cgroup=document["cgroup"],
            rdt=document.get("rdt", {}),
            hook_output=document.get("hookOutput", 0),
            has_private_pid_namespace=document["privatePidNamespace"],
            poststart=tuple(_hook_from_json(hook) for hook in document["poststart"]),
            poststop=tuple(_hook_from_json(hook) for hook in document["poststop"]),
            config=document["config"],
            start_failures=document["startFailures"],
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise StateError(f"state.json is damaged: {error}") from error


def _check_types(document: dict[str, Any], types: dict[str, type]) -> None:
    """By map(), in C: every command reads a record.  Raises KeyError, AttributeError when it is no dict, StateError."""
    found = [*map(type, map(document.__getitem__, types))]
    if found != [*types.values()]:
        wrong = [name for name, kind, wanted in zip(types, found, types.values(), strict=True) if kind is not wanted]
        raise StateError(f"state.json is damaged: {wrong[0]!r}")


def _hook_to_json(hook: Hook) -> dict[str, Any]:
    return {"path": hook.path, "args": list(hook.args), "env": list(hook.env), "timeout": hook.timeout}


def _hook_from_json(hook: dict[str, Any]) -> Hook:
    # Here and not above: state, kill and most deletes have no hooks, and the config's classes take 1 ms to make.
    from ocispec.config import Hook

    return Hook(path=hook["path"], args=tuple(hook["args"]), env=tuple(hook["env"]), timeout=hook["timeout"])
