"""linux.resources -> writes, in the language of the hierarchy that has the controller."""

from __future__ import annotations

import math
from errno import EINVAL, ENOENT

import pytest

from ocispec.resources import (
    BlockIO,
    Cpu,
    HugepageLimit,
    InterfacePriority,
    Memory,
    Network,
    Pids,
    Rdma,
    Resources,
    ThrottleDevice,
    WeightDevice,
)
from pyrunc.cgroups import v2
from pyrunc.cgroups.device_program import compile_program
from pyrunc.cgroups.place import is_only_v2
from pyrunc.cgroups.resources import NO_KERNEL_MEMORY, plan_resources, with_room
from pyrunc.cgroups.writes import ResourcePlan, Write
from pyrunc.errors import ConfigError
from pyrunc.kernel.host import CgroupHierarchy

V1_NAMES = ("cpuset", "devices", "memory", "cpu", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma")
ALL_V2 = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc")
SIZES = ("1GB", "2MB")


def v1_host(*names: str) -> tuple[CgroupHierarchy, ...]:
    return tuple(
        CgroupHierarchy(version=1, controllers=(name,), mountpoint=f"/sys/fs/cgroup/{name}", own_path="/")
        for name in names
    )


def v2_host(*names: str, mountpoint: str = "/sys/fs/cgroup") -> tuple[CgroupHierarchy, ...]:
    return (CgroupHierarchy(version=2, controllers=names, mountpoint=mountpoint, own_path="/"),)


V1 = v1_host(*V1_NAMES)
V2 = v2_host(*ALL_V2)
HYBRID = v1_host("memory", "cpu", "cpuset", "devices", "pids") + v2_host("hugetlb", mountpoint="/sys/fs/cgroup/unified")


def limits(resources: Resources, host: tuple[CgroupHierarchy, ...]) -> list[Write]:
    plan = plan_resources(resources, host, page_sizes=SIZES, skip_devices="they are another test's subject")
    return list(plan.writes)


def lines(resources: Resources, host: tuple[CgroupHierarchy, ...]) -> list[str]:
    return [f"{write.file}={write.value}" for write in limits(resources, host)]


def test_nothing_asked_nothing_written_but_the_devices() -> None:
    plan = plan_resources(None, V1)
    assert {write.controller for write in plan.writes} == {"devices"}
    assert plan.writes == plan_resources(Resources(), HYBRID).writes
    assert limits(Resources(memory=Memory(), cpu=Cpu(), pids=Pids(), block_io=BlockIO(), network=Network()), V1) == []
    assert limits(Resources(memory=Memory(), cpu=Cpu(), pids=Pids(), block_io=BlockIO(), network=Network()), V2) == []


@pytest.mark.parametrize(
    ("memory", "on_v1", "on_v2"),
    [
        (Memory(limit=100), ["memory.limit_in_bytes=100"], ["memory.max=100"]),
        (
            Memory(limit=100, swap=300),
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=300"],
            ["memory.swap.max=200", "memory.max=100"],
        ),
        (
            Memory(limit=100, swap=100),
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=100"],
            ["memory.swap.max=0", "memory.max=100"],
        ),
        (
            Memory(limit=100, swap=-1),
            ["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=-1"],
            ["memory.swap.max=max", "memory.max=100"],
        ),
        (
            Memory(limit=-1),
            ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
            ["memory.swap.max=max", "memory.max=max"],
        ),
        (
            Memory(limit=-1, swap=300),
            ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=300"],
            ["memory.swap.max=300", "memory.max=max"],
        ),
        (Memory(limit=0, swap=0, reservation=0), [], []),
        # Less than -1 is for the kernel to refuse (EINVAL): it was "max" on version 2.
        (
            Memory(limit=-2, reservation=-3),
            ["memory.limit_in_bytes=-2", "memory.soft_limit_in_bytes=-3"],
            ["memory.max=-2", "memory.low=-3"],
        ),
        (Memory(reservation=50), ["memory.soft_limit_in_bytes=50"], ["memory.low=50"]),
        (Memory(reservation=-1), ["memory.soft_limit_in_bytes=-1"], ["memory.low=max"]),
        (Memory(disable_oom_killer=True), ["memory.oom_control=1"], []),
        (Memory(disable_oom_killer=False), [], []),
        (Memory(swappiness=0), ["memory.swappiness=0"], []),
        (Memory(swappiness=100), ["memory.swappiness=100"], []),
        (Memory(swappiness=-1), [], []),
        (Memory(kernel_tcp=7), ["memory.kmem.tcp.limit_in_bytes=7"], []),
        (Memory(use_hierarchy=True, check_before_update=True), [], []),
    ],
)
def test_memory(memory: Memory, on_v1: list[str], on_v2: list[str]) -> None:
    assert lines(Resources(memory=memory), V1) == on_v1
    assert lines(Resources(memory=memory), V2) == on_v2


def test_kernel_memory_is_not_written_and_said() -> None:
    plan = plan_resources(Resources(memory=Memory(kernel=5)), V1, skip_devices="x")
    assert plan.writes == ()
    assert NO_KERNEL_MEMORY in plan.warnings


def test_swap_without_accounting_matters_only_where_there_is_something_to_limit() -> None:
    def tolerates(memory: Memory, host: tuple[CgroupHierarchy, ...]) -> bool:
        (write,) = (write for write in limits(Resources(memory=memory), host) if "sw" in write.file)
        return ENOENT in write.tolerate

    assert tolerates(Memory(limit=-1), V1)
    assert tolerates(Memory(limit=100, swap=-1), V2)
    assert tolerates(Memory(limit=100, swap=100), V2)
    assert not tolerates(Memory(limit=100, swap=300), V1)
    assert not tolerates(Memory(limit=100, swap=300), V2)


@pytest.mark.parametrize(
    ("resources", "host", "problem"),
    [
        (Resources(memory=Memory(swappiness=101)), V1, "memory.swappiness: invalid memory swappiness value: 101"),
        (Resources(memory=Memory(swappiness=-2)), V1, "memory.swappiness: invalid memory swappiness value: -2"),
        (Resources(memory=Memory(swap=5)), V2, "memory.swap: unable to set swap limit without memory limit"),
        (Resources(memory=Memory(limit=9, swap=5)), V2, "memory.swap: memory+swap limit should be >= memory limit"),
        (Resources(cpu=Cpu(shares=1)), V1, "cpu.shares: the minimum allowed cpu-shares is 2"),
        (Resources(cpu=Cpu(shares=262145)), V1, "cpu.shares: the maximum allowed cpu-shares is 262144"),
        (Resources(cpu=Cpu(realtime_runtime=5)), V2, "cpu.realtimeRuntime: cgroup version 2 has no"),
        (Resources(unified={"memory.high": "1"}), V1, "unified: invalid configuration: cannot use unified on"),
        (Resources(unified={"memory.high": "1"}), HYBRID, "unified: invalid configuration: cannot use unified on"),
        (Resources(unified={"../memory.high": "1"}), V2, "unified.../memory.high: must be the name of a cgroup file"),
        (Resources(unified={"memory": "1"}), V2, "unified.memory: must be the name of a cgroup file"),
        (Resources(unified={".max": "1"}), V2, "unified..max: must be the name of a cgroup file"),
    ],
)
def test_what_is_refused(resources: Resources, host: tuple[CgroupHierarchy, ...], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan_resources(resources, host)
    assert str(refused.value).startswith(f"linux.resources.{problem}")


@pytest.mark.parametrize("size", ["../../cpu/x", "3MB", "2mb", "", "2MB/../x"])
def test_a_page_size_that_the_host_has_not_is_no_file_name(size: str) -> None:
    """GHSA-5g49-rx9x-qfc6."""
    for host in (V1, V2, HYBRID):
        with pytest.raises(ConfigError, match=r"hugepageLimits\[0\]\.pageSize: this host has no huge pages of .*2MB"):
            plan_resources(Resources(hugepage_limits=(HugepageLimit(page_size=size, limit=1),)), host, page_sizes=SIZES)
    with pytest.raises(ConfigError, match=r"it has: none"):
        plan_resources(Resources(hugepage_limits=(HugepageLimit(page_size="2MB", limit=1),)), V1)


def test_hugetlb_is_where_the_host_has_it() -> None:
    resources = Resources(hugepage_limits=(HugepageLimit(page_size="2MB", limit=4096),))
    assert lines(resources, V1) == ["hugetlb.2MB.limit_in_bytes=4096", "hugetlb.2MB.rsvd.limit_in_bytes=4096"]
    assert lines(resources, V2) == ["hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096"]
    assert lines(resources, HYBRID) == lines(resources, V2)
    assert [write.tolerate for write in limits(resources, HYBRID)] == [(), (ENOENT,)]


@pytest.mark.parametrize(
    ("cpu", "on_v1", "on_v2"),
    [
        (Cpu(shares=1024), ["cpu.shares=1024"], ["cpu.weight=100"]),
        (Cpu(quota=50000), ["cpu.cfs_quota_us=50000"], ["cpu.max=50000"]),
        (
            Cpu(quota=50000, period=200000),
            ["cpu.cfs_period_us=200000", "cpu.cfs_quota_us=50000"],
            ["cpu.max=50000 200000"],
        ),
        (Cpu(quota=-1), ["cpu.cfs_quota_us=-1"], ["cpu.max=max"]),
        (Cpu(period=20000), ["cpu.cfs_period_us=20000"], ["cpu.max=max 20000"]),
        (Cpu(quota=0, period=0, shares=0), [], []),
        (
            Cpu(burst=10, quota=500),
            ["cpu.cfs_burst_us=10", "cpu.cfs_quota_us=500"],
            ["cpu.max.burst=10", "cpu.max=500"],
        ),
        (Cpu(idle=0, shares=2), ["cpu.idle=0", "cpu.shares=2"], ["cpu.idle=0", "cpu.weight=1"]),
        (Cpu(idle=1, shares=2), ["cpu.shares=2", "cpu.idle=1"], ["cpu.idle=1"]),
        (Cpu(cpus="0-1", mems="0"), ["cpuset.cpus=0-1", "cpuset.mems=0"], ["cpuset.cpus=0-1", "cpuset.mems=0"]),
    ],
)
def test_cpu(cpu: Cpu, on_v1: list[str], on_v2: list[str]) -> None:
    assert lines(Resources(cpu=cpu), V1) == on_v1
    assert lines(Resources(cpu=cpu), V2) == on_v2


def test_realtime_period_comes_before_runtime() -> None:
    resources = Resources(cpu=Cpu(realtime_runtime=5, realtime_period=9))
    assert lines(resources, V1) == ["cpu.rt_period_us=9", "cpu.rt_runtime_us=5"]


def test_values_that_bind_each_other_may_be_written_the_other_way_round() -> None:
    resources = Resources(memory=Memory(limit=1, swap=2), cpu=Cpu(quota=5, period=6, burst=1))
    postponed = [write.file for write in limits(resources, V1) if EINVAL in write.postpone]
    assert postponed == ["memory.limit_in_bytes", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.cfs_quota_us"]


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        (0, 1),
        (1, 1),
        (2, 1),
        (3, 2),
        (10, 4),
        (102, 17),  # 100 milli-cpu of Kubernetes
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262143, 10000),
        (262144, 10000),
        (10**9, 10000),
    ],
)
def test_shares_become_a_weight(shares: int, weight: int) -> None:
    assert v2.convert_shares(shares) == weight


