"""What only the distribution's whole kernel has: cpuset, io.weight, io.max, hugetlb, rdma, PSI, misc, time namespaces.

After create and after update, by the files that the kernel shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from units import CGROUPS

from cli.runtime import cgroups_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from cli.runtime import Runtime

HUGE = "2MB"


@pytest.fixture(scope="module")
def disk() -> Iterator[str]:
    """MAJOR:MINOR of a whole disk: a loop device, since the guest has no other."""
    paths = [path for path in Path("/sys/block").iterdir() if path.name.startswith(("loop", "vd", "sd"))]
    assert paths, "no block device"
    return (paths[0] / "dev").read_text().strip()


def shown(container_id: str, file: str) -> str:
    (folder,) = cgroups_of(container_id)
    return (folder / file).read_text().strip()


def sleeping(runtime: Runtime, bundle: Bundle, **resources: Any) -> str:
    bundle.args("sleep", "1000")
    bundle.linux["resources"].update(resources)
    return runtime.run_detached(bundle)


def update(runtime: Runtime, container_id: str, **resources: Any) -> None:
    runtime("update", "--resources", "-", container_id, input=json.dumps(resources).encode()).ok()


def test_the_controllers() -> None:
    """That the rest of this file is about something."""
    wanted = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}
    assert wanted <= set((CGROUPS / "cgroup.controllers").read_text().split())


def test_cpuset(runtime: Runtime, bundle: Bundle) -> None:
    container_id = sleeping(runtime, bundle, cpu={"cpus": "0", "mems": "0"})
    assert (shown(container_id, "cpuset.cpus"), shown(container_id, "cpuset.mems")) == ("0", "0")
    allowed = runtime("exec", container_id, "grep", "Cpus_allowed_list", "/proc/self/status").ok().out
    assert allowed.split() == ["Cpus_allowed_list:", "0"]
    runtime("update", "--cpuset-cpus", "1", container_id).ok()
    assert shown(container_id, "cpuset.cpus") == "1"
    assert shown(container_id, "cpuset.cpus.effective") == "1"
    pid = runtime.state(container_id)["pid"]
    assert "Cpus_allowed_list:\t1\n" in Path(f"/proc/{pid}/status").read_text()
    runtime("update", "--cpuset-cpus", "7", container_id).failed("cpuset.cpus")
    assert shown(container_id, "cpuset.cpus") == "1"


def test_cpu(runtime: Runtime, bundle: Bundle) -> None:
    container_id = sleeping(runtime, bundle, cpu={"shares": 1024, "quota": 50000, "period": 100000, "burst": 10000})
    files = ("cpu.weight", "cpu.max", "cpu.max.burst")
    assert [shown(container_id, file) for file in files] == ["100", "50000 100000", "10000"]
    update(runtime, container_id, cpu={"quota": 20000, "burst": 20000})
    assert [shown(container_id, file) for file in files] == ["100", "20000 100000", "20000"]
    update(runtime, container_id, cpu={"idle": 1})
    assert shown(container_id, "cpu.idle") == "1"


def test_block_io(runtime: Runtime, bundle: Bundle, disk: str) -> None:
    major, minor = map(int, disk.split(":"))
    device = {"major": major, "minor": minor}
    throttles = {
        "throttleReadBpsDevice": [device | {"rate": 1 << 20}],
        "throttleWriteIOPSDevice": [device | {"rate": 99}],
    }
    container_id = sleeping(runtime, bundle, blockIO={"weight": 500, **throttles})
    assert weight(container_id) in ("500", str(1 + (500 - 10) * 9999 // 990))
    assert shown(container_id, "io.max") == f"{disk} rbps=1048576 wbps=max riops=max wiops=99"
    update(runtime, container_id, blockIO={"weight": 100, "throttleReadBpsDevice": [device | {"rate": 2 << 20}]})
    assert weight(container_id) in ("100", str(1 + (100 - 10) * 9999 // 990))
    assert shown(container_id, "io.max") == f"{disk} rbps=2097152 wbps=max riops=max wiops=99"


def weight(container_id: str) -> str:
    """The raw weight where BFQ has its own file, else the converted one."""
    (folder,) = cgroups_of(container_id)
    file = "io.bfq.weight" if (folder / "io.bfq.weight").exists() else "io.weight"
    return shown(container_id, file).split()[-1]


def test_hugetlb(runtime: Runtime, bundle: Bundle) -> None:
    container_id = sleeping(runtime, bundle, hugepageLimits=[{"pageSize": HUGE, "limit": 8 << 20}])
    files = (f"hugetlb.{HUGE}.max", f"hugetlb.{HUGE}.rsvd.max")
    assert [shown(container_id, file) for file in files] == [str(8 << 20)] * 2
    update(runtime, container_id, hugepageLimits=[{"pageSize": HUGE, "limit": 4 << 20}])
    assert [shown(container_id, file) for file in files] == [str(4 << 20)] * 2


def test_pids_of_nobody(runtime: Runtime, bundle: Bundle) -> None:
    """0 of an update is "not set"; -1 is no limit."""
    container_id = sleeping(runtime, bundle, pids={"limit": 30})
    update(runtime, container_id, pids={"limit": 0})
    assert shown(container_id, "pids.max") == "30"
    update(runtime, container_id, pids={"limit": -1})
    assert shown(container_id, "pids.max") == "max"


def test_unified(runtime: Runtime, bundle: Bundle) -> None:
    values = {"memory.high": str(40 << 20), "memory.oom.group": "1", "cpuset.cpus": "0-1", "cpu.weight": "77"}
    container_id = sleeping(runtime, bundle, unified=values)
    assert {file: shown(container_id, file) for file in values} == values
    update(runtime, container_id, unified={"memory.high": str(20 << 20)})
    assert shown(container_id, "memory.high") == str(20 << 20)


def test_rdma_and_misc_are_there_and_without_hardware_refused(runtime: Runtime, bundle: Bundle) -> None:
    container_id = sleeping(runtime, bundle)
    (folder,) = cgroups_of(container_id)
    assert (folder / "rdma.max").exists()
    assert (folder / "misc.max").exists()
    update(runtime, container_id, unified={})
    bundle.linux["resources"]["rdma"] = {"mlx5_0": {"hcaHandles": 3}}
    bundle.save()
    runtime("create", "--bundle", bundle.path, runtime.new_id()).failed("rdma.max")


def test_statistics(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"].update({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}})
    bundle.shell("i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; sleep 1000")
    container_id = runtime.run_detached(bundle)

    def data() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(runtime("events", "--stats", container_id).ok().out)["data"]
        return found

    wait_until(lambda: data()["cpu"]["usage"].get("total", 0) > 0)
    found = data()
    assert HUGE in found["hugetlb"]
    assert found["memory"]["usage"]["limit"] == 64 << 20
    for name in ("cpu", "memory", "blkio"):
        pressure = found[name]["psi"]
        assert set(pressure) == {"some", "full"}
        assert set(pressure["some"]) == {"avg10", "avg60", "avg300", "total"}


def test_time_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000}}
    outside = float(Path("/proc/uptime").read_text().split()[0])
    inside = float(runtime.script(bundle, "cat /proc/uptime").split()[0])
    assert 1_000_000 <= inside - outside < 1_000_100
