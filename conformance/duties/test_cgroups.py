"""config-linux.md: control groups, their path, owner and limits, on cgroup version 1 (hybrid)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duties.container import CGROUPS, wait_until

if TYPE_CHECKING:
    from duties.container import Box

MIB = 1 << 20
MAPS = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def limit(box: Box, **resources: Any) -> None:
    box.linux["resources"].update(resources)


def value(box: Box, name: str) -> str:
    """Contents of a file of the container's cgroup, by its name: `memory.limit_in_bytes`."""
    return (box.cgroup(name.partition(".")[0]) / name).read_text().strip()


def check_values(box: Box, expected: dict[str, str]) -> None:
    box.created()
    assert {name: value(box, name) for name in expected} == expected


def places(pid: int) -> dict[str, str]:
    """controllers -> path"""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}


# -- the cgroup --------------------------------------------------------------------------------------------------------


def test_a_cgroup_that_is_not_fit_is_an_error(box: Box, other: Box) -> None:
    """Whoever looks whether it is empty has to refuse one that is not; a warning is not enough."""
    box.created()
    other.linux["cgroupsPath"] = f"/{box.id}"
    result = other.create()
    if result.status == 0:
        assert "empty" not in result.err, result
        assert "frozen" not in result.err, result
    else:
        result.refused()
    other("delete", "--force", other.id)


def test_a_frozen_cgroup_does_not_hang(box: Box) -> None:
    """freezer.state is looked at, or undone; create neither hangs nor succeeds with a process that cannot run."""
    folder = box.cgroup("freezer")
    folder.mkdir()
    (folder / "freezer.state").write_text("FROZEN")
    result = box.create()
    try:
        assert result.status is not None, "hangs"
        if result.status == 0:
            assert (folder / "freezer.state").read_text() == "THAWED\n"
    finally:
        if folder.exists():
            (folder / "freezer.state").write_text("THAWED")


def test_absolute_and_relative_paths_are_taken(box: Box) -> None:
    first = places(box.created())
    assert box.id in first["pids"]
    box.delete("--force").ok()
    box.linux["cgroupsPath"] = box.id
    second = places(box.created())
    assert box.id in second["pids"]


def test_an_absolute_path_counts_from_the_mount_point(box: Box) -> None:
    box.linux["cgroupsPath"] = f"/{box.id}/inner"
    pid = box.created()
    assert {
        controller: places(pid)[controller] for controller in ("pids", "memory", "cpu", "devices")
    } == dict.fromkeys(("pids", "memory", "cpu", "devices"), f"/{box.id}/inner")
    assert str(pid) in (CGROUPS / "pids" / box.id / "inner/cgroup.procs").read_text().split()


@pytest.mark.parametrize("slash", ["/", ""])
def test_the_same_path_is_the_same_place(box: Box, slash: str) -> None:
    box.linux["cgroupsPath"] = f"{slash}{box.id}"
    first = places(box.created())
    box.delete("--force").ok()
    assert places(box.created()) == first


@pytest.mark.parametrize("path", [7, "a\0b", ["x"]])
def test_an_invalid_path_is_refused(box: Box, path: object) -> None:
    box.linux["cgroupsPath"] = path
    box.refused()


# -- ownership ---------------------------------------------------------------------------------------------------------


def cgroup_mount(box: Box, *options: str) -> None:
    box.mounts.append(
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", *options]}
    )


def owners(box: Box) -> set[int]:
    found = set()
    for folder in CGROUPS.glob(f"*/{box.id}"):
        found |= {path.stat().st_uid for path in (folder, *folder.iterdir())}
    return found


def with_user_namespace(box: Box) -> None:
    box.namespace("user")
    box.linux["uidMappings"] = box.linux["gidMappings"] = MAPS


def test_nothing_changes_owner_on_version_1(box: Box) -> None:
    with_user_namespace(box)
    box.namespace("cgroup")
    cgroup_mount(box, "rw")
    box.created()
    assert owners(box) == {0}


def test_nothing_changes_owner_without_a_cgroup_namespace(box: Box) -> None:
    with_user_namespace(box)
    cgroup_mount(box, "rw")
    box.created()
    assert owners(box) == {0}