def test_the_weight_never_falls_and_stays_in_range() -> None:
    weights = [v2.convert_shares(shares) for shares in range(2, 262145, 7)]
    assert weights == sorted(weights)
    assert set(weights) <= set(range(1, 10001))
    # The formula of runc and crun, once more from the documentation, at powers of two.
    for power in range(2, 18):
        exact = 10 ** ((power**2 + 125 * power) / 612 - 7 / 34)
        assert v2.convert_shares(2**power) == math.ceil(exact)


@pytest.mark.parametrize(("limit", "value"), [(100, "100"), (1, "1"), (0, "1"), (-1, "max")])
def test_pids(limit: int, value: str) -> None:
    for host in (V1, V2):
        assert lines(Resources(pids=Pids(limit=limit)), host) == [f"pids.max={value}"]


def test_block_io() -> None:
    resources = Resources(
        block_io=BlockIO(
            weight=10,
            leaf_weight=20,
            weight_device=(
                WeightDevice(major=8, minor=0, weight=500, leaf_weight=300),
                WeightDevice(major=8, minor=16),
            ),
            throttle_read_bps_device=(ThrottleDevice(major=8, minor=0, rate=600),),
            throttle_write_bps_device=(ThrottleDevice(major=8, minor=0, rate=0),),
            throttle_read_iops_device=(ThrottleDevice(major=8, minor=1, rate=7),),
            throttle_write_iops_device=(ThrottleDevice(major=8, minor=2, rate=8),),
        )
    )
    assert lines(resources, V1) == [
        "blkio.weight=10",
        "blkio.leaf_weight=20",
        "blkio.weight_device=8:0 500",
        "blkio.leaf_weight_device=8:0 300",
        "blkio.throttle.read_bps_device=8:0 600",
        "blkio.throttle.write_bps_device=8:0 0",
        "blkio.throttle.read_iops_device=8:1 7",
        "blkio.throttle.write_iops_device=8:2 8",
    ]
    assert lines(resources, V2) == [
        "io.bfq.weight=10",
        "io.bfq.weight=8:0 500",
        "io.max=8:0 rbps=600",
        "io.max=8:0 wbps=max",
        "io.max=8:1 riops=7",
        "io.max=8:2 wiops=8",
    ]
    on_v1, on_v2 = limits(resources, V1)[0].otherwise, limits(resources, V2)[0].otherwise
    assert on_v1 is not None
    assert on_v2 is not None
    assert (on_v1.file, on_v1.value) == ("blkio.bfq.weight", "10")
    assert (on_v2.file, on_v2.value) == ("io.weight", "1")


