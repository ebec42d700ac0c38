"""The cgroupfs driver on this machine's own hierarchies: make, limit, join, remove.  Needs root."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from errno import EBUSY, EINVAL, ENAMETOOLONG, ENOENT
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from cgroup_members import Sandbox, wait_until
from device_lists import RULES
from ocispec.resources import BlockIO, Cpu, DeviceRule, HugepageLimit, Memory, Pids, Resources, ThrottleDevice
from pyrunc.cgroups import fs
from pyrunc.cgroups.apply import apply, establish
from pyrunc.cgroups.device_transition import only_changes
from pyrunc.cgroups.join import emit_join
from pyrunc.cgroups.layout import read_hierarchies, read_page_sizes
from pyrunc.cgroups.place import ContainerCgroup, planned
from pyrunc.cgroups.resources import plan_resources
from pyrunc.cgroups.writes import Write
from pyrunc.errors import ConfigError, KernelError, StateError
from pyrunc.program.builder import Program
from stage_process import StageProcess, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(request.node.name.replace("[", "-").rstrip("]"))
    yield made
    made.close()
    assert made.leftovers() == []


def limit(sandbox: Sandbox, cgroup: ContainerCgroup, resources: Resources) -> list[str]:
    plan = plan_resources(resources, sandbox.hierarchies, page_sizes=read_page_sizes())
    return apply(cgroup, plan.writes)


# -- what this machine has -------------------------------------------------------------------------------------------


def test_the_hierarchies_are_those_of_proc() -> None:
    expected = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, names, path = line.split(":", 2)
        expected.append((tuple(names.split(",")) if names else None, path))
    found = read_hierarchies()
    assert [(h.controllers if h.version == 1 else None, h.own_path) for h in found] == expected
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    for hierarchy in found:
        assert hierarchy.mountpoint in mounts
        pids = Path(hierarchy.mountpoint + hierarchy.own_path, "cgroup.procs").read_text().split()
        assert str(os.getpid()) in pids


@pytest.mark.v1_only
def test_page_sizes_are_those_that_the_hugetlb_files_are_named_after(sandbox: Sandbox) -> None:
    sizes = read_page_sizes()
    assert len(sizes) == len(os.listdir("/sys/kernel/mm/hugepages"))
    cgroup = sandbox.create()
    apply(cgroup, [Write("hugetlb", f"hugetlb.{size}.max", str(1 << 40), "x") for size in sizes])


# -- make and remove -------------------------------------------------------------------------------------------------


def test_create_and_remove_leave_nothing(sandbox: Sandbox) -> None:
    cgroup = sandbox.create("deep/c1")
    assert len(cgroup.made) == 3 * len(sandbox.hierarchies)
    assert all(Path(joined.path, "cgroup.procs").exists() for joined in cgroup.hierarchies)
    fs.remove(cgroup)
    assert sandbox.leftovers() == []
    fs.remove(cgroup)  # again: no error


def test_what_somebody_else_made_stays(sandbox: Sandbox) -> None:
    """runtime.md#delete: what the container did not create must not be deleted."""
    theirs = sandbox.directory("pids") / "theirs"
    theirs.mkdir(parents=True)
    cgroup = sandbox.create()
    assert str(theirs.parent) not in cgroup.made
    fs.remove(cgroup)
    assert sandbox.leftovers() == [theirs.parent.parent]
    assert theirs.exists()


def test_an_empty_cgroup_that_is_there_is_taken_over(sandbox: Sandbox) -> None:
    """What a killed runtime leaves (runtime-tools' suite does) must not stay for ever; its parents are not ours."""
    sandbox.create()
    again = sandbox.create()
    assert again.made == tuple(joined.path for joined in again.hierarchies)
    fs.remove(again)
    assert all(not Path(joined.path).exists() for joined in again.hierarchies)
    assert len(sandbox.leftovers()) == len(sandbox.hierarchies)


