"""The `linux` section of config.json, without resources and seccomp (runtime-spec 1.3, config-linux.md).

Names are the spec's JSON keys in snake_case; enum words stay the spec's own strings.  Absent strings are "",
lists (), maps {}, objects and meaningful integers None.
"""

from __future__ import annotations

from ocispec.forms import dotted_sysctl_key
from ocispec.reader import ID_MAX, INT64_MAX, INT64_MIN, UINT32_MAX
from ocispec.record import Record
from ocispec.resources import Resources, parse_resources
from ocispec.seccomp import Seccomp, parse_seccomp
from ocispec.words import (
    CLOCKS,
    DEVICE_TYPES,
    MEMORY_POLICY_FLAGS,
    MEMORY_POLICY_MODES,
    NAMESPACES,
    PERSONALITIES,
    PROPAGATIONS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.reader import Reader

# dev_t of the kernel (include/linux/kdev_t.h): 12 bits and 20 bits.
MAJOR_MAX = 0xFFF
MINOR_MAX = 0xF_FFFF


class Namespace(Record):
    """`type` is pid, network, mount, ipc, uts, user, cgroup or time; no `path` means a new one."""

    type: str
    path: str = ""


class IDMapping(Record):
    """`size` ids from `container_id` inside are `host_id`.. outside."""

    container_id: int
    host_id: int
    size: int


class TimeOffset(Record):
    """Added to one clock of a new time namespace.  `secs` may be negative, `nanosecs` is below 10^9."""

    secs: int = 0
    nanosecs: int = 0


class Device(Record):
    """A device node to make.  `type` is c, b, u or p; the numbers are None for p only; `file_mode` has no type bits."""

    type: str
    path: str
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class NetDevice(Record):
    """A host network device to move inside; no `name` keeps the one it has."""

    name: str = ""


class Personality(Record):
    """`domain` is LINUX or LINUX32."""

    domain: str
    flags: tuple[str, ...] = ()


class IntelRdt(Record):
    """resctrl.  `clos_id` "/" is the root class, "" a class named after the container."""

    clos_id: str = ""
    schemata: tuple[str, ...] = ()
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_monitoring: bool = False


class MemoryPolicy(Record):
    """set_mempolicy(2).  `mode` is MPOL_…, `flags` MPOL_F_…, `nodes` a list such as "0-3,7"."""

    mode: str
    nodes: str = ""
    flags: tuple[str, ...] = ()


class Linux(Record):
    """`time_offsets` by clock (monotonic, boottime); `net_devices` by name on the host; `sysctl` by dotted key."""

    uid_mappings: tuple[IDMapping, ...] = ()
    gid_mappings: tuple[IDMapping, ...] = ()
    time_offsets: dict[str, TimeOffset] = {}
    namespaces: tuple[Namespace, ...] = ()
    devices: tuple[Device, ...] = ()
    net_devices: dict[str, NetDevice] = {}
    cgroups_path: str = ""
    resources: Resources | None = None
    intel_rdt: IntelRdt | None = None
    memory_policy: MemoryPolicy | None = None
    sysctl: dict[str, str] = {}
    seccomp: Seccomp | None = None
    rootfs_propagation: str = ""
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    mount_label: str = ""
    personality: Personality | None = None


def parse_linux(r: Reader) -> Linux:
    return Linux(
        uid_mappings=r.records("uidMappings", parse_id_mapping),
        gid_mappings=r.records("gidMappings", parse_id_mapping),
        time_offsets=r.map_of("timeOffsets", parse_time_offset, words=CLOCKS),
        namespaces=r.records("namespaces", parse_namespace),
        devices=r.records("devices", parse_device),
        net_devices=r.map_of("netDevices", parse_net_device),
        cgroups_path=r.string("cgroupsPath"),
        resources=r.record("resources", parse_resources),
        intel_rdt=r.record("intelRdt", parse_intel_rdt),
        memory_policy=r.record("memoryPolicy", parse_memory_policy),
        sysctl=parse_sysctl(r),
        seccomp=r.record("seccomp", parse_seccomp),
        rootfs_propagation=r.string("rootfsPropagation", words=PROPAGATIONS),
        masked_paths=r.absolute_paths("maskedPaths"),
        readonly_paths=r.absolute_paths("readonlyPaths"),
        mount_label=r.string("mountLabel"),
        personality=r.record("personality", parse_personality),
    )


def parse_sysctl(r: Reader) -> dict[str, str]:
    given = r.string_map("sysctl")
    dotted = {dotted_sysctl_key(key): value for key, value in given.items()}
    if len(dotted) != len(given):
        r.refuse("sysctl", "has one parameter twice, with dots and with slashes")
    return dotted


def parse_namespace(r: Reader) -> Namespace:
    return Namespace(type=r.string("type", required=True, words=NAMESPACES), path=r.absolute_path("path"))


def parse_id_mapping(r: Reader) -> IDMapping:
    return IDMapping(
        container_id=r.required_integer("containerID", 0, ID_MAX),
        host_id=r.required_integer("hostID", 0, ID_MAX),
        size=r.required_integer("size", 1, UINT32_MAX),
    )


def parse_time_offset(r: Reader) -> TimeOffset:
    return TimeOffset(secs=r.integer("secs", INT64_MIN, INT64_MAX), nanosecs=r.integer("nanosecs", 0, 999_999_999))


def parse_device(r: Reader) -> Device:
    mode = r.optional_integer("fileMode", 0, UINT32_MAX)
    return Device(
        type=r.string("type", required=True, words=DEVICE_TYPES),
        path=r.absolute_path("path", required=True),
        major=r.optional_integer("major", 0, MAJOR_MAX),
        minor=r.optional_integer("minor", 0, MINOR_MAX),
        # Docker writes st_mode as stat(2) gave it (8624 is 020660); `type` says what to make, so only the rest counts.
        file_mode=None if mode is None else mode & 0o7777,
        uid=r.optional_integer("uid", 0, ID_MAX),
        gid=r.optional_integer("gid", 0, ID_MAX),
    )


def parse_net_device(r: Reader) -> NetDevice:
    return NetDevice(name=r.string("name"))


def parse_personality(r: Reader) -> Personality:
    return Personality(
        domain=r.string("domain", required=True, words=PERSONALITIES),
        flags=r.strings("flags"),
    )


def parse_intel_rdt(r: Reader) -> IntelRdt:
    for key in ("enableCMT", "enableMBM"):
        r.ignore(key, "removed in runtime-spec 1.3")
    return IntelRdt(
        clos_id=r.string("closID"),
        schemata=r.strings("schemata"),
        l3_cache_schema=r.string("l3CacheSchema"),
        mem_bw_schema=r.string("memBwSchema"),
        enable_monitoring=r.boolean("enableMonitoring"),
    )


def parse_memory_policy(r: Reader) -> MemoryPolicy:
    return MemoryPolicy(
        mode=r.string("mode", required=True, words=MEMORY_POLICY_MODES),
        nodes=r.string("nodes"),
        flags=r.strings("flags", words=MEMORY_POLICY_FLAGS),
    )