@pytest.mark.parametrize(("weight", "converted"), [(10, 1), (100, 910), (500, 4950), (1000, 10000)])
def test_block_io_weight_for_iocost(weight: int, converted: int) -> None:
    assert v2.convert_io_weight(weight) == converted


def test_network_is_version_1_s_alone() -> None:
    network = Network(class_id=1048577, priorities=(InterfacePriority(name="eth0", priority=5),))
    assert lines(Resources(network=network), V1) == ["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"]
    assert lines(Resources(network=network), V2) == []


def test_rdma() -> None:
    resources = Resources(rdma={"mlx5_1": Rdma(hca_handles=3, hca_objects=10000), "hfi1": Rdma(hca_objects=0)})
    expected = ["rdma.max=mlx5_1 hca_handle=3 hca_object=10000", "rdma.max=hfi1 hca_object=0"]
    assert lines(resources, V1) == expected
    assert lines(resources, V2) == expected


def test_unified() -> None:
    unified = {"memory.high": "1G", "io.max": "8:0 rbps=1\n8:16 wbps=2\n", "cgroup.freeze": "0", "cpuset.cpus": ""}
    writes = limits(Resources(unified=unified), V2)
    assert [(write.controller, write.file, write.value) for write in writes] == [
        ("memory", "memory.high", "1G"),
        ("io", "io.max", "8:0 rbps=1"),
        ("io", "io.max", "8:16 wbps=2"),
        ("", "cgroup.freeze", "0"),
        ("cpuset", "cpuset.cpus", "\n"),
    ]
    assert writes[0].place == "linux.resources.unified.memory.high"