@pytest.mark.v1_only
def test_what_is_taken_over_stays_when_create_fails(sandbox: Sandbox) -> None:
    pids = sandbox.directory("pids")
    pids.mkdir(parents=True)
    frozen = sandbox.directory("")
    frozen.mkdir(parents=True)
    (frozen / "cgroup.freeze").write_text("1")
    with pytest.raises(StateError):
        sandbox.create()
    assert sandbox.leftovers() == [pids.parent, frozen.parent]
    assert pids.exists()


def test_a_parent_stays_as_long_as_another_container_is_in_it(sandbox: Sandbox) -> None:
    first, second = sandbox.create("c1"), sandbox.create("c2")
    fs.remove(first)
    assert len(sandbox.leftovers()) == len(sandbox.hierarchies)
    assert all(not Path(joined.path).exists() for joined in first.hierarchies)
    assert all(Path(joined.path).exists() for joined in second.hierarchies)
    fs.remove(second)


@pytest.mark.v1_only
def test_foresee_names_what_create_will_make(sandbox: Sandbox) -> None:
    sandbox.directory("pids").parent.mkdir()
    sandbox.directory("cpu").mkdir(parents=True)
    paths = [f"{sandbox.root}/c1"] * len(sandbox.hierarchies)
    foreseen = fs.foresee(planned(sandbox.hierarchies, paths))
    made = fs.create(sandbox.hierarchies, paths)
    assert foreseen.hierarchies == made.hierarchies
    assert sorted(foreseen.made) == sorted(made.made)
    fs.remove(foreseen)
    assert sandbox.leftovers() == [sandbox.directory(name).parent for name in ("pids", "cpu")]


def test_many_at_once_below_one_parent(sandbox: Sandbox) -> None:
    """One's last rmdir of the shared parent against another's mkdir below it."""
    children = []
    for number in range(6):
        child = os.fork()
        if not child:
            status = 1
            try:
                for turn in range(200):
                    fs.remove(sandbox.create(f"c{number}-{turn}", sandbox.only(2)))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    # Whoever made the parent may have been outlived by its neighbours: then it stays, as after runc.
    assert list(sandbox.directory("").parent.glob("c*-*")) == []


def test_a_failure_half_way_removes_what_was_made(sandbox: Sandbox) -> None:
    last = sandbox.hierarchies[-1]
    paths = [f"{sandbox.root}/c1"] * (len(sandbox.hierarchies) - 1) + [f"{sandbox.root}/deep/{'x' * 5000}"]
    with pytest.raises(
        KernelError, match=r"^unable to apply cgroup configuration: mkdir /sys/fs.*: ENAMETOOLONG"
    ) as no:
        fs.create(sandbox.hierarchies, paths)
    assert no.value.errno == ENAMETOOLONG
    assert last.version == 2
    assert sandbox.leftovers() == []


def test_a_cgroup_with_processes_is_refused(sandbox: Sandbox) -> None:
    (owner,) = (h for h in sandbox.hierarchies if "pids" in h.controllers)
    taken = sandbox.create("c1", [owner])
    inner = sandbox.directory("pids") / "inner"
    inner.mkdir()
    sandbox.run(taken, below="/inner")
    with pytest.raises(StateError, match=r"container's cgroup is not empty: 1 process\(es\) found"):
        sandbox.create()
    assert sandbox.leftovers() == [sandbox.directory("pids").parent]
    paths = [f"{sandbox.root}/c1"] * len(sandbox.hierarchies)
    with pytest.raises(StateError, match=r"^unable to apply cgroup configuration: container's cgroup is not empty"):
        fs.foresee(planned(sandbox.hierarchies, paths))


