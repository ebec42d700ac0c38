"""ContainerCgroup as a value: state.json, other people's views of it, and the program that joins it."""

from __future__ import annotations

import json

from pyrunc.cgroups.join import REFUSED, emit_join
from pyrunc.cgroups.place import ContainerCgroup, JoinedHierarchy, from_json, planned
from pyrunc.kernel.host import CgroupHierarchy
from pyrunc.program.builder import Program

HOST = (
    CgroupHierarchy(version=1, controllers=("cpu", "cpuacct"), mountpoint="/sys/fs/cgroup/cpu,cpuacct", own_path="/"),
    CgroupHierarchy(version=1, controllers=("memory",), mountpoint="/sys/fs/cgroup/memory", own_path="/own"),
    CgroupHierarchy(version=2, controllers=("hugetlb",), mountpoint="/sys/fs/cgroup/unified", own_path="/"),
)
PLACE = planned(HOST, ("/c1", "/own/c1", "/c1"))


def test_where_it_is_on_the_host() -> None:
    assert [joined.path for joined in PLACE.hierarchies] == [
        "/sys/fs/cgroup/cpu,cpuacct/c1",
        "/sys/fs/cgroup/memory/own/c1",
        "/sys/fs/cgroup/unified/c1",
    ]


def test_state_json_gives_back_the_same() -> None:
    cgroup = ContainerCgroup(hierarchies=PLACE.hierarchies, made=("/sys/fs/cgroup/memory/own/c1",))
    document = json.loads(json.dumps(cgroup.as_json()))
    assert from_json(document) == cgroup
    first = {"version": 1, "controllers": ["cpu", "cpuacct"], "path": "/sys/fs/cgroup/cpu,cpuacct/c1"}
    assert document["hierarchies"][0] == first
    assert document["made"] == ["/sys/fs/cgroup/memory/own/c1"]


def test_paths_inside_the_hierarchies() -> None:
    assert PLACE.relative_paths(HOST) == ("/c1", "/own/c1", "/c1")
    left_out = ContainerCgroup(hierarchies=PLACE.hierarchies[:1])
    assert left_out.relative_paths(HOST) == ("/c1", "/own", "/")


def test_finding_a_controller() -> None:
    cpuacct, v2 = PLACE.find("cpuacct"), PLACE.find("")
    assert cpuacct is PLACE.hierarchies[0]
    assert v2 is PLACE.hierarchies[2]
    assert PLACE.find("pids") is None


def test_joining_is_three_calls_for_each_v1_hierarchy_and_none_for_v2() -> None:
    program = Program()
    emit_join(program, PLACE)
    assert [operation.name for operation in program.operations] == ["openat", "write", "close"] * 2
    opened = [operation for operation in program.operations if operation.name == "openat"]
    assert [(o.label.place, o.label.subject) for o in opened] == [
        ("linux.cgroupsPath", "/sys/fs/cgroup/cpu,cpuacct/c1"),
        ("linux.cgroupsPath", "/sys/fs/cgroup/memory/own/c1"),
    ]
    assert b"/sys/fs/cgroup/memory/own/c1/tasks\0" in bytes(program.data)
    assert b"cgroup.procs" not in bytes(program.data)
    assert program.operations[1].label.doing == "join the cpu,cpuacct cgroup"
    assert all(not operation.tolerated for operation in program.operations)


def test_an_optional_hierarchy_is_skipped_as_a_whole() -> None:
    program = Program()
    emit_join(program, planned(HOST, ("/c1", "/own/c1", "/c1"), optional=True))
    targets = [operation.target.index for operation in program.operations if operation.target is not None]
    assert targets == [3, 6]
    assert tuple(program.operations[0].tolerated) == REFUSED


def test_pure_v2_needs_no_operation() -> None:
    program = Program()
    v2 = JoinedHierarchy(version=2, controllers=("pids",), path="/sys/fs/cgroup/c1")
    emit_join(program, ContainerCgroup(hierarchies=(v2,)))
    assert program.operations == []
    assert program.data == bytearray()
