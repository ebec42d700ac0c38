"""`linux.resources` (runtime-spec 1.3, config-linux.md#control-groups).

Three-state values live here and only here: None means "leave as it is" (`update`), so every number and every
boolean of these records may be None.  Units are the spec's: bytes, microseconds, counts; -1 is "no limit" where
the spec says so.
"""

from __future__ import annotations

from ocispec.checks_of_resources import RESOURCES_CHECKS, RESOURCES_WARNINGS
from ocispec.document import read_document
from ocispec.reader import INT64_MAX, INT64_MIN, UINT16_MAX, UINT32_MAX, UINT64_MAX
from ocispec.record import Record
from ocispec.words import DEVICE_RULE_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.reader import Reader, SpecError


class DeviceRule(Record):
    """One line of the allow list, applied in order.  `type` "" or "a" is both kinds; a number None is any."""

    allow: bool
    type: str = ""
    major: int | None = None
    minor: int | None = None
    access: str = ""


class Memory(Record):
    """`swap` is memory plus swap.  `kernel` and `kernel_tcp` are read and never applied (gone from the kernel)."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool | None = None
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class Cpu(Record):
    """`cpus` and `mems` are lists such as "0-3,7"."""

    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str = ""
    mems: str = ""
    idle: int | None = None


class Pids(Record):
    """Since runtime-spec 1.2.1 zero is a real limit, and no key leaves the limit alone."""

    limit: int | None = None


class WeightDevice(Record):
    major: int
    minor: int
    weight: int | None = None
    leaf_weight: int | None = None


class ThrottleDevice(Record):
    """`rate` is bytes or operations a second, by the list it stands in."""

    major: int
    minor: int
    rate: int


class BlockIO(Record):
    weight: int | None = None
    leaf_weight: int | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = ()


class HugepageLimit(Record):
    """`page_size` as the kernel spells it: 2MB, 1GB, 64KB."""

    page_size: str
    limit: int


class InterfacePriority(Record):
    name: str
    priority: int


class Network(Record):
    class_id: int | None = None
    priorities: tuple[InterfacePriority, ...] = ()


class Rdma(Record):
    hca_handles: int | None = None
    hca_objects: int | None = None


class Resources(Record):
    """`rdma` by device name; `unified` by file name of cgroup v2."""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIO | None = None
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: Network | None = None
    rdma: dict[str, Rdma] = {}
    unified: dict[str, str] = {}


def read_resources(
    document: object, warnings: list[str] | None = None, *, problems: list[SpecError] | None = None
) -> Resources:
    """A bare resources object, as `update --resources` is given.  Places in errors start at the resources."""
    return read_document(document, parse_resources, RESOURCES_CHECKS, RESOURCES_WARNINGS, warnings, problems)


def parse_resources(r: Reader) -> Resources:
    return Resources(
        devices=r.records("devices", parse_device_rule),
        memory=r.record("memory", parse_memory),
        cpu=r.record("cpu", parse_cpu),
        pids=r.record("pids", parse_pids),
        block_io=r.record("blockIO", parse_block_io),
        hugepage_limits=r.records("hugepageLimits", parse_hugepage_limit),
        network=r.record("network", parse_network),
        rdma=r.map_of("rdma", parse_rdma),
        unified=r.string_map("unified"),
    )


def parse_device_rule(r: Reader) -> DeviceRule:
    return DeviceRule(
        allow=r.boolean("allow", required=True),
        type=r.string("type", words=DEVICE_RULE_TYPES),
        major=_number_or_any(r, "major"),
        minor=_number_or_any(r, "minor"),
        access=r.string("access"),
    )


def _number_or_any(r: Reader, key: str) -> int | None:
    """runc writes, and older engines send, -1 for "any"."""
    number = r.optional_integer(key, -1, UINT32_MAX)
    return None if number == -1 else number


def parse_memory(r: Reader) -> Memory:
    swappiness = r.optional_integer("swappiness", 0, UINT64_MAX)
    if swappiness is not None and 100 < swappiness < UINT64_MAX:
        r.refuse("swappiness", f"must be from 0 to 100, not {swappiness}")
    return Memory(
        limit=r.optional_integer("limit", INT64_MIN, INT64_MAX),
        reservation=r.optional_integer("reservation", INT64_MIN, INT64_MAX),
        swap=r.optional_integer("swap", INT64_MIN, INT64_MAX),
        kernel=r.optional_integer("kernel", INT64_MIN, INT64_MAX),
        kernel_tcp=r.optional_integer("kernelTCP", INT64_MIN, INT64_MAX),
        # The key is a uint64, and -1 cast to that is what engines mean by "not set".
        swappiness=None if swappiness == UINT64_MAX else swappiness,
        disable_oom_killer=r.optional_boolean("disableOOMKiller"),
        use_hierarchy=r.optional_boolean("useHierarchy"),
        check_before_update=r.optional_boolean("checkBeforeUpdate"),
    )


def parse_cpu(r: Reader) -> Cpu:
    return Cpu(
        shares=r.optional_integer("shares", 0, UINT64_MAX),
        quota=r.optional_integer("quota", INT64_MIN, INT64_MAX),
        burst=r.optional_integer("burst", 0, UINT64_MAX),
        period=r.optional_integer("period", 0, UINT64_MAX),
        realtime_runtime=r.optional_integer("realtimeRuntime", INT64_MIN, INT64_MAX),
        realtime_period=r.optional_integer("realtimePeriod", 0, UINT64_MAX),
        cpus=r.string("cpus"),
        mems=r.string("mems"),
        idle=r.optional_integer("idle", INT64_MIN, INT64_MAX),
    )


def parse_pids(r: Reader) -> Pids:
    return Pids(limit=r.optional_integer("limit", INT64_MIN, INT64_MAX))


def parse_block_io(r: Reader) -> BlockIO:
    return BlockIO(
        # The kernel's range starts at 10 (or 1): engines write 0 for "not set".
        weight=r.optional_integer("weight", 0, UINT16_MAX) or None,
        leaf_weight=r.optional_integer("leafWeight", 0, UINT16_MAX) or None,
        weight_device=r.records("weightDevice", parse_weight_device),
        throttle_read_bps_device=r.records("throttleReadBpsDevice", parse_throttle_device),
        throttle_write_bps_device=r.records("throttleWriteBpsDevice", parse_throttle_device),
        throttle_read_iops_device=r.records("throttleReadIOPSDevice", parse_throttle_device),
        throttle_write_iops_device=r.records("throttleWriteIOPSDevice", parse_throttle_device),
    )


def parse_weight_device(r: Reader) -> WeightDevice:
    return WeightDevice(
        major=r.required_integer("major", 0, UINT32_MAX),
        minor=r.required_integer("minor", 0, UINT32_MAX),
        weight=r.optional_integer("weight", 0, UINT16_MAX),
        leaf_weight=r.optional_integer("leafWeight", 0, UINT16_MAX),
    )


def parse_throttle_device(r: Reader) -> ThrottleDevice:
    return ThrottleDevice(
        major=r.required_integer("major", 0, UINT32_MAX),
        minor=r.required_integer("minor", 0, UINT32_MAX),
        rate=r.required_integer("rate", 0, UINT64_MAX),
    )


def parse_hugepage_limit(r: Reader) -> HugepageLimit:
    return HugepageLimit(
        page_size=r.string("pageSize", required=True), limit=r.required_integer("limit", 0, UINT64_MAX)
    )


def parse_network(r: Reader) -> Network:
    return Network(
        class_id=r.optional_integer("classID", 0, UINT32_MAX),
        priorities=r.records("priorities", parse_interface_priority),
    )


def parse_interface_priority(r: Reader) -> InterfacePriority:
    return InterfacePriority(
        name=r.string("name", required=True), priority=r.required_integer("priority", 0, UINT32_MAX)
    )


def parse_rdma(r: Reader) -> Rdma:
    return Rdma(
        hca_handles=r.optional_integer("hcaHandles", 0, UINT32_MAX),
        hca_objects=r.optional_integer("hcaObjects", 0, UINT32_MAX),
    )
