"""update: what to write to have the old limits again, and what is refused beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ocispec.resources import Cpu, Memory, Pids, Resources
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy
from pyrunc.cgroups.update import check_usage, update, value_before
from pyrunc.cgroups.writes import Write
from pyrunc.errors import ConfigError, KernelError, StateError
from pyrunc.kernel.host import CgroupHierarchy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("file", "value", "content", "before"),
    [
        ("memory.limit_in_bytes", "1", "9223372036854771712\n", "9223372036854771712"),
        ("cpu.max", "500 1000", "max 100000\n", "max 100000"),
        ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "0"),
        ("io.weight", "50", "default 100\n", "100"),
        ("io.bfq.weight", "50", "default 100\n8:0 200\n", "100"),
        ("io.bfq.weight", "8:0 50", "default 100\n8:0 200\n", "8:0 200"),
        ("io.bfq.weight", "8:16 50", "default 100\n8:0 200\n", "8:16 default"),
        ("io.max", "8:0 rbps=5", "", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ("io.max", "8:0 rbps=5", "8:0 rbps=9 wbps=max\n8:16 rbps=1\n", "8:0 rbps=9 wbps=max"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7\n", "8:0 0"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:0 7\n", "8:0 7"),
        ("net_prio.ifpriomap", "lo 5", "lo 1\neth0 0\n", "lo 1"),
        ("cpuset.mems", "0", "\n", "\n"),
        ("cpuset.cpus", "0", "0-1\n", "0-1"),
        ("io.weight", "8:0 50", "default 100\n", "8:0 default"),
        ("io.weight", "default 50", "default 100\n8:0 200\n", "default 100"),
        ("io.latency", "8:0 target=5", "", "8:0 target=max"),
        ("misc.max", "sev 5", "sev 7\nsev_es max\n", "sev 7"),
    ],
)  # fmt: skip
def test_value_before(file: str, value: str, content: str, before: str) -> None:
    assert value_before(content, Write("x", file, value, "place")) == before


@pytest.fixture
def place(tmp_path: Path) -> tuple[ContainerCgroup, CgroupHierarchy]:
    """A version 2 cgroup of ordinary files: they keep what is written, behind what the writes leave of it."""
    for name, content in (("cpu.max", "20000 100000\n"), ("cpu.weight", "100\n"), ("memory.current", "5000\n")):
        (tmp_path / name).write_text(content)
    names = ("cpu", "memory", "pids")
    joined = JoinedHierarchy(version=2, controllers=names, path=str(tmp_path))
    (tmp_path / "cgroup.controllers").write_text(" ".join(names))
    hierarchy = CgroupHierarchy(version=2, controllers=names, mountpoint=str(tmp_path), own_path="/")
    return ContainerCgroup(hierarchies=(joined,)), hierarchy


def test_a_new_period_keeps_the_quota(place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path) -> None:
    cgroup, hierarchy = place
    assert update(cgroup, Resources(cpu=Cpu(period=50000)), (hierarchy,)) == []
    assert (tmp_path / "cpu.max").read_text().startswith("20000 50000")


def test_swap_alone_counts_from_the_limit_there_is(
    place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path
) -> None:
    cgroup, hierarchy = place
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.swap.max").write_text("0\n")
    update(cgroup, Resources(memory=Memory(swap=7000000)), (hierarchy,))
    assert (tmp_path / "memory.swap.max").read_text() == "2000000"
    with pytest.raises(ConfigError, match=r"memory\+swap limit should be >= memory limit"):
        update(cgroup, Resources(memory=Memory(swap=4000000)), (hierarchy,))
    (tmp_path / "memory.max").write_text("max\n")
    with pytest.raises(ConfigError, match="unable to set swap limit without memory limit"):
        update(cgroup, Resources(memory=Memory(swap=4000000)), (hierarchy,))


def test_what_is_refused_is_set_back(place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path) -> None:
    """The second file is a directory: it can be read as little as written."""
    cgroup, hierarchy = place
    update(cgroup, Resources(cpu=Cpu(shares=2048)), (hierarchy,))
    assert (tmp_path / "cpu.weight").read_text() != "100\n"
    (tmp_path / "cpu.weight").write_text("100\n")
    (tmp_path / "pids.max").mkdir()
    with pytest.raises(KernelError, match=r"pids\.max: EISDIR \(is a directory\); set back: cpu\.weight$"):
        update(cgroup, Resources(cpu=Cpu(shares=2048), pids=Pids(limit=5)), (hierarchy,))
    assert (tmp_path / "cpu.weight").read_text() == "100\n"


def test_what_else_is_refused_sets_all_back(place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path) -> None:
    """systemd, and resctrl: they are told after the files."""
    cgroup, hierarchy = place

    def refuse(_wanted: Resources) -> bool:
        assert (tmp_path / "cpu.weight").read_text() != "100\n"
        raise StateError("not now")

    with pytest.raises(StateError, match=r"^not now; set back: cpu\.weight$"):
        update(cgroup, Resources(cpu=Cpu(shares=2048)), (hierarchy,), also=refuse)
    assert (tmp_path / "cpu.weight").read_text() == "100\n"


def test_what_is_rounded_is_written_again(place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path) -> None:
    cgroup, hierarchy = place

    def round_it(_wanted: Resources) -> bool:
        (tmp_path / "cpu.max").write_text("30000 100000\n")
        return True

    update(cgroup, Resources(cpu=Cpu(quota=25000)), (hierarchy,), also=round_it)
    assert (tmp_path / "cpu.max").read_text().startswith("25000 100000")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Resources(cpu=Cpu(period=50000)), Resources(cpu=Cpu(quota=20000, period=50000))),
        (Resources(cpu=Cpu(quota=7000)), Resources(cpu=Cpu(quota=7000, period=100000))),
        (Resources(cpu=Cpu(quota=-1)), Resources(cpu=Cpu(quota=-1, period=100000))),
        (Resources(memory=Memory(swap=7000000)), Resources(memory=Memory(limit=5000000, swap=7000000))),
    ],
)
def test_systemd_is_told_of_both_halves(
    place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path, asked: Resources, told: Resources
) -> None:
    """Half a quota it would make a whole one of: with the period that it takes for granted, or with no limit."""
    cgroup, hierarchy = place
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.swap.max").write_text("0\n")
    heard: list[Resources] = []
    update(cgroup, asked, (hierarchy,), also=lambda wanted: bool(heard.append(wanted)))
    assert heard == [told]


def test_on_version_1_too(tmp_path: Path) -> None:
    """There the files are two, and only systemd needs both."""
    for name, content in (("cpu.cfs_quota_us", "20000\n"), ("cpu.cfs_period_us", "50000\n")):
        (tmp_path / name).write_text(content)
    joined = JoinedHierarchy(version=1, controllers=("cpu",), path=str(tmp_path))
    hierarchy = CgroupHierarchy(version=1, controllers=("cpu",), mountpoint=str(tmp_path), own_path="/")
    heard: list[Resources] = []
    for unit in ("", "x.scope"):
        cgroup = ContainerCgroup(hierarchies=(joined,), unit=unit)
        update(cgroup, Resources(cpu=Cpu(quota=9000)), (hierarchy,), also=lambda wanted: bool(heard.append(wanted)))
    assert heard == [Resources(cpu=Cpu(quota=9000)), Resources(cpu=Cpu(quota=9000, period=50000))]


def test_who_was_not_idle_has_the_old_weight_again(
    place: tuple[ContainerCgroup, CgroupHierarchy], tmp_path: Path
) -> None:
    """In the kernel cpu.idle 0 makes the weight the default one, so it is written after it."""
    cgroup, hierarchy = place
    (tmp_path / "cpu.idle").write_text("0\n")
    (tmp_path / "cpu.weight").write_text("300\n")
    (tmp_path / "pids.max").mkdir()
    with pytest.raises(KernelError, match=r"; set back: cpu\.idle, cpu\.weight$"):
        update(cgroup, Resources(cpu=Cpu(idle=1), pids=Pids(limit=5)), (hierarchy,))
    assert (tmp_path / "cpu.idle").read_text() == "0\n"
    assert (tmp_path / "cpu.weight").read_text() == "300\n"


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (Memory(limit=5000, check_before_update=True), "rejecting memory limit 5000 <= usage 5000"),
        (Memory(limit=9000, swap=4000, check_before_update=True), r"rejecting memory\+swap limit 4000 <= usage 5000"),
    ],
)
def test_usage_is_checked(place: tuple[ContainerCgroup, CgroupHierarchy], memory: Memory, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_usage(place[0].hierarchies[0], memory)


@pytest.mark.parametrize(
    "memory",
    [
        Memory(limit=10, check_before_update=False),
        Memory(limit=10),
        Memory(limit=5001, check_before_update=True),
        Memory(limit=-1, swap=-1, check_before_update=True),
    ],
)
def test_usage_that_fits(place: tuple[ContainerCgroup, CgroupHierarchy], memory: Memory) -> None:
    check_usage(place[0].hierarchies[0], memory)
    assert place[0].hierarchies[0].version == 2
