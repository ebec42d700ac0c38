"""Rules between the keys of a resources object (config-linux.md#control-groups).

Most strings of this object end up in a file of the cgroup, or as its name: none may leave the directory or start a
second line there.  A check yields (place, problem) pairs; places start at the resources.
"""

from __future__ import annotations

from ocispec.forms import is_page_size
from ocispec.reader import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.resources import Resources

    Found = tuple[str, str]

LIST_CHARACTERS = frozenset("0123456789,-:/ ")  # cpuset(7), with the stride form "0-10:2/4" of newer kernels


def device_rules(resources: Resources) -> Iterator[Found]:
    for index, rule in enumerate(resources.devices):
        if rule.access.strip("rwm"):
            yield f"devices[{index}].access", f"must be made of r, w and m, not {shown(rule.access)}"


def number_lists(resources: Resources) -> Iterator[Found]:
    if resources.cpu is None:
        return
    for key, value in (("cpus", resources.cpu.cpus), ("mems", resources.cpu.mems)):
        if not LIST_CHARACTERS.issuperset(value):
            yield f"cpu.{key}", f"must be a list of numbers such as 0-3,7, not {shown(value)}"


def burst(resources: Resources) -> Iterator[Found]:
    cpu = resources.cpu
    if cpu is not None and cpu.burst and cpu.quota is not None and 0 < cpu.quota < cpu.burst:
        yield "cpu.burst", f"must not be above the quota {cpu.quota}, not {cpu.burst}"


def block_weights(resources: Resources) -> Iterator[Found]:
    for index, device in enumerate(resources.block_io.weight_device if resources.block_io is not None else ()):
        if device.weight is None and device.leaf_weight is None:
            yield f"blockIO.weightDevice[{index}]", "must have weight or leafWeight"


def page_sizes(resources: Resources) -> Iterator[Found]:
    for index, limit in enumerate(resources.hugepage_limits):
        if not is_page_size(limit.page_size):
            yield (
                f"hugepageLimits[{index}].pageSize",
                f"must be a size such as 64KB, 2MB or 1GB, not {shown(limit.page_size)}",
            )


def interface_priorities(resources: Resources) -> Iterator[Found]:
    if resources.network is not None:
        for index, entry in enumerate(resources.network.priorities):
            if " " in entry.name or "\n" in entry.name:
                yield f"network.priorities[{index}].name", f"is no name of an interface: {shown(entry.name)}"


def rdma(resources: Resources) -> Iterator[Found]:
    for name, limits in resources.rdma.items():
        place = f"rdma[{shown(name)}]"
        if not name or " " in name or "\n" in name:
            yield place, "is no name of a device"
        if limits.hca_handles is None and limits.hca_objects is None:
            yield place, "must have hcaHandles or hcaObjects"


def unified(resources: Resources) -> Iterator[Found]:
    for name in resources.unified:
        if "/" in name or "\n" in name or name in ("", ".", ".."):
            yield f"unified[{shown(name)}]", "must be the name of a file of the cgroup, without a slash"


def kernel_memory(resources: Resources) -> Iterator[Found]:
    memory = resources.memory
    if memory is not None:
        # Linux 5.16 removed kmem.limit_in_bytes; engines still write the key, mostly as 0.
        if memory.kernel:
            yield "memory.kernel", "Linux has no kernel memory limit since 5.16, ignoring"
        if memory.kernel_tcp:
            yield "memory.kernelTCP", "no limit is set on kernel TCP memory, ignoring"


RESOURCES_CHECKS = (
    *(device_rules, number_lists, burst, block_weights, page_sizes, interface_priorities, rdma),
    unified,
)
RESOURCES_WARNINGS = (kernel_memory,)