def test_nothing_changes_owner_without_a_mount(box: Box) -> None:
    with_user_namespace(box)
    box.namespace("cgroup")
    box.created()
    assert owners(box) == {0}


# -- devices -----------------------------------------------------------------------------------------------------------

DENY_ALL = {"allow": False, "access": "rwm"}


def test_allow_is_required(box: Box) -> None:
    limit(box, devices=[DENY_ALL, {"type": "c", "major": 10, "minor": 229, "access": "r"}])
    box.refused()


OPENING = "for n in 6 7; do mknod /d$n c 250 $n; dd if=/d$n of=/dev/null count=0 2>&1 | sed 's/.*: //'; done"
NO_DRIVER, DENIED = "No such device or address\n", "Operation not permitted\n"


def test_device_rules_keep_their_order(box: Box) -> None:
    """Allowed, then denied; and the other way round.  Nothing has the numbers: who may open them is told that."""
    six, seven = ({"type": "c", "major": 250, "minor": minor, "access": "rw"} for minor in (6, 7))
    allow, deny = {"allow": True}, {"allow": False}
    limit(box, devices=[DENY_ALL, six | allow, six | deny, seven | deny, seven | allow])
    assert box.output(OPENING) == DENIED + NO_DRIVER


def test_a_denial_after_everything_was_allowed(box: Box) -> None:
    limit(box, devices=[{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 250, "minor": 7}])
    box.linux["resources"]["devices"][1]["access"] = "rw"
    assert box.output(OPENING) == NO_DRIVER + DENIED


def test_devices_are_denied_and_allowed(box: Box) -> None:
    limit(box, devices=[DENY_ALL, {"allow": True, "type": "c", "major": 250, "minor": 6, "access": "r"}])
    box.created()
    rules = (box.cgroup("devices") / "devices.list").read_text().splitlines()
    assert "c 250:6 r" in rules
    assert "a *:* rwm" not in rules


# -- memory ------------------------------------------------------------------------------------------------------------


