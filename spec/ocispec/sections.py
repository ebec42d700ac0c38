"""Which section of runtime-spec 1.3 speaks of a place in config.json.

The row with the longest matching name counts.  A name has no indexes: `mounts[3].options[1]` is mounts.options.
"""

from __future__ import annotations

SECTIONS = {
    "": "config.md",
    "ociVersion": "config.md#specification-version",
    "root": "config.md#root",
    "mounts": "config.md#mounts",
    "mounts.options": "config.md#linux-mount-options",
    "mounts.uidMappings": "config.md#posix-platform-mounts",
    "mounts.gidMappings": "config.md#posix-platform-mounts",
    "process": "config.md#process",
    "process.args": "config.md#posix-process",
    "process.rlimits": "config.md#posix-process",
    "process.user": "config.md#posix-platform-user",
    "process.apparmorProfile": "config.md#linux-process",
    "process.capabilities": "config.md#linux-process",
    "process.noNewPrivileges": "config.md#linux-process",
    "process.oomScoreAdj": "config.md#linux-process",
    "process.scheduler": "config.md#linux-process",
    "process.selinuxLabel": "config.md#linux-process",
    "process.ioPriority": "config.md#linux-process",
    "process.execCPUAffinity": "config.md#linux-process",
    "hostname": "config.md#hostname",
    "domainname": "config.md#domainname",
    "hooks": "config.md#posix-platform-hooks",
    "annotations": "config.md#annotations",
    "linux": "config-linux.md",
    "linux.namespaces": "config-linux.md#namespaces",
    "linux.uidMappings": "config-linux.md#user-namespace-mappings",
    "linux.gidMappings": "config-linux.md#user-namespace-mappings",
    "linux.timeOffsets": "config-linux.md#offset-for-time-namespace",
    "linux.devices": "config-linux.md#devices",
    "linux.netDevices": "config-linux.md#network-devices",
    "linux.cgroupsPath": "config-linux.md#cgroups-path",
    "linux.resources": "config-linux.md#control-groups",
    "linux.resources.devices": "config-linux.md#allowed-device-list",
    "linux.resources.memory": "config-linux.md#memory",
    "linux.resources.cpu": "config-linux.md#cpu",
    "linux.resources.blockIO": "config-linux.md#block-io",
    "linux.resources.hugepageLimits": "config-linux.md#huge-page-limits",
    "linux.resources.network": "config-linux.md#network",
    "linux.resources.pids": "config-linux.md#pids",
    "linux.resources.rdma": "config-linux.md#rdma",
    "linux.resources.unified": "config-linux.md#unified",
    "linux.intelRdt": "config-linux.md#intelrdt",
    "linux.memoryPolicy": "config-linux.md#memory-policy",
    "linux.sysctl": "config-linux.md#sysctl",
    "linux.seccomp": "config-linux.md#seccomp",
    "linux.seccomp.listenerPath": "config-linux.md#containerprocessstate",
    "linux.seccomp.listenerMetadata": "config-linux.md#containerprocessstate",
    "linux.rootfsPropagation": "config-linux.md#rootfs-mount-propagation",
    "linux.maskedPaths": "config-linux.md#masked-paths",
    "linux.readonlyPaths": "config-linux.md#readonly-paths",
    "linux.mountLabel": "config-linux.md#mount-label",
    "linux.personality": "config-linux.md#personality",
}


def section_of(place: str) -> str:
    """`linux.resources.memory.swap` -> `config-linux.md#memory`; a place nobody knows belongs to config.md."""
    name = without_indexes(place)
    while name not in SECTIONS:
        name = name.rpartition(".")[0]
    return SECTIONS[name]


def without_indexes(place: str) -> str:
    """`mounts[3].options[1]` -> `mounts.options`; what is quoted in brackets may hold brackets and dots itself."""
    found, depth, quoted, escaped = "", 0, False, False
    for letter in place:
        if quoted:
            quoted, escaped = escaped or letter != '"', letter == "\\" and not escaped
        elif letter == '"' and depth:
            quoted = True
        elif letter in "[]":
            depth += 1 if letter == "[" else -1
        elif not depth:
            found += letter
    return found


def split_place(text: str, *, may_be_unknown: bool = False) -> tuple[str, str]:
    """("mounts[3].type", "is missing") of "mounts[3].type: is missing"; ("", text) when no place stands first.

    A place starts with a key of the spec's, unless it `may_be_unknown`: then any word before a colon is one.
    """
    place, depth = "", 0
    for index, letter in enumerate(text):
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter in " :" and not depth:
            place = text[:index]
            break
    top = without_indexes(place).partition(".")[0]
    if not place or (top not in SECTIONS and not may_be_unknown):
        return "", text
    return place, text[len(place) :].removeprefix(":").strip()