def test_device_rules_follow_the_host_and_the_rights() -> None:
    assert plan_resources(Resources(), V2).warnings == ()
    assert plan_resources(Resources(), V2).writes == ()
    assert plan_resources(None, V2).device_program == compile_program(())
    # A hybrid host whose version 1 has no devices controller: version 2 can do it all the same.
    assert plan_resources(None, (*v1_host("memory"), *V2)).device_program == compile_program(())
    assert plan_resources(None, HYBRID).device_program is None
    assert plan_resources(None, V2, skip_devices="pyrunc is not root").device_program is None
    skipped = plan_resources(Resources(), V1, skip_devices="pyrunc is in a user namespace")
    assert skipped.writes == ()
    assert skipped.warnings == ("linux.resources.devices: not applied, pyrunc is in a user namespace",)
    # Nothing mounted: the rules stay in the plan, so that writing them fails loudly.
    assert plan_resources(None, ()).writes


def test_systemd_s_name_hierarchy_does_not_make_a_host_hybrid() -> None:
    named = CgroupHierarchy(version=1, controllers=("name=systemd",), mountpoint="/sys/fs/cgroup/systemd", own_path="/")
    assert is_only_v2((named, *V2))
    assert not is_only_v2(HYBRID)
    assert not is_only_v2(V1)
    assert not is_only_v2(())


def test_one_controller_after_the_other() -> None:
    """The doer writes postponed values at the end of their controller."""
    resources = Resources(
        memory=Memory(limit=1, swap=2),
        cpu=Cpu(quota=5, period=6, cpus="0"),
        pids=Pids(limit=3),
        rdma={"x": Rdma(hca_handles=1)},
    )
    order = [write.controller for write in plan_resources(resources, V1).writes]
    changes = [name for index, name in enumerate(order) if index == 0 or order[index - 1] != name]
    assert changes == ["devices", "memory", "cpuset", "cpu", "pids", "rdma"]


def test_a_write_says_what_it_is() -> None:
    write = Write("pids", "pids.max", "5", "linux.resources.pids.limit")
    assert repr(write) == "Write(pids: 5 > pids.max, linux.resources.pids.limit)"
    assert write == Write("pids", "pids.max", "5", "linux.resources.pids.limit")
    assert write != Write("pids", "pids.max", "6", "linux.resources.pids.limit")
    assert len({write, Write("pids", "pids.max", "5", "linux.resources.pids.limit")}) == 1


@pytest.mark.parametrize(
    ("values", "early", "late"),
    [
        (["1"], ["2"], ["1"]),
        (["2"], ["2"], []),
        (["max"], ["max"], []),
        (["nonsense"], ["nonsense"], []),
        (["5", "1"], ["5", "2"], ["1"]),
        (["1", "5"], ["2", "5"], []),
    ],
)
def test_room_for_the_processes_of_a_birth(values: list[str], early: list[str], late: list[str]) -> None:
    """The last value is the one that counts in the end."""
    writes = tuple(Write("pids", "pids.max", value, "x") for value in values)
    other = Write("memory", "memory.max", "1", "x")
    plan = with_room(ResourcePlan(writes=(other, *writes)), 2)
    assert plan.writes[0] == other
    assert [write.value for write in plan.writes[1:]] == early
    assert [write.value for write in plan.late] == late