def test_memory(box: Box) -> None:
    limit(box, memory={"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 96 * MIB, "swappiness": 10})
    check_values(
        box,
        {
            "memory.limit_in_bytes": str(64 * MIB),
            "memory.soft_limit_in_bytes": str(32 * MIB),
            "memory.memsw.limit_in_bytes": str(96 * MIB),
            "memory.swappiness": "10",
        },
    )


def test_memory_without_oom_killer(box: Box) -> None:
    limit(box, memory={"limit": 64 * MIB, "disableOOMKiller": True})
    box.created()
    assert "oom_kill_disable 1" in value(box, "memory.oom_control")


def test_kernel_tcp_memory(box: Box) -> None:
    limit(box, memory={"kernelTCP": 16 * MIB})
    check_values(box, {"memory.kmem.tcp.limit_in_bytes": str(16 * MIB)})


def test_a_limit_below_the_usage_is_refused(box: Box) -> None:
    """checkBeforeUpdate, with the update command that all command lines have."""
    limit(box, memory={"limit": 128 * MIB, "checkBeforeUpdate": True})
    box.running("dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; echo > /ready; exec sleep 1000")
    wait_until((box.rootfs / "ready").exists)
    asked = b'{"memory": {"limit": 8388608, "checkBeforeUpdate": true}}'
    result = box("update", "--resources", "-", box.id, input=asked)
    assert result.status not in (0, None), result
    assert value(box, "memory.limit_in_bytes") == str(128 * MIB)
    assert box.status() == "running"


# -- cpu ---------------------------------------------------------------------------------------------------------------


def test_cpu(box: Box) -> None:
    limit(box, cpu={"shares": 512, "quota": 40000, "period": 80000, "cpus": "0", "mems": "0"})
    check_values(
        box,
        {
            "cpu.shares": "512",
            "cpu.cfs_quota_us": "40000",
            "cpu.cfs_period_us": "80000",
            "cpuset.cpus": "0",
            "cpuset.mems": "0",
        },
    )


def test_burst_above_the_quota_is_refused(box: Box) -> None:
    limit(box, cpu={"quota": 10000, "period": 100000, "burst": 20000})
    box.refused()


def test_burst(box: Box) -> None:
    limit(box, cpu={"quota": 50000, "period": 100000, "burst": 10000})
    check_values(box, {"cpu.cfs_burst_us": "10000"})


def test_idle(box: Box) -> None:
    limit(box, cpu={"idle": 1})
    check_values(box, {"cpu.idle": "1"})


def test_realtime(box: Box) -> None:
    limit(box, cpu={"realtimePeriod": 500000, "realtimeRuntime": 1000})
    check_values(box, {"cpu.rt_period_us": "500000", "cpu.rt_runtime_us": "1000"})


# -- block devices -----------------------------------------------------------------------------------------------------


def disk() -> tuple[int, int]:
    """Numbers of some whole disk."""
    for path in sorted(Path("/sys/block").iterdir()):
        if not path.name.startswith(("loop", "ram", "zram")):
            major, minor = (path / "dev").read_text().strip().split(":")
            return int(major), int(minor)
    raise AssertionError("no disk")


THROTTLES = {
    "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
    "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
    "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
    "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
}


def test_throttles(box: Box) -> None:
    major, minor = disk()
    row = {"major": major, "minor": minor, "rate": 1048576}
    limit(box, blockIO={name: [row] for name in THROTTLES})
    check_values(box, dict.fromkeys(THROTTLES.values(), f"{major}:{minor} 1048576"))


@pytest.mark.parametrize("gone", ["major", "minor", "rate"])
@pytest.mark.parametrize("name", THROTTLES)
def test_throttles_are_complete(box: Box, name: str, gone: str) -> None:
    major, minor = disk()
    row = {"major": major, "minor": minor, "rate": 1048576}
    del row[gone]
    limit(box, blockIO={name: [row]})
    box.refused()


def test_a_weight_device_has_a_weight(box: Box) -> None:
    major, minor = disk()
    limit(box, blockIO={"weightDevice": [{"major": major, "minor": minor}]})
    box.refused()


# -- huge pages, network, pids, rdma, unified --------------------------------------------------------------------------


@pytest.mark.parametrize("row", [{"limit": 0}, {"pageSize": "2MB"}, {"pageSize": "3MB", "limit": 0}, {}])
def test_huge_page_limits_are_complete_and_known(box: Box, row: dict[str, Any]) -> None:
    limit(box, hugepageLimits=[row])
    box.refused()


@pytest.mark.parametrize("row", [{"name": "lo"}, {"priority": 1}])
def test_network_priorities_are_complete(box: Box, row: dict[str, Any]) -> None:
    limit(box, network={"priorities": [row]})
    box.refused()


def test_pids(box: Box) -> None:
    limit(box, pids={"limit": 42})
    check_values(box, {"pids.max": "42"})


def test_no_pids_at_all(box: Box) -> None:
    """0 is a limit (1.2.1).  Written as 1 it is the same: the container's process lives, and cannot fork."""
    limit(box, pids={"limit": 0})
    box.created()
    assert value(box, "pids.max") in ("0", "1")


def test_an_rdma_entry_has_a_limit(box: Box) -> None:
    limit(box, rdma={"mlx5_1": {}})
    box.refused()


def test_unified_without_its_controller_is_refused(box: Box) -> None:
    limit(box, unified={"nosuch.max": "1"})
    box.refused()


# -- intelRdt, where there is none -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rdt", [{"closID": "x"}, {"l3CacheSchema": "L3:0=f"}, {"closID": "x", "memBwSchema": "MB:0=50"}]
)
def test_intel_rdt_without_resctrl_is_refused(box: Box, rdt: dict[str, str]) -> None:
    assert not any(line.split()[-1:] == ["resctrl"] for line in Path("/proc/filesystems").read_text().splitlines())
    box.linux["intelRdt"] = rdt
    box.refused()


def test_cgroups_are_gone_afterwards(box: Box) -> None:
    box.output("true")
    assert not [path for path in CGROUPS.glob(f"*/{box.id}") if os.path.isdir(path)]
