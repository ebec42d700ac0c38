"""Cgroups as a user meets them: where the container is, what limits it, what is left; the same on runc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.driver import is_cgroup
from cli.limits import IS_V2, NAMES, TOP, Limits, huge_page, shares
from cli.runtime import cgroups_of, pids_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.bundle import Bundle
    from cli.runtime import Runtime

MIB = 1 << 20


@pytest.fixture
def parent() -> Iterator[str]:
    """A cgroup of this test; runc leaves it there, pyrunc removes what it made."""
    path = f"/clitest-parent-{os.getpid()}"
    yield path
    for folder in cgroups_of(path.strip("/")):
        folder.rmdir()


def places(runtime: Runtime, container_id: str) -> dict[str, str]:
    """controller(s) -> path, of the container's init."""
    pid = runtime.state(container_id)["pid"]
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}


def limit(bundle: Bundle, **resources: object) -> None:
    bundle.config["linux"].setdefault("resources", {}).update(resources)


@pytest.mark.cgroupfs_only("it gives a path")
def test_an_absolute_path_counts_from_the_root(runtime: Runtime, bundle: Bundle, parent: str) -> None:
    bundle.config["linux"]["cgroupsPath"] = f"{parent}/../{parent}/inner"
    container_id = runtime.create(bundle)
    assert set(places(runtime, container_id).values()) == {f"{parent}/inner"}
    runtime("delete", "--force", container_id).ok()
    assert not [folder for folder in cgroups_of("inner") if str(folder).endswith(f"{parent}/inner")]


@pytest.mark.cgroupfs_only("it gives a path")
def test_a_relative_path_counts_from_our_own_cgroup(runtime: Runtime, bundle: Bundle) -> None:
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    name = f"clitest-relative-{os.getpid()}"
    bundle.config["linux"]["cgroupsPath"] = name
    container_id = runtime.create(bundle)
    if IS_V2:  # beside it: ours has processes, and would take no controllers for its children
        own[""] = own[""].rpartition("/")[0]
    expected = {controllers: f"{path.rstrip('/')}/{name}" for controllers, path in own.items()}
    assert places(runtime, container_id) == expected
    runtime("delete", "--force", container_id).ok()
    assert cgroups_of(name) == []


def test_without_a_path_the_id_is_the_name(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    assert all(is_cgroup(path, container_id) for path in places(runtime, container_id).values())
    assert len(cgroups_of(container_id)) == len(places(runtime, container_id))


def test_limits_hold(runtime: Runtime, bundle: Bundle) -> None:
    limit(
        bundle,
        memory={"limit": 50 * MIB, "swap": 60 * MIB},
        cpu={"shares": 512, "quota": 40000, "period": 80000} | ({"cpus": "0", "mems": "0"} if "cpus" in NAMES else {}),
        pids={"limit": 42},
    )
    expected = {
        "limit": 50 * MIB, "swap": 60 * MIB, "shares": shares(512), "quota": 40000, "period": 80000,
        "cpus": "0", "mems": "0", "pids": 42,
    }  # fmt: skip
    found = Limits(runtime.create(bundle)).all()
    assert found == found | {name: value for name, value in expected.items() if name in NAMES}


@pytest.mark.root_only("nobody without privileges may forbid a device")
def test_devices_that_are_not_listed_cannot_be_opened(runtime: Runtime, bundle: Bundle) -> None:
    """No driver has the number: who may open the node is told so, who may not is told that."""
    denied = {"allow": False, "access": "rwm"}
    limit(bundle, devices=[denied])
    opens = "dd if=/device of=/null count=0 2>&1; true"
    script = f"mknod /null c 1 3 && mknod /device c 250 250 && : > /null && echo made; {opens}"
    assert runtime.script(bundle, script) == "made\ndd: can't open '/device': Operation not permitted\n"
    limit(bundle, devices=[denied, {"allow": True, "type": "c", "major": 250, "minor": 250, "access": "r"}])
    assert runtime.script(bundle, opens) == "dd: can't open '/device': No such device or address\n"


def test_too_many_processes(runtime: Runtime, bundle: Bundle) -> None:
    limit(bundle, pids={"limit": 3})
    bundle.shell("sleep 100 & sleep 100 & sleep 100 & sleep 100 & echo unreachable")
    result = runtime.run(bundle)
    assert "unreachable" not in result.out
    assert "fork" in result.err


ONLY_V1_REFUSES = [
    ({"unified": {"memory.high": "1"}}, "invalid configuration"),
    ({"memory": {"swappiness": 200}}, "swappiness"),
]
ONLY_V2_REFUSES = [
    ({"unified": {"nothing.high": "1"}}, 'controller "nothing" not available'),
    ({"unified": {"../memory.high": "1"}}, "slash"),
]


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"memory": {"limit": 50 * MIB, "swap": 40 * MIB}}, "swap limit should be" if IS_V2 else "invalid argument"),
        ({"memory": {"limit": -2}}, "invalid argument"),
        ({"cpu": {"cpus": "4000"}}, ""),
        *(ONLY_V2_REFUSES if IS_V2 else ONLY_V1_REFUSES),
    ],
)
def test_limits_that_cannot_be(runtime: Runtime, bundle: Bundle, resources: dict[str, object], words: str) -> None:
    limit(bundle, **resources)
    bundle.save()
    result = runtime("create", "--bundle", bundle.path, runtime.new_id())
    assert result.status == 1
    assert words in result.err.replace('\\"', '"')


@pytest.mark.cgroupfs_only("it gives a path")
@pytest.mark.pyrunc_only  # runc 1.1 only warns; its 1.2 has these words
def test_a_cgroup_in_use_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    name = f"clitest-taken-{os.getpid()}"
    bundle.config["linux"]["cgroupsPath"] = f"/{name}"
    first = runtime.create(bundle)
    runtime("create", "--bundle", bundle.path, runtime.new_id()).failed("container's cgroup is not empty")
    assert runtime.state(first)["status"] == "created"
    runtime("delete", "--force", first).ok()
    assert cgroups_of(name) == []


