"""A client of the CRI, as far as a kubelet's life of one pod goes.

The messages are built from the tables below: the fields that are used here, with their numbers in
kubernetes' runtime.v1 API.  That spares a generated module and the compiler for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "runtime.v1"
# message -> "field number type"; a type is one of TYPES, another message, *type for a list
MESSAGES = {
    "Nothing": "",
    "Metadata": "name 1 string, uid 2 string, namespace 3 string, attempt 4 uint32",
    "NamespaceOption": "network 1 int32, pid 2 int32, ipc 3 int32",
    "SecurityProfile": "profile_type 1 int32",
    "SandboxSecurity": "namespace_options 1 NamespaceOption, privileged 6 bool, seccomp 9 SecurityProfile",
    "SandboxLinux": "cgroup_parent 1 string, security_context 2 SandboxSecurity, sysctls 3 *Setting",
    "Setting": "key 1 string, value 2 string",  # a map is a list of these on the wire
    "SandboxConfig": "metadata 1 Metadata, hostname 2 string, log_directory 3 string, linux 8 SandboxLinux",
    "RunSandboxRequest": "config 1 SandboxConfig, runtime_handler 2 string",
    "SandboxId": "pod_sandbox_id 1 string",
    "ContainerMetadata": "name 1 string, attempt 2 uint32",
    "Image": "image 1 string",
    "KeyValue": "key 1 string, value 2 bytes",
    "Mount": "container_path 1 string, host_path 2 string, readonly 3 bool",
    "Resources": "cpu_period 1 int64, cpu_quota 2 int64, cpu_shares 3 int64, memory_limit_in_bytes 4 int64,"
    " oom_score_adj 5 int64",
    "Capability": "add_capabilities 1 *string, drop_capabilities 2 *string",
    "Int64Value": "value 1 int64",
    "Security": "capabilities 1 Capability, privileged 2 bool, namespace_options 3 NamespaceOption,"
    " run_as_user 5 Int64Value, readonly_rootfs 7 bool, supplemental_groups 8 *int64, no_new_privs 11 bool,"
    " run_as_group 12 Int64Value, masked_paths 13 *string, readonly_paths 14 *string, seccomp 15 SecurityProfile",
    "ContainerLinux": "resources 1 Resources, security_context 2 Security",
    "ContainerConfig": "metadata 1 ContainerMetadata, image 2 Image, command 3 *string, envs 6 *KeyValue,"
    " mounts 7 *Mount, log_path 11 string, stdin 12 bool, tty 14 bool, linux 15 ContainerLinux",
    "CreateRequest": "pod_sandbox_id 1 string, config 2 ContainerConfig, sandbox_config 3 SandboxConfig",
    "ContainerId": "container_id 1 string",
    "StopRequest": "container_id 1 string, timeout 2 int64",
    "ExecRequest": "container_id 1 string, cmd 2 *string, timeout 3 int64",
    "ExecResponse": "stdout 1 bytes, stderr 2 bytes, exit_code 3 int32",
    "Status": "id 1 string, state 3 int32, exit_code 7 int32, reason 10 string",
    "StatusResponse": "status 1 Status",
    "UpdateRequest": "container_id 1 string, linux 2 Resources",
}
CALLS = {
    "RunPodSandbox": ("RunSandboxRequest", "SandboxId"),
    "StopPodSandbox": ("SandboxId", "Nothing"),
    "RemovePodSandbox": ("SandboxId", "Nothing"),
    "CreateContainer": ("CreateRequest", "ContainerId"),
    "StartContainer": ("ContainerId", "Nothing"),
    "StopContainer": ("StopRequest", "Nothing"),
    "RemoveContainer": ("ContainerId", "Nothing"),
    "ContainerStatus": ("ContainerId", "StatusResponse"),
    "ExecSync": ("ExecRequest", "ExecResponse"),
    "UpdateContainerResources": ("UpdateRequest", "Nothing"),
}
_FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
}

POD, CONTAINER, NODE = 0, 1, 2  # whose namespace
DEFAULT_PROFILE, UNCONFINED = 0, 1
EXITED = 2  # ContainerState


def add_field(message: Any, name: str, number: str, kind: str) -> None:
    field = message.field.add(name=name, number=int(number), label=_FIELD.LABEL_OPTIONAL)
    if kind.startswith("*"):
        field.label, kind = _FIELD.LABEL_REPEATED, kind[1:]
    if kind in TYPES:
        field.type = TYPES[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


def message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="cri.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in filter(None, fields.split(", ")):
            add_field(message, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


class Refused(Exception):
    """What the service said no with."""


class Cri:
    """Calls by name: `cri.StartContainer(container_id=…)`; messages within messages are dictionaries."""

    def __init__(self, socket: Path) -> None:
        self._classes = message_classes()
        self._channel = grpc.insecure_channel(f"unix://{socket}")

    def close(self) -> None:
        self._channel.close()

    def is_there(self) -> bool:
        """Whether containerd's plugin has started; it knows no container of this name."""
        try:
            self.call("ContainerStatus", container_id="nobody")
        except Refused as refusal:
            return "not found" in str(refusal)
        return False

    def call(self, name: str, **fields: Any) -> Any:
        """Raises Refused with the service's words."""
        request, response = (self._classes[kind] for kind in CALLS[name])
        call = self._channel.unary_unary(
            f"/{PACKAGE}.RuntimeService/{name}", request.SerializeToString, response.FromString
        )
        try:
            return call(request(**fields), timeout=60)
        except grpc.RpcError as error:
            raise Refused(error.details()) from error
