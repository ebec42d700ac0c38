"""Statistics: files as kernels write them, read to what runc prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pyrunc.cgroups import stats_v1, stats_v2
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
from pyrunc.cgroups.stats import read_stats
from pyrunc.cgroups.stats_files import UINT64_MAX, ids, keyed, number, pressure
from pyrunc.cgroups.stats_v2 import io_entries

if TYPE_CHECKING:
    from pathlib import Path

PSI = "some avg10=1.50 avg60=0.00 avg300=0.25 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
QUIET = {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0}


def fill(folder: Path, files: dict[str, str]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return str(folder)


def cgroup(*hierarchies: tuple[int, tuple[str, ...], str]) -> ContainerCgroup:
    return ContainerCgroup(
        hierarchies=tuple(
            JoinedHierarchy(version=version, controllers=names, path=path) for version, names, path in hierarchies
        )
    )


@pytest.mark.parametrize(
    ("text", "found"), [("0-3,7\n", [0, 1, 2, 3, 7]), ("0\n", [0]), ("\n", []), (None, []), ("1,3", [1, 3])]
)
def test_ids(text: str | None, found: list[int]) -> None:
    assert ids(text) == found


def test_numbers() -> None:
    assert (number("5\n"), number("max\n"), number(None)) == (5, UINT64_MAX, 0)
    assert keyed("a 1\nb max\nodd line here\n") == {"a": 1, "b": UINT64_MAX}
    assert keyed(None) == {}


def test_pressure() -> None:
    assert pressure(None) is None
    found = pressure(PSI)
    assert found == {"some": {"avg10": 1.5, "avg60": 0, "avg300": 0.25, "total": 1234}, "full": QUIET}
    assert json.dumps(found["full"]) == json.dumps(QUIET)  # 0, not 0.0
    old = pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n")  # Linux before 5.13 has no `full` of cpu
    assert old is not None
    assert (old["some"]["total"], old["full"]) == (7, QUIET)


def test_cpu_v1(tmp_path: Path) -> None:
    path = fill(
        tmp_path,
        {
            "cpuacct.usage": "14558432\n",
            "cpuacct.usage_percpu": "3426427 11132005 \n",
            "cpuacct.usage_all": "cpu user system\n0 5 0\n1 0 8000000\n",
            "cpuacct.stat": "user 2\nsystem 1\n",
            "cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 77\nnr_bursts 0\nburst_time 0\n",
        },
    )
    assert json.dumps(stats_v1.cpu_usage(path)) == json.dumps(
        {
            "total": 14558432,
            "percpu": [3426427, 11132005],
            "percpu_kernel": [0, 8000000],
            "percpu_user": [5, 0],
            "kernel": 10_000_000,
            "user": 20_000_000,
        }
    )
    assert stats_v1.throttling(path) == {"periods": 10, "throttledPeriods": 3, "throttledTime": 77}


def test_memory_v1_without_swap_accounting(tmp_path: Path) -> None:
    path = fill(
        tmp_path,
        {
            "memory.stat": "rss 5\ncache 3\ninactive_anon 1\n",
            "memory.limit_in_bytes": "9223372036854771712\n",
            "memory.usage_in_bytes": "100\n",
            "memory.max_usage_in_bytes": "200\n",
            "memory.failcnt": "4\n",
        },
    )
    none = {"limit": 0, "failcnt": 0}
    assert json.dumps(stats_v1.memory(path)) == json.dumps(
        {
            "cache": 3,
            "usage": {"limit": 9223372036854771712, "usage": 100, "max": 200, "failcnt": 4},
            "swap": none,
            "kernel": none,
            "kernelTCP": none,
            "raw": {"cache": 3, "inactive_anon": 1, "rss": 5},
        }
    )


def test_blkio_groups(tmp_path: Path) -> None:
    """BFQ's files are there and say nothing when another scheduler works: then the throttle layer's."""
    path = fill(
        tmp_path,
        {
            "blkio.bfq.io_serviced_recursive": "Total 0\n",
            "blkio.bfq.io_service_bytes_recursive": "Total 0\n",
            "blkio.throttle.io_serviced_recursive": "8:0 Read 2\n8:0 Write 0\n8:0 Total 2\nTotal 2\n",
            "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n",
        },
    )
    found = stats_v1.blkio(path)
    assert list(found) == ["ioServiceBytesRecursive", "ioServicedRecursive"]
    assert found["ioServicedRecursive"] == [
        {"major": 8, "op": "Read", "value": 2}, {"major": 8, "op": "Write"}, {"major": 8, "op": "Total", "value": 2},
    ]  # fmt: skip
    fill(tmp_path, {"blkio.bfq.io_serviced_recursive": "8:16 Read 9\nTotal 9\n"})
    assert stats_v1.blkio(path) == {"ioServicedRecursive": [{"major": 8, "minor": 16, "op": "Read", "value": 9}]}
    assert stats_v1.blkio(str(tmp_path / "absent")) == {}
    assert stats_v1.blkio_entries("8:0 512\n") == [{"major": 8, "value": 512}]


def test_hugetlb(tmp_path: Path) -> None:
    old = fill(
        tmp_path / "old",
        {
            "hugetlb.2MB.usage_in_bytes": "5\n",
            "hugetlb.2MB.max_usage_in_bytes": "6\n",
            "hugetlb.2MB.failcnt": "1\n",
        },
    )
    assert stats_v1.hugetlb(old, ("1GB", "2MB")) == {"2MB": {"usage": 5, "max": 6, "failcnt": 1}}
    new = fill(
        tmp_path / "new",
        {"hugetlb.2MB.current": "5\n", "hugetlb.2MB.rsvd.current": "7\n", "hugetlb.2MB.events": "max 3\n"},
    )
    assert stats_v2.hugetlb(new, ("1GB", "2MB")) == {"2MB": {"usage": 7, "failcnt": 3}}


def test_pure_v2(tmp_path: Path) -> None:
    """Every number under the name that version 1 has for it; swap includes memory; no peak of the two together."""
    path = fill(
        tmp_path / "c1",
        {
            "cpu.stat": "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 2\nnr_throttled 1\nthrottled_usec 5\n",
            "cpu.pressure": PSI,
            "memory.stat": "file 3\nanon 4\n",
            "memory.current": "100\n",
            "memory.max": "1000\n",
            "memory.peak": "150\n",
            "memory.swap.current": "10\n",
            "memory.swap.max": "max\n",
            "memory.pressure": PSI,
            "pids.current": "2\n",
            "pids.max": "max\n",
            "io.stat": "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n253:1 rbytes=1 wbytes=2\n",
        },
    )
    data = read_stats(cgroup((2, ("cpu", "io", "memory", "pids"), path)), ())
    psi = pressure(PSI)
    none = {"limit": 0, "failcnt": 0}
    assert json.dumps(data["cpu"]) == json.dumps(
        {
            "usage": {"total": 10000, "kernel": 4000, "user": 6000},
            "throttling": {"periods": 2, "throttledPeriods": 1, "throttledTime": 5000},
            "psi": psi,
        }
    )
    assert json.dumps(data["memory"]) == json.dumps(
        {
            "cache": 3,
            "usage": {"limit": 1000, "usage": 100, "max": 150, "failcnt": 0},
            "swap": {"limit": UINT64_MAX, "usage": 110, "failcnt": 0},
            "kernel": none,
            "kernelTCP": none,
            "raw": {"anon": 4, "file": 3},
            "psi": psi,
        }
    )
    assert data["pids"] == {"current": 2}
    assert data["blkio"]["ioServiceBytesRecursive"] == [
        {"major": 8, "op": "Read", "value": 4096}, {"major": 8, "op": "Write"},
        {"major": 253, "minor": 1, "op": "Read", "value": 1}, {"major": 253, "minor": 1, "op": "Write", "value": 2},
    ]  # fmt: skip
    assert set(data["cpuset"].values()) == {0}
    assert data["hugetlb"] == {}


def test_the_cost_of_io() -> None:
    found = io_entries("8:0 rbytes=1 cost.vrate=100.00 cost.usage=7 cost.wait=0 cost.indebt=3 cost.indelay=4\n")
    one = {"major": 8, "op": "Count"}
    assert found == {
        "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 1}],
        "ioCostUsage": [{**one, "value": 7}],
        "ioCostWait": [one],
        "ioCostIndebt": [{**one, "value": 3}],
        "ioCostIndelay": [{**one, "value": 4}],
    }


def test_nothing_is_joined(tmp_path: Path) -> None:
    """Rootless without cgroups, or while the cgroup is removed: no error, all zero."""
    for empty in (cgroup(), cgroup((2, ("cpu", "memory", "pids", "io"), str(tmp_path / "gone")))):
        data = read_stats(empty, ("2MB",))
        assert list(data) == [
            "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces",
        ]  # fmt: skip
        assert data["pids"] == {}
        assert data["memory"]["usage"] == {"limit": 0, "failcnt": 0}


def test_rdma_and_misc(tmp_path: Path) -> None:
    """Only where there is something to tell: the document is runc's otherwise."""
    path = fill(
        tmp_path / "full",
        {
            "rdma.max": "mlx4_0 hca_handle=2 hca_object=max\nocrdma1 hca_handle=max hca_object=max\n",
            "rdma.current": "mlx4_0 hca_handle=1 hca_object=20\nocrdma1 hca_handle=0 hca_object=0\n",
            "misc.current": "sev 3\nsev_es 0\n",
            "misc.events": "sev.max 5\nsev_es.max 0\n",
        },
    )
    found = read_stats(cgroup((2, ("rdma", "misc"), path)), ())
    assert found["rdma_stats"] == {
        "rdma_limit": [
            {"device": "mlx4_0", "hca_handles": 2, "hca_objects": (1 << 32) - 1},
            {"device": "ocrdma1", "hca_handles": (1 << 32) - 1, "hca_objects": (1 << 32) - 1},
        ],
        "rdma_current": [
            {"device": "mlx4_0", "hca_handles": 1, "hca_objects": 20},
            {"device": "ocrdma1", "hca_handles": 0, "hca_objects": 0},
        ],
    }
    assert found["misc_stats"] == {"sev": {"usage": 3, "events": 5}, "sev_es": {}}
    empty = fill(tmp_path / "empty", {"rdma.max": "", "rdma.current": "", "misc.current": "", "misc.events": ""})
    assert not {"rdma_stats", "misc_stats"} & set(read_stats(cgroup((2, ("rdma", "misc"), empty)), ()))
    assert not {"rdma_stats", "misc_stats"} & set(read_stats(cgroup((2, (), empty)), ()))