@pytest.mark.v1_only
def test_a_frozen_cgroup_is_refused(sandbox: Sandbox) -> None:
    frozen = sandbox.directory("freezer")
    frozen.mkdir(parents=True)
    (frozen / "freezer.state").write_text("FROZEN")
    with pytest.raises(StateError, match=r"container's cgroup unexpectedly frozen"):
        sandbox.create()
    frozen.rmdir()
    frozen = sandbox.directory("")
    frozen.mkdir(parents=True)
    (frozen / "cgroup.freeze").write_text("1")
    with pytest.raises(StateError, match=r"container's cgroup unexpectedly frozen"):
        sandbox.create()


def test_removal_takes_what_the_container_made_below(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    for joined in cgroup.hierarchies:
        Path(joined.path, "a/b/c").mkdir(parents=True)
        Path(joined.path, "d").mkdir()
    fs.remove(cgroup)
    assert sandbox.leftovers() == []


def test_removal_waits_for_processes_that_are_dying(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    (sandbox.directory("pids") / "inner").mkdir()
    member = sandbox.run(cgroup)
    inner = ContainerCgroup(hierarchies=tuple(j for j in cgroup.hierarchies if "pids" in j.controllers))
    second = sandbox.run(inner, below="/inner")
    threading.Timer(0.1, lambda: (member.kill(), second.kill())).start()
    fs.remove(cgroup)
    assert sandbox.leftovers() == []


def test_removal_gives_up_after_a_second_and_says_where(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    sandbox.run(cgroup)
    began = time.monotonic()
    with pytest.raises(
        KernelError, match=r"unable to remove the container's cgroup: rmdir /sys/fs/cgroup/.*EBUSY"
    ) as no:
        fs.remove(cgroup)
    assert no.value.errno == EBUSY
    assert 0.9 < time.monotonic() - began < 5


@pytest.mark.v1_only
def test_new_cpusets_have_their_parent_s_values(sandbox: Sandbox) -> None:
    root = sandbox.directory("cpuset").parent
    root.mkdir()  # as an older runtime leaves it: empty
    assert (root / "cpuset.cpus").read_text().strip() == ""
    cgroup = sandbox.create("deep/c1")
    for name in ("cpuset.cpus", "cpuset.mems"):
        host = (root.parent / name).read_text()
        for folder in (root, root / "deep", root / "deep/c1"):
            assert (folder / name).read_text() == host
    sandbox.run(cgroup)  # and so it lets processes in


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.v1_only
def test_limits_are_what_the_files_say(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    resources = Resources(
        memory=Memory(limit=50 * MIB, swap=60 * MIB, reservation=40 * MIB, swappiness=7, disable_oom_killer=True),
        cpu=Cpu(shares=512, quota=40000, period=80000, burst=1000, cpus="0", mems="0"),
        pids=Pids(limit=42),
    )
    assert limit(sandbox, cgroup, resources) == []
    expected = {
        ("memory", "memory.limit_in_bytes"): str(50 * MIB),
        ("memory", "memory.memsw.limit_in_bytes"): str(60 * MIB),
        ("memory", "memory.soft_limit_in_bytes"): str(40 * MIB),
        ("memory", "memory.swappiness"): "7",
        ("cpu", "cpu.shares"): "512",
        ("cpu", "cpu.cfs_quota_us"): "40000",
        ("cpu", "cpu.cfs_period_us"): "80000",
        ("cpu", "cpu.cfs_burst_us"): "1000",
        ("cpuset", "cpuset.cpus"): "0",
        ("cpuset", "cpuset.mems"): "0",
        ("pids", "pids.max"): "42",
    }
    assert {key: sandbox.read(*key) for key in expected} == expected
    assert "oom_kill_disable 1" in sandbox.read("memory", "memory.oom_control")


@pytest.mark.v1_only
def test_memory_grows_and_shrinks_with_its_swap(sandbox: Sandbox) -> None:
    """The kernel refuses limit > memsw at every moment: the order depends on the direction."""
    cgroup = sandbox.create()
    for megabytes in (50, 200, 30, 31, 500):
        limit(sandbox, cgroup, Resources(memory=Memory(limit=megabytes * MIB, swap=(megabytes + 1) * MIB)))
        assert sandbox.read("memory", "memory.limit_in_bytes") == str(megabytes * MIB)
        assert sandbox.read("memory", "memory.memsw.limit_in_bytes") == str((megabytes + 1) * MIB)
    limit(sandbox, cgroup, Resources(memory=Memory(limit=-1)))
    assert int(sandbox.read("memory", "memory.memsw.limit_in_bytes")) > 1 << 60


@pytest.mark.v1_only
def test_less_memory_than_is_in_use_is_said_with_the_numbers(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    hold = "x = bytearray(24 << 20); print(flush=True); import time; time.sleep(60)"
    member = sandbox.run(cgroup, f"exec /usr/bin/python3 -S -c '{hold}'")
    assert member.stdout is not None
    member.stdout.read(1)
    limit(sandbox, cgroup, Resources(memory=Memory(limit=64 * MIB, swap=64 * MIB)))
    pattern = r"^linux\.resources\.memory\.limit: unable to set memory limit to 1048576 \(current usage: \d+, peak"
    with pytest.raises(ConfigError, match=pattern):
        limit(sandbox, cgroup, Resources(memory=Memory(limit=MIB)))


@pytest.mark.v1_only
def test_quota_and_period_below_a_parent_s_limit(sandbox: Sandbox) -> None:
    """A shorter period with the old quota would be more than the parent has: then the quota goes first."""
    cgroup = sandbox.create()
    parent = sandbox.directory("cpu").parent
    (parent / "cpu.cfs_quota_us").write_text("50000")
    limit(sandbox, cgroup, Resources(cpu=Cpu(quota=50000, period=100000)))
    limit(sandbox, cgroup, Resources(cpu=Cpu(quota=5000, period=10000)))
    assert sandbox.read("cpu", "cpu.cfs_period_us") == "10000"
    assert sandbox.read("cpu", "cpu.cfs_quota_us") == "5000"
    limit(sandbox, cgroup, Resources(cpu=Cpu(quota=50000, period=100000)))
    assert sandbox.read("cpu", "cpu.cfs_quota_us") == "50000"
    with pytest.raises(KernelError, match=r"^linux\.resources\.cpu\.quota: write '90000' to cpu\.cfs_quota_us: EINVAL"):
        limit(sandbox, cgroup, Resources(cpu=Cpu(quota=90000)))


@pytest.mark.v1_only
def test_burst_and_quota_in_either_direction(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    for quota, burst in ((10000, 9000), (50000, 40000), (5000, 4000)):
        limit(sandbox, cgroup, Resources(cpu=Cpu(quota=quota, burst=burst)))
        assert sandbox.read("cpu", "cpu.cfs_burst_us") == str(burst)
        assert sandbox.read("cpu", "cpu.cfs_quota_us") == str(quota)


@pytest.mark.v1_only
@pytest.mark.parametrize(("shares", "idle"), [(None, 1), (2048, 1), (2048, 0)])
def test_idle(sandbox: Sandbox, shares: int | None, idle: int) -> None:
    cgroup = sandbox.create()
    limit(sandbox, cgroup, Resources(cpu=Cpu(idle=idle, shares=shares)))
    assert sandbox.read("cpu", "cpu.idle") == str(idle)
    limit(sandbox, cgroup, Resources(cpu=Cpu(idle=0, shares=512)))
    assert sandbox.read("cpu", "cpu.shares") == "512"


def test_zero_pids_is_a_limit(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    limit(sandbox, cgroup, Resources(pids=Pids(limit=0)))
    member = sandbox.run(cgroup, "(sleep 0) 2>&1; echo unreachable")
    assert member.communicate()[0] == b""  # dash ends when it cannot fork
    limit(sandbox, cgroup, Resources(pids=Pids(limit=-1)))
    assert sandbox.read("pids", "pids.max") == "max"


@pytest.mark.v1_only
def test_a_limit_in_huge_pages_on_the_v2_side_of_a_hybrid_host(sandbox: Sandbox) -> None:
    cgroup = sandbox.create("deep/c1")
    limit(sandbox, cgroup, Resources(hugepage_limits=(HugepageLimit(page_size="2MB", limit=4 * MIB),)))
    assert sandbox.read("hugetlb", "hugetlb.2MB.max", "deep/c1") == str(4 * MIB)
    assert sandbox.read("hugetlb", "hugetlb.2MB.rsvd.max", "deep/c1") == str(4 * MIB)


@pytest.mark.v1_only
def test_block_io_throttles(sandbox: Sandbox) -> None:
    disk = next(path for path in sorted(Path("/sys/block").iterdir()) if int((path / "size").read_text()) > 0)
    major, minor = (int(number) for number in (disk / "dev").read_text().split(":"))
    cgroup = sandbox.create()
    throttle = (ThrottleDevice(major=major, minor=minor, rate=1048576),)
    limit(sandbox, cgroup, Resources(block_io=BlockIO(throttle_read_bps_device=throttle)))
    assert sandbox.read("blkio", "blkio.throttle.read_bps_device") == f"{major}:{minor} 1048576"


@pytest.mark.v1_only
def test_a_weight_where_neither_scheduler_is(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    files = {path.name for path in sandbox.directory("blkio").iterdir()}
    if files & {"blkio.weight", "blkio.bfq.weight"}:
        limit(sandbox, cgroup, Resources(block_io=BlockIO(weight=100)))
        assert "100" in sandbox.read("blkio", min(files & {"blkio.weight", "blkio.bfq.weight"}))
        return
    with pytest.raises(KernelError, match=r"^linux\.resources\.blockIO\.weight: write '100' to blkio\.\S+: ENOENT"):
        limit(sandbox, cgroup, Resources(block_io=BlockIO(weight=100)))


@pytest.mark.v1_only
def test_errors_name_the_place_the_file_and_the_value(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    problem = r"^linux\.resources\.cpu\.cpus: write '4000' to cpuset\.cpus: E(INVAL|RANGE|ACCES)"
    with pytest.raises(KernelError, match=problem):
        limit(sandbox, cgroup, Resources(cpu=Cpu(cpus="4000")))
    with pytest.raises(KernelError, match=r"^x: write '1' to pids\.nothing: ENOENT \(no such file or directory\)"):
        apply(cgroup, [Write("pids", "pids.nothing", "1", "x")])
    with pytest.raises(ConfigError, match=r"^x: cannot set net_cls limit: container could not join or create cgroup"):
        apply(cgroup, [Write("net_cls", "net_cls.classid", "1", "x")])


@pytest.mark.v1_only
def test_the_ways_a_write_may_yield(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    absent = Write("pids", "pids.nothing", "1", "a.b", tolerate=(ENOENT,), because="this kernel has none")
    assert apply(cgroup, [absent]) == ["a.b: pids.nothing not written: this kernel has none"]
    other = Write("pids", "pids.nothing", "1", "a.b", otherwise=Write("pids", "pids.max", "7", "a.b"))
    assert apply(cgroup, [other]) == []
    assert sandbox.read("pids", "pids.max") == "7"
    # Tried again at the end of the controller, and no more than once.
    stubborn = Write("pids", "pids.max", "nonsense", "a.b", postpone=(EINVAL,))
    with pytest.raises(KernelError, match=r"^a\.b: write 'nonsense' to pids\.max: EINVAL"):
        apply(cgroup, [stubborn, Write("pids", "pids.max", "9", "a.b"), Write("cpu", "cpu.shares", "99", "a.b")])
    assert sandbox.read("pids", "pids.max") == "9"
    assert sandbox.read("cpu", "cpu.shares") == "1024"


@pytest.mark.v1_only
def test_devices_list_is_in_the_listed_order(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    rules = (
        DeviceRule(allow=False, access="rwm"),
        DeviceRule(allow=True, type="c", major=10, minor=229, access="rwm"),
        DeviceRule(allow=True, type="b", major=8, minor=20, access="rw"),
    )
    limit(sandbox, cgroup, Resources(devices=rules))
    listed = sandbox.read("devices", "devices.list").splitlines()
    assert listed[:4] == ["c 10:229 rwm", "b 8:20 rw", "c *:* m", "b *:* m"]
    assert len(listed) == 13
    limit(sandbox, cgroup, Resources(devices=(DeviceRule(allow=True, access="rwm"),)))
    assert sandbox.read("devices", "devices.list") == "a *:* rwm"
    limit(sandbox, cgroup, Resources())
    assert len(sandbox.read("devices", "devices.list").splitlines()) == 11


@pytest.mark.v1_only
def test_devices_of_a_cgroup_with_children_change_by_the_difference(sandbox: Sandbox) -> None:
    """The kernel answers `a` with EINVAL there."""
    other = DeviceRule(allow=True, type="c", major=10, minor=229, access="rwm")
    old = DeviceRule(allow=True, type="b", major=8, minor=20, access="rw")
    limit(sandbox, sandbox.create(), Resources(devices=(old,)))
    child = sandbox.directory("devices") / "child"
    child.mkdir()
    cgroup = sandbox.create()
    plan = plan_resources(Resources(devices=(other,)), sandbox.hierarchies)
    with pytest.raises(KernelError, match=r"write 'a' to devices\.deny: EINVAL"):
        apply(cgroup, plan.writes)
    assert establish(cgroup, plan) == []
    listed = sandbox.read("devices", "devices.list").splitlines()
    assert "c 10:229 rwm" in listed
    assert "b 8:20 rw" not in listed
    assert only_changes(cgroup, plan.writes) == []
    # What a child had of it went with it.
    assert "b 8:20 rw" not in (child / "devices.list").read_text()


def takes_a_default(sandbox: Sandbox) -> bool:
    """The kernel forgets a child that was removed somewhat later."""
    try:
        (sandbox.directory("devices") / "devices.allow").write_text("a")
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return False
    return True


@pytest.mark.v1_only
def test_from_any_device_rules_to_any_others(sandbox: Sandbox) -> None:
    """Not the model's but the kernel's list, and its answers to writes."""
    child = sandbox.directory("devices") / "child"
    child.mkdir(parents=True)
    cgroup = sandbox.create()
    child.rmdir()
    done = []

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(RULES, RULES)
    def check(before: list[DeviceRule], after: list[DeviceRule]) -> None:
        try:
            lists = [plan_resources(Resources(devices=tuple(rules)), sandbox.hierarchies) for rules in (before, after)]
        except ConfigError:
            return
        wait_until(lambda: takes_a_default(sandbox))
        apply(cgroup, lists[1].writes)
        wanted = sorted(sandbox.read("devices", "devices.list").splitlines())
        apply(cgroup, lists[0].writes)
        if lists[0].writes[0] == lists[1].writes[0] and lists[0].writes[0].file == "devices.deny":
            child.mkdir()  # now `a` would be refused
            done.append(True)
        try:
            establish(cgroup, lists[1])
        finally:
            if child.exists():
                child.rmdir()
        assert sorted(sandbox.read("devices", "devices.list").splitlines()) == wanted, (before, after)

    check()
    assert len(done) > 20


@pytest.mark.v1_only
def test_a_device_that_is_not_allowed_cannot_be_opened(sandbox: Sandbox, tmp_path: Path) -> None:
    kmsg, null = tmp_path / "kmsg", tmp_path / "null"
    os.mknod(kmsg, 0o600 | 0o020000, os.makedev(1, 11))
    os.mknod(null, 0o600 | 0o020000, os.makedev(1, 3))
    cgroup = sandbox.create()
    limit(sandbox, cgroup, Resources())
    member = sandbox.run(cgroup, f": > {null} && (: < {kmsg}) 2>&1; mknod {tmp_path}/made c 1 11 && echo made")
    output = member.communicate()[0].decode()
    assert "not permitted" in output
    assert output.endswith("made\n")


# -- joining ---------------------------------------------------------------------------------------------------------


def test_the_stage_joins_every_v1_hierarchy(sandbox: Sandbox, stage: Path) -> None:
    cgroup = sandbox.create()
    program = Program()
    emit_join(program, cgroup)
    program.sync(1, "joined")
    with StageProcess([stage]) as process:
        process.send(encoded(program))
        assert process.message() is not None
        places = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
        process.answer()
    own_v2 = next(h.own_path for h in sandbox.hierarchies if h.version == 2)
    assert [line.split(":", 2)[2] for line in places] == [
        own_v2 if line.startswith("0::") else f"{sandbox.root}/c1" for line in places
    ]


def test_the_stage_skips_what_is_optional_and_absent(sandbox: Sandbox, stage: Path) -> None:
    paths = [f"{sandbox.root}/c1"] * len(sandbox.hierarchies)
    pids = [h for h in sandbox.hierarchies if "pids" in h.controllers]
    sandbox.create("c1", pids)
    program = Program()
    emit_join(program, planned(sandbox.hierarchies, paths, optional=True))
    program.sync(1, "joined")
    with StageProcess([stage]) as process:
        process.send(encoded(program))
        assert process.message() is not None
        places = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
        process.answer()
    assert [line for line in places if sandbox.root in line] == [
        line for line in places if line.split(":")[1] == "pids"
    ]


@pytest.mark.v1_only
def test_the_v2_directory_is_one_to_be_born_into(sandbox: Sandbox) -> None:
    cgroup = sandbox.create()
    directory = fs.open_v2_directory(cgroup)
    assert directory is not None
    with directory:
        assert os.path.samestat(os.fstat(directory.number), os.stat(sandbox.directory("")))
        assert not os.get_inheritable(directory.number)
    only_v1 = ContainerCgroup(hierarchies=cgroup.hierarchies[:1])
    assert fs.open_v2_directory(only_v1) is None


# -- without rights --------------------------------------------------------------------------------------------------

ROOTLESS = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from ocispec.resources import Pids, Resources
from pyrunc.cgroups import fs
from pyrunc.cgroups.apply import apply, establish
from pyrunc.cgroups.device_transition import only_changes
from pyrunc.cgroups.layout import read_hierarchies
from pyrunc.cgroups.resources import plan_resources
from pyrunc.errors import PyruncError
host = read_hierarchies()
paths = ["/pyrunc-test-rootless"] * len(host)
cgroup = fs.create(host, paths, optional=True)
print(cgroup.hierarchies, cgroup.made)
print(apply(cgroup, plan_resources(None, host, skip_devices="rootless").writes))
for attempt in (
    lambda: apply(cgroup, plan_resources(Resources(pids=Pids(limit=5)), host, skip_devices="rootless").writes),
    lambda: fs.create(host, paths),
):
    try:
        attempt()
    except PyruncError as error:
        print(error)
"""


def test_without_the_right_to_make_cgroups(tmp_path: Path) -> None:
    script = tmp_path / "rootless.py"
    script.write_text(ROOTLESS)
    told = subprocess.run(
        ["/usr/bin/python3", "-B", "-c", ROOTLESS],
        env={"PYTHONPATH": "runtime:spec"},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told[:2] == ["() ()", "[]"]
    assert told[2] == "linux.resources.pids.limit: cannot set pids limit: container could not join or create cgroup"
    assert told[3].startswith("unable to apply cgroup configuration: mkdir /sys/fs/cgroup/")
    assert told[3].endswith("EACCES (permission denied)")


def test_waiting_helper_itself_fails_when_nothing_comes_true() -> None:
    with pytest.raises(AssertionError):
        wait_until(lambda: False, seconds=0.01)
