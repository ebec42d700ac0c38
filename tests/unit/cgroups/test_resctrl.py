"""linux.intelRdt on a FAKE resctrl tree: this kernel has none (CONFIG_X86_CPU_RESCTRL), nor have most.

The fake does what the kernel does when a directory is made: `schemata`, `tasks` and `mon_groups` appear in it.  That a
real one takes what is written is therefore NOT shown here.
"""

from __future__ import annotations

import json
from errno import ENOSPC
from pathlib import Path

import pytest

from ocispec.linux import IntelRdt
from pyrunc.cgroups import resctrl
from pyrunc.cgroups.resctrl import Group, group_of, join, parse_schemata, writes_of
from pyrunc.cgroups.resctrl_stats import read_rdt
from pyrunc.errors import ConfigError, KernelError, PyruncError, Unsupported

FULL = "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n"


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.full = False
        root.mkdir()
        self._fill(root)
        (root / "info").mkdir()

    def _fill(self, directory: Path) -> None:
        (directory / "schemata").write_text(FULL)
        (directory / "tasks").write_text("")
        (directory / "mon_groups").mkdir()

    def make_directory(self, path: str) -> None:
        if self.full:
            raise OSError(ENOSPC, "no more classes")
        Path(path).mkdir()
        self._fill(Path(path))

    def make(self, rdt: IntelRdt) -> Group:
        group = group_of(rdt, "box", str(self.root))
        resctrl.make(rdt, group, str(self.root), self.make_directory)
        return group

    def schemata(self, name: str) -> str:
        return (self.root / name / "schemata").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "resctrl")


@pytest.mark.parametrize(
    ("rdt", "path", "monitor", "is_own"),
    [
        (IntelRdt(), "/r/box", "", True),
        (IntelRdt(clos_id="gold"), "/r/gold", "", False),
        (IntelRdt(clos_id="/"), "/r", "", False),
        (IntelRdt(clos_id="gold", enable_monitoring=True), "/r/gold", "/r/gold/mon_groups/box", False),
        (IntelRdt(clos_id="/", enable_monitoring=True), "/r", "/r/mon_groups/box", False),
        (IntelRdt(enable_monitoring=True), "/r/box", "/r/box/mon_groups/box", True),
    ],
)
def test_where_a_container_belongs(rdt: IntelRdt, path: str, monitor: str, is_own: bool) -> None:
    assert group_of(rdt, "box", "/r") == Group(path=path, monitor=monitor, is_own=is_own)


@pytest.mark.parametrize(
    ("rdt", "writes"),
    [
        (IntelRdt(), ()),
        (IntelRdt(l3_cache_schema="L3:0=f"), ("L3:0=f\n",)),
        (IntelRdt(mem_bw_schema="MB:0=20"), ("MB:0=20\n",)),
        (IntelRdt(mem_bw_schema="MB:0=20", l3_cache_schema="L3:0=f"), ("L3:0=f\nMB:0=20\n",)),
        (IntelRdt(schemata=("L2:0=3", "MB:0=10")), ("L2:0=3\nMB:0=10\n",)),
        (IntelRdt(l3_cache_schema="L3:0=f", schemata=("L3:0=7",)), ("L3:0=f\n", "L3:0=7\n")),
    ],
)
def test_what_is_written(rdt: IntelRdt, writes: tuple[str, ...]) -> None:
    """L3 first, memory bandwidth last, the list after both; every line ends (the kernel wants that)."""
    assert writes_of(rdt) == writes


def test_a_class_of_its_own(tree: Tree) -> None:
    group = tree.make(IntelRdt(l3_cache_schema="L3:0=f"))
    assert tree.schemata("box").startswith("L3:0=f\n")  # a plain file keeps the rest
    join(group, 4321)
    assert (tree.root / "box/tasks").read_text() == "4321"
    assert tree.schemata(".") == FULL


def test_nothing_is_written_when_nothing_is_said(tree: Tree) -> None:
    tree.make(IntelRdt())
    assert tree.schemata("box") == FULL


def test_a_named_class_that_is_missing_is_made(tree: Tree) -> None:
    group = tree.make(IntelRdt(clos_id="gold", schemata=("MB:0=10",)))
    assert tree.schemata("gold").startswith("MB:0=10\n")  # a plain file keeps the rest
    assert not group.is_own


def test_a_named_class_without_schemata_must_be_there(tree: Tree) -> None:
    with pytest.raises(ConfigError, match="there is no class gold"):
        tree.make(IntelRdt(clos_id="gold"))
    tree.make_directory(str(tree.root / "gold"))
    tree.make(IntelRdt(clos_id="gold"))
    assert tree.schemata("gold") == FULL


@pytest.mark.parametrize("line", ["L3:0=fffff", "L3:0=000fffff;1=FFFFF", "MB:1=100", "L3:0=fffff;1=fffff"])
def test_a_class_that_is_there_and_the_same(tree: Tree, line: str) -> None:
    tree.make_directory(str(tree.root / "gold"))
    tree.make(IntelRdt(clos_id="gold", schemata=(line,)))
    assert tree.schemata("gold") == FULL


@pytest.mark.parametrize("line", ["L3:0=f", "L3:2=fffff", "L2:0=f", "MB:0=10", "MB:0=0x64"])
def test_a_class_that_is_there_and_different(tree: Tree, line: str) -> None:
    tree.make_directory(str(tree.root / "gold"))
    with pytest.raises(ConfigError, match="has another"):
        tree.make(IntelRdt(clos_id="gold", schemata=(line,)))
    assert tree.schemata("gold") == FULL


