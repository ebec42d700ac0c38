"""A host that has version 2 alone, as seen in a private mount namespace of this one.  Needs root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cgroup_members import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[2]
IN_PRIVATE = """
[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup || exit
exec /usr/bin/python3 -B -c "$1" "$2"
"""
COMMON = """
import json, os, signal, sys
from ocispec.resources import *
from pyrunc.cgroups import fs
from pyrunc.cgroups.apply import apply
from pyrunc.cgroups.layout import read_hierarchies, read_page_sizes
from pyrunc.cgroups.paths import container_paths
from pyrunc.cgroups.processes import freezer_state, kill_all, processes, set_frozen
from pyrunc.cgroups.resources import plan_resources
from pyrunc.errors import PyruncError
host = read_hierarchies()
"""


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    made = Sandbox(request.node.name)
    yield made
    made.close()
    assert made.leftovers() == []


def on_pure_v2(sandbox: Sandbox, script: str) -> Any:
    """What the script prints as JSON; `sys.argv[1]` is the sandbox's path."""
    command = ["unshare", "--mount", "/bin/sh", "-c", IN_PRIVATE, "sh", COMMON + script, sandbox.root]
    environment = {"PYTHONPATH": "runtime:spec", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_hierarchy_at_the_usual_place(sandbox: Sandbox) -> None:
    found = on_pure_v2(sandbox, "print(json.dumps([(h.version, h.mountpoint, h.controllers) for h in host]))")
    controllers = (Path(sandbox.only(2)[0].mountpoint) / "cgroup.controllers").read_text().split()
    assert found == [[2, "/sys/fs/cgroup", controllers]]


def test_the_life_of_a_cgroup(sandbox: Sandbox) -> None:
    """Controllers are enabled down the path at once, limits apply, and it goes away with what it made."""
    told = on_pure_v2(
        sandbox,
        """
paths = container_paths(sys.argv[1] + "/pod/c1", "c1", host)
cgroup = fs.create(host, paths)
size = read_page_sizes()[-1]
plan = plan_resources(Resources(hugepage_limits=(HugepageLimit(page_size=size, limit=1 << 30),)), host,
                      page_sizes=read_page_sizes())
skipped = apply(cgroup, plan.writes)
told = {"path": cgroup.hierarchies[0].path, "made": len(cgroup.made), "skipped": skipped, "warnings": plan.warnings}
told["limit"] = open(f"{cgroup.hierarchies[0].path}/hugetlb.{size}.max").read().strip()
told["enabled"] = open(f"{cgroup.hierarchies[0].path}/../cgroup.subtree_control").read().split()
with fs.open_v2_directory(cgroup) as directory:
    told["fd"] = os.readlink(f"/proc/self/fd/{directory.number}")
try:
    apply(cgroup, plan_resources(Resources(memory=Memory(limit=1 << 20)), host).writes)
except PyruncError as error:
    told["memory"] = str(error)
try:
    apply(cgroup, plan_resources(Resources(unified={"hugetlb.nothing": "1"}), host).writes)
except PyruncError as error:
    told["unified"] = str(error)
fs.remove(cgroup)
told["left"] = os.path.exists("/sys/fs/cgroup" + sys.argv[1])
print(json.dumps(told))
""",
    )
    assert told["path"] == f"/sys/fs/cgroup{sandbox.root}/pod/c1"
    assert told["fd"] == told["path"]
    assert told["made"] == 3
    assert told["skipped"] == []
    assert told["limit"] == str(1 << 30)
    assert "hugetlb" in told["enabled"]
    assert told["warnings"] == []
    assert told["memory"] == (
        "linux.resources.memory.limit: cannot set memory limit: container could not join or create cgroup"
    )
    assert told["unified"].startswith("linux.resources.unified.hugetlb.nothing: write '1' to hugetlb.nothing: ENOENT")
    assert told["left"] is False


def test_processes_born_into_it_are_frozen_and_killed(sandbox: Sandbox) -> None:
    told = on_pure_v2(
        sandbox,
        """
import time
cgroup = fs.create(host, [sys.argv[1] + "/c1"])
path = cgroup.hierarchies[0].path
pids = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        open(path + "/cgroup.procs", "w").write("0")
        signal.pause()
    pids.append(pid)
while sorted(processes(cgroup)) != sorted(pids):
    time.sleep(0.01)
set_frozen(cgroup.hierarchies[0], frozen=True)
while freezer_state(cgroup) != "FROZEN":
    time.sleep(0.001)
kill_all(cgroup, signal.SIGKILL)
ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
fs.remove(cgroup)
print(json.dumps(ends))
""",
    )
    assert told == [-9, -9, -9]


def test_a_cgroup_with_processes_of_its_own_cannot_share_out_controllers(sandbox: Sandbox) -> None:
    """cgroups(7), no internal processes: the cgroup is made all the same, a limit says what is missing."""
    told = on_pure_v2(
        sandbox,
        """
parent = "/sys/fs/cgroup" + sys.argv[1]
os.mkdir(parent)
pid = os.fork()
if not pid:
    open(parent + "/cgroup.procs", "w").write("0")
    os.write(1, b"")
    signal.pause()
while str(pid) not in open(parent + "/cgroup.procs").read():
    pass
cgroup = fs.create(host, [sys.argv[1] + "/c1"])
try:
    size = read_page_sizes()[-1]
    limit = Resources(hugepage_limits=(HugepageLimit(page_size=size, limit=1 << 30),))
    apply(cgroup, plan_resources(limit, host, page_sizes=(size,)).writes)
    told = "written"
except PyruncError as error:
    told = str(error)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
fs.remove(cgroup)
print(json.dumps(told))
""",
    )
    expected = r"linux.resources.hugepageLimits[0].limit: hugetlb."
    assert told.startswith(expected)
    assert told.endswith("the hugetlb controller is not available in this cgroup")


def test_freezing_waits_until_all_have_stopped(sandbox: Sandbox) -> None:
    """cgroup.events says when; a process that never sleeps is stopped as well, and goes on after thawing."""
    told = on_pure_v2(
        sandbox,
        """
import time
from pyrunc.cgroups.freezer import freeze, thaw
cgroup = fs.create(host, [sys.argv[1] + "/c1"])
path = cgroup.hierarchies[0].path
pids = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        open(path + "/cgroup.procs", "w").write("0")
        while True:
            pass
    pids.append(pid)
while sorted(processes(cgroup)) != sorted(pids):
    time.sleep(0.01)
states = []
for _ in range(20):
    freeze(cgroup)
    states.append(freezer_state(cgroup))
    thaw(cgroup)
    states.append(freezer_state(cgroup))
def ticks():
    return sum(int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11]) for pid in pids)
freeze(cgroup)
before = ticks()
time.sleep(0.1)
still = ticks() == before
thaw(cgroup)
time.sleep(0.3)
goes_on = ticks() > before
kill_all(cgroup, signal.SIGKILL)
for pid in pids:
    os.waitpid(pid, 0)
fs.remove(cgroup)
thaw(cgroup)
print(json.dumps([sorted(set(states[::2])), sorted(set(states[1::2])), still, goes_on]))
""",
    )
    assert told == [["FROZEN"], ["THAWED"], True, True]


def test_statistics_of_the_kernel(sandbox: Sandbox) -> None:
    """CPU time is counted in every cgroup of version 2, with the controller or without."""
    told = on_pure_v2(
        sandbox,
        """
from pyrunc.cgroups.stats import read_stats
cgroup = fs.create(host, [sys.argv[1] + "/c1"])
path = cgroup.hierarchies[0].path
inside, outside = os.pipe()
pid = os.fork()
if not pid:
    open(path + "/cgroup.procs", "w").write("0")
    for _ in range(3000000):
        pass
    os.write(outside, b"x")
    signal.pause()
os.read(inside, 1)
stats = read_stats(cgroup, read_page_sizes())
os.kill(pid, 9)
os.waitpid(pid, 0)
fs.remove(cgroup)
print(json.dumps(stats))
""",
    )
    usage = told["cpu"]["usage"]
    assert usage["total"] >= max(usage["user"], usage["kernel"])
    assert usage["user"] > 1_000_000
    assert told["pids"] == {"current": 1}
    assert all(set(found) == {"failcnt"} for found in told["hugetlb"].values())