@pytest.mark.root_only("a new /proc takes a new pid namespace there")
def test_without_its_own_pid_namespace_all_of_a_container_ends(runtime: Runtime, bundle: Bundle) -> None:
    namespaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [one for one in namespaces if one["type"] != "pid"]
    bundle.shell("sleep 100 & sleep 100 & exec sleep 100")
    container_id = runtime.run_detached(bundle)
    wait_until(lambda: len(pids_of(container_id)) == 3)
    runtime("delete", "--force", container_id).ok()
    assert pids_of(container_id) == []
    assert cgroups_of(container_id) == []


def test_sub_cgroups_that_a_container_makes_go_with_it(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    for folder in cgroups_of(container_id):
        (folder / "a/b").mkdir(parents=True)
    runtime("delete", "--force", container_id).ok()
    assert cgroups_of(container_id) == []


@pytest.mark.pyrunc_only
@pytest.mark.root_only("newuidmap has no privileges under strace")
def test_no_pid_is_ever_written_to_cgroup_procs(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """The kernel waits for an RCU grace period then: 10 ms."""
    bundle.args("true")
    bundle.save()
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=openat,open", "-o", str(trace), *runtime.beginning]
    runtime.raw([*command, "run", "--bundle", str(bundle.path), runtime.new_id()]).ok()
    opened = [line for line in trace.read_text().splitlines() if "cgroup" in line and "O_WRONLY" in line]
    assert IS_V2 or any('/tasks", O_WRONLY' in line for line in opened)  # there it is born into its cgroup
    assert not [line for line in opened if "cgroup.procs" in line]


@pytest.mark.pyrunc_only("runc 1.1 has other words, and ignores an empty object")
@pytest.mark.parametrize("rdt", [{}, {"closID": "/"}, {"l3CacheSchema": "L3:0=f"}])
def test_intel_rdt_without_resctrl(runtime: Runtime, bundle: Bundle, rdt: dict[str, str]) -> None:
    """tests/unit/cgroups/test_resctrl.py has the rest of it, on a fake tree."""
    bundle.linux["intelRdt"] = rdt
    runtime.run(bundle).failed("intelRdt is specified in config, but Intel RDT is not supported or enabled")
    assert not (runtime.state_root / runtime.ids[-1]).exists()


@pytest.mark.cgroupfs_only("it names the manager")
@pytest.mark.pyrunc_only("crun's flag")
def test_without_a_cgroup_manager(runtime: Runtime, bundle: Bundle) -> None:
    """The container stays where the caller is, limits are not applied, and `kill --all` still ends it."""
    bundle.args("sleep", "1000")
    bundle.linux["resources"]["pids"] = {"limit": 1}
    container_id = runtime.run_detached(bundle, before=("--cgroup-manager", "disabled"))
    pid = runtime.state(container_id)["pid"]
    assert Path(f"/proc/{pid}/cgroup").read_text() == Path("/proc/self/cgroup").read_text()
    runtime("pause", container_id).failed("cgroups not configured for container")
    runtime("kill", "--all", container_id, "KILL").ok()
    runtime.wait_for(container_id, "stopped")
    runtime("kill", "--all", container_id, "KILL").ok()
    runtime("delete", container_id).ok()


@pytest.mark.cgroupfs_only("it gives a path")
@pytest.mark.skipif(IS_V2, reason="about version 1's devices.allow and devices.deny")
def test_a_cgroup_with_children_keeps_the_default_of_its_device_rules(
    runtime: Runtime, bundle: Bundle, parent: str
) -> None:
    """Version 1's kernel answers `a` with EINVAL there: only what is different may be written."""
    folder = TOP / "devices" / parent.strip("/")
    folder.mkdir()
    (folder / "devices.deny").write_text("a")
    (folder / "devices.allow").write_text("c 1:3 rwm")
    (folder / "devices.allow").write_text("b 8:20 rw")
    child = folder / "child"
    child.mkdir()
    try:
        bundle.config["linux"]["cgroupsPath"] = parent
        runtime.create(bundle)
        listed = (folder / "devices.list").read_text().splitlines()
        assert "c 1:5 rwm" in listed
        assert "b 8:20 rw" not in listed
        runtime.clean_up()
    finally:
        if child.exists():  # runc removes it with its parent
            child.rmdir()


UNIFIED = TOP / "unified"


@pytest.mark.skipif(
    not (UNIFIED / "cgroup.controllers").exists() or "hugetlb" not in (UNIFIED / "cgroup.controllers").read_text(),
    reason="no hybrid host with huge pages on version 2",
)
@pytest.mark.pyrunc_only("runc finds no controller for huge pages there")
def test_a_hybrid_host_with_huge_pages_on_version_2(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Controllers in both versions at once: each limit goes to the version that has it.  crun runs nothing there."""
    size = huge_page()
    limit(bundle, pids={"limit": 42}, hugepageLimits=[{"pageSize": size, "limit": 1 << 30}])
    container_id = runtime.run_detached(bundle)
    assert (UNIFIED / container_id / f"hugetlb.{size}.max").read_text() == f"{1 << 30}\n"
    assert (TOP / "pids" / container_id / "pids.max").read_text() == "42\n"
    crun = ["/usr/bin/crun", "--root", str(tmp_path / "crun"), "run", "--bundle", str(bundle.path), runtime.new_id()]
    result = runtime.raw(crun)
    assert result.status != 0
    assert "cgroups in hybrid mode not supported, drop all controllers from cgroupv2" in result.err
