"""linux.resources and the host's hierarchies -> a ResourcePlan."""

from __future__ import annotations

from ocispec.record import replace
from pyrunc.cgroups import v1, v2
from pyrunc.cgroups.devices import v1_writes
from pyrunc.cgroups.place import is_only_v2
from pyrunc.cgroups.writes import ResourcePlan, Write
from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocispec.resources import Rdma, Resources
    from pyrunc.kernel.host import CgroupHierarchy

PLACE = "linux.resources"
NO_KERNEL_MEMORY = f"{PLACE}.memory.kernel: ignored, Linux has no limit of kernel memory any more"


def plan_resources(
    resources: Resources | None,
    hierarchies: Sequence[CgroupHierarchy],
    *,
    page_sizes: Sequence[str] = (),
    skip_devices: str = "",
) -> ResourcePlan:
    """Every controller is spoken to in the language of the hierarchy that has it (a hybrid host mixes them).

    `page_sizes`: layout.read_page_sizes(), needed only with hugepageLimits.  `skip_devices`: why device rules are
    not to be written (we are in a user namespace: only the host's root may), "" to write them.
    Raises ConfigError for what cannot be expressed on this host.
    """
    versions = {name: hierarchy.version for hierarchy in hierarchies for name in hierarchy.controllers}
    only_v2 = is_only_v2(hierarchies)
    writes: list[Write] = []
    warnings: list[str] = []
    rules = resources.devices if resources is not None else ()
    device_program = None
    if skip_devices:
        warnings.append(f"{PLACE}.devices: not applied, {skip_devices}")
    elif "devices" in versions or all(hierarchy.version == 1 for hierarchy in hierarchies):
        writes.extend(v1_writes(rules))
    else:
        from pyrunc.cgroups.device_program import compile_program  # no business of a host whose version 1 has devices

        device_program = compile_program(rules)
    if resources is not None:
        writes.extend(_limits(resources, versions, only_v2))
        for index, limit in enumerate(resources.hugepage_limits):
            place = f"{PLACE}.hugepageLimits[{index}]"
            _check_page_size(limit.page_size, f"{place}.pageSize", page_sizes)
            language = v2 if versions.get("hugetlb", 2 if only_v2 else 1) == 2 else v1
            writes.extend(language.hugetlb_writes(limit, f"{place}.limit"))
        if resources.memory is not None and resources.memory.kernel is not None:
            warnings.append(NO_KERNEL_MEMORY)
    return ResourcePlan(writes=tuple(writes), warnings=tuple(warnings), device_program=device_program)


def with_room(plan: ResourcePlan, processes: int) -> ResourcePlan:
    """A limit of fewer than `processes`, which a container's birth takes, becomes one when only its init is left.

    Until then the limit is what the birth takes, and all processes are ours or config.json's hooks.  As in runc and
    crun, which write limits when their own processes are made: pids.limit 1 is no error with a user namespace.
    """
    too_few = tuple(map(str, range(processes)))
    early: list[Write] = []
    late: tuple[Write, ...] = ()
    for write in plan.writes:
        if write.file != "pids.max":
            early.append(write)
        elif write.value in too_few:
            early.append(Write(write.controller, write.file, str(processes), write.place))
            late = (write,)
        else:
            early.append(write)
            late = ()  # linux.resources.unified has the last word
    return replace(plan, writes=tuple(early), late=late)


def _limits(resources: Resources, versions: dict[str, int], only_v2: bool) -> Iterator[Write]:
    """One controller after the other: what binds each other is postponed only to the end of its controller."""

    def speaks_v2(name: str) -> bool:
        return versions.get(name, 2 if only_v2 else 1) == 2

    if resources.memory is not None:
        yield from (v2 if speaks_v2("memory") else v1).memory_writes(resources.memory)
    if resources.cpu is not None:
        yield from v1.cpuset_writes(resources.cpu)
        yield from (v2 if speaks_v2("cpu") else v1).cpu_writes(resources.cpu)
    if resources.pids is not None:
        yield from v1.pids_writes(resources.pids)
    if resources.block_io is not None:
        on_v2 = "blkio" not in versions and speaks_v2("io")
        yield from v2.io_writes(resources.block_io) if on_v2 else v1.blkio_writes(resources.block_io)
    if resources.network is not None and not only_v2:
        yield from v1.network_writes(resources.network)
    for name, limit in resources.rdma.items():
        yield _rdma(name, limit)
    if resources.unified:
        if not only_v2:
            raise ConfigError(f"{PLACE}.unified: invalid configuration: cannot use unified on cgroup v1")
        yield from v2.unified_writes(resources.unified)


def _check_page_size(size: str, place: str, page_sizes: Sequence[str]) -> None:
    """The size becomes part of a file name: only the host's own (GHSA-5g49-rx9x-qfc6)."""
    if size not in page_sizes:
        has = ", ".join(page_sizes) or "none"
        raise ConfigError(f"{place}: this host has no huge pages of {size!r} (it has: {has})")


def _rdma(name: str, limit: Rdma) -> Write:
    """The same file in both versions."""
    values = [f"hca_handle={limit.hca_handles}"] if limit.hca_handles is not None else []
    if limit.hca_objects is not None:
        values.append(f"hca_object={limit.hca_objects}")
    return Write("rdma", "rdma.max", " ".join([name, *values]), f"{PLACE}.rdma.{name}")