def test_the_root_class_is_never_changed(tree: Tree) -> None:
    tree.make(IntelRdt(clos_id="/"))
    with pytest.raises(ConfigError, match="has another L3"):
        tree.make(IntelRdt(clos_id="/", l3_cache_schema="L3:0=f"))
    assert tree.schemata(".") == FULL


def test_monitoring(tree: Tree) -> None:
    tree.make_directory(str(tree.root / "gold"))
    group = tree.make(IntelRdt(clos_id="gold", enable_monitoring=True))
    join(group, 4321)
    assert (tree.root / "gold/tasks").read_text() == "4321"
    assert (tree.root / "gold/mon_groups/box/tasks").read_text() == "4321"


def test_monitoring_that_fails_is_an_error_and_leaves_nothing(tree: Tree) -> None:
    tree.make_directory(str(tree.root / "gold"))
    tree.full = True
    with pytest.raises(KernelError, match=r"enableMonitoring: mkdir .*ENOSPC"):
        tree.make(IntelRdt(clos_id="gold", enable_monitoring=True))


def test_what_the_kernel_refuses_leaves_nothing(tmp_path: Path) -> None:
    """With the kernel's own reason.  A directory in the place of `schemata` is what refuses here."""
    root = tmp_path / "resctrl"
    (root / "info").mkdir(parents=True)
    (root / "info/last_cmd_status").write_text("mask f000000 has non-consecutive 1-bits\n")
    rdt = IntelRdt(l3_cache_schema="L3:0=f000000")
    group = group_of(rdt, "box", str(root))
    with pytest.raises(PyruncError, match=r"write 'L3:0=f000000' to .*: ENOENT .*: mask f000000 has non-consecutive"):
        resctrl.make(rdt, group, str(root))
    assert not (root / "box").exists()


def test_what_a_killed_runtime_left_is_taken_over(tree: Tree) -> None:
    tree.make_directory(str(tree.root / "box"))
    group = tree.make(IntelRdt(l3_cache_schema="L3:0=3"))
    assert tree.schemata("box").startswith("L3:0=3\n")  # a plain file keeps the rest
    assert group.is_own


def test_only_its_own_is_removed(tmp_path: Path) -> None:
    """rmdir(2) as the kernel has it there: of a group with its files in it."""
    for name in ("own/mon_groups/box", "gold/mon_groups/box"):
        (tmp_path / name).mkdir(parents=True)
    resctrl.remove(Group(path=str(tmp_path / "gold"), monitor=str(tmp_path / "gold/mon_groups/box")))
    assert (tmp_path / "gold").exists()
    assert not (tmp_path / "gold/mon_groups/box").exists()
    (tmp_path / "box").mkdir()
    resctrl.remove(Group(path=str(tmp_path / "box"), is_own=True))
    resctrl.remove(Group(path=str(tmp_path / "box"), is_own=True))  # a second delete was quicker
    assert not (tmp_path / "box").exists()


def test_what_it_counts(tree: Tree) -> None:
    """runc's names, in its order; what the machine does not have is left out."""
    assert read_rdt(Group(path=str(tree.root / "gone")), str(tree.root / "gone")) == {}
    for name, content in {
        "L3/cbm_mask": "fffff\n",
        "L3/min_cbm_bits": "1\n",
        "L3/num_closids": "16\n",
        "MB/bandwidth_gran": "10\n",
        "MB/delay_linear": "1\n",
        "MB/min_bandwidth": "10\n",
        "MB/num_closids": "8\n",
    }.items():
        (tree.root / "info" / name).parent.mkdir(exist_ok=True)
        (tree.root / "info" / name).write_text(content)
    group = tree.make(IntelRdt(l3_cache_schema="L3:0=ff;1=ff", enable_monitoring=True))
    assert list(read_rdt(group, str(tree.root)))[-1] == "mem_bw_schema"
    for cache, counts in {"mon_L3_01": "7", "mon_L3_00": "Unavailable"}.items():
        directory = tree.root / "box/mon_groups/box/mon_data" / cache
        directory.mkdir(parents=True)
        (directory / "mbm_total_bytes").write_text(f"{counts}\n")
        (directory / "llc_occupancy").write_text("5\n")
    (tree.root / "box/schemata").write_text("    L3:0=ff;1=ff\n    MB:0=100;1=100\n")
    assert json.dumps(read_rdt(group, str(tree.root))) == json.dumps(
        {
            "l3_cache_info": {"cbm_mask": "fffff", "min_cbm_bits": 1, "num_closids": 16},
            "l3_cache_schema_root": "L3:0=fffff;1=fffff",
            "l3_cache_schema": "L3:0=ff;1=ff",
            "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
            "mem_bw_schema_root": "MB:0=100;1=100",
            "mem_bw_schema": "MB:0=100;1=100",
            "mbm_stats": [{}, {"mbm_total_bytes": 7}],
            "cmt_stats": [{"llc_occupancy": 5}, {"llc_occupancy": 5}],
        }
    )


def test_a_group_survives_state_json() -> None:
    group = Group(path="/r/gold", monitor="/r/gold/mon_groups/box")
    assert resctrl.from_json(group.as_json()) == group


def test_schemata_compare_by_meaning() -> None:
    assert parse_schemata("  L3:0=0f;1=F0\nMB: 0= 10\nodd\nX:a=b") == {
        "L3": {"0": 15, "1": 240}, "MB": {"0": 10}, "X": {"a": "b"},
    }  # fmt: skip


def test_without_resctrl() -> None:
    with pytest.raises(Unsupported, match="Intel RDT is not supported or enabled"):
        resctrl.mount_point()
