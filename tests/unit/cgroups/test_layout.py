"""Hierarchies of every kind of host, from the text of /proc and a set of existing files."""

from __future__ import annotations

from pyrunc.cgroups.layout import locate

MOUNT = "{id} 25 0:{id} {root} {point} rw,relatime shared:9 - {kind} {kind} rw,{options}"
UNREAD = "mountinfo must not be read"


def mounts(*rows: tuple[str, str, str, str]) -> str:
    lines = [
        MOUNT.format(id=30 + i, root=root, point=point, kind=kind, options=options)
        for i, (kind, options, root, point) in enumerate(rows)
    ]
    return "\n".join(["22 1 8:1 / / rw - ext4 /dev/sda1 rw", *lines]) + "\n"


def unread() -> str:
    raise AssertionError(UNREAD)


def test_hybrid_at_the_usual_places_without_reading_mountinfo() -> None:
    memberships = "9:name=systemd:/init.scope\n4:cpu,cpuacct:/\n3:memory:/own\n0::/init.scope\n"
    root = "/sys/fs/cgroup"
    files = {
        f"{root}/systemd/init.scope/tasks",
        f"{root}/cpu,cpuacct/tasks",
        f"{root}/memory/own/tasks",
        f"{root}/unified/init.scope/cgroup.controllers",
    }
    assert locate(memberships, files.__contains__, unread) == [
        (1, ("name=systemd",), f"{root}/systemd", "/init.scope"),
        (1, ("cpu", "cpuacct"), f"{root}/cpu,cpuacct", "/"),
        (1, ("memory",), f"{root}/memory", "/own"),
        (2, (), f"{root}/unified", "/init.scope"),
    ]


def test_pure_v2() -> None:
    files = {"/sys/fs/cgroup/user.slice/cgroup.controllers"}
    assert locate("0::/user.slice\n", files.__contains__, unread) == [(2, (), "/sys/fs/cgroup", "/user.slice")]


def test_mounted_somewhere_else() -> None:
    table = mounts(("cgroup", "cpu,cpuacct", "/", "/cgroups/cpu\\040time"), ("cgroup2", "nsdelegate", "/", "/cgroup2"))
    files = {"/cgroups/cpu time/a/tasks", "/cgroup2/cgroup.controllers"}
    assert locate("4:cpu,cpuacct:/a\n0::/\n", files.__contains__, lambda: table) == [
        (1, ("cpu", "cpuacct"), "/cgroups/cpu time", "/a"),
        (2, (), "/cgroup2", "/"),
    ]


def test_in_a_container_without_cgroup_namespace_our_own_cgroup_is_what_is_mounted() -> None:
    table = mounts(("cgroup", "memory", "/docker/abc", "/sys/fs/cgroup/memory"))
    files = {"/sys/fs/cgroup/memory/tasks", "/sys/fs/cgroup/memory/inner/tasks"}
    for path, below in (("/docker/abc", "/"), ("/docker/abc/inner", "/inner")):
        found = locate(f"4:memory:{path}\n", files.__contains__, lambda: table)
        assert found == [(1, ("memory",), "/sys/fs/cgroup/memory", below)]


def test_a_hierarchy_that_is_mounted_nowhere_is_left_out() -> None:
    files = {"/sys/fs/cgroup/cgroup.controllers"}
    # As with a private cgroup2 mount over /sys/fs/cgroup: the v1 mounts are listed and cannot be reached.
    table = mounts(("cgroup", "cpu", "/", "/sys/fs/cgroup/cpu"), ("cgroup2", "x", "/", "/sys/fs/cgroup"))
    found = locate("4:cpu:/\n5:net_cls:/\n0::/\n", files.__contains__, lambda: table)
    assert found == [(2, (), "/sys/fs/cgroup", "/")]


def test_our_own_cgroup_was_removed() -> None:
    table = mounts(("cgroup", "pids", "/", "/sys/fs/cgroup/pids"))
    found = locate("4:pids:/gone (deleted)\n", {"/sys/fs/cgroup/pids/tasks"}.__contains__, lambda: table)
    assert found == [(1, ("pids",), "/sys/fs/cgroup/pids", "/")]


def test_outside_the_cgroup_namespace_nothing_below_the_mounts_is_meant() -> None:
    files = {"/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/../x/cgroup.controllers"}
    assert locate("0::/../x\n", files.__contains__, unread) == [(2, (), "/sys/fs/cgroup", "/")]


def test_a_path_may_hold_colons() -> None:
    files = {"/sys/fs/cgroup/a:b:c/cgroup.controllers"}
    assert locate("0::/a:b:c\n", files.__contains__, unread) == [(2, (), "/sys/fs/cgroup", "/a:b:c")]


def test_co_mounted_controllers_in_another_order() -> None:
    table = mounts(("cgroup", "cpu,cpuacct,clone_children", "/", "/sys/fs/cgroup/cpu,cpuacct"))
    found = locate("4:cpuacct,cpu:/\n", {"/sys/fs/cgroup/cpu,cpuacct/tasks"}.__contains__, lambda: table)
    assert found == [(1, ("cpuacct", "cpu"), "/sys/fs/cgroup/cpu,cpuacct", "/")]
