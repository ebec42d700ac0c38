"""Where a container's cgroup is, for every form of linux.cgroupsPath."""

from __future__ import annotations

import pytest

from pyrunc.cgroups.paths import container_paths, lexically_clean
from pyrunc.errors import ConfigError
from pyrunc.kernel.host import CgroupHierarchy


def v1(name: str, own_path: str = "/") -> CgroupHierarchy:
    return CgroupHierarchy(version=1, controllers=(name,), mountpoint=f"/sys/fs/cgroup/{name}", own_path=own_path)


def v2(mountpoint: str, own_path: str = "/") -> CgroupHierarchy:
    return CgroupHierarchy(version=2, controllers=("pids",), mountpoint=mountpoint, own_path=own_path)


HYBRID = (v1("cpu"), v1("memory", "/process_api/61b4"), v2("/sys/fs/cgroup/unified"))


@pytest.mark.parametrize(
    ("cgroups_path", "where_we_are_in_the_root", "where_we_are_not"),
    [
        ("/docker/c1", "/docker/c1", "/docker/c1"),
        ("/docker//./c1/", "/docker/c1", "/docker/c1"),
        ("/../../docker/../c1", "/c1", "/c1"),
        ("pods/c1", "/pods/c1", "/process_api/61b4/pods/c1"),
        ("../../c1", "/c1", "/process_api/61b4/c1"),
        ("", "/web", "/process_api/61b4/web"),
        ("system.slice:pyrunc:c1", "/system.slice:pyrunc:c1", "/process_api/61b4/system.slice:pyrunc:c1"),
    ],
)
def test_hybrid(cgroups_path: str, where_we_are_in_the_root: str, where_we_are_not: str) -> None:
    paths = (where_we_are_in_the_root, where_we_are_not, where_we_are_in_the_root)
    assert container_paths(cgroups_path, "web", HYBRID) == paths


@pytest.mark.parametrize(
    ("own_path", "cgroups_path", "expected"),
    [
        ("/user.slice/shell", "", "/user.slice/web"),
        ("/user.slice/shell", "x/y", "/user.slice/x/y"),
        ("/user.slice/shell", "/x", "/x"),
        ("/shell", "x", "/x"),
        ("/", "x", "/x"),
    ],
)
def test_pure_v2_counts_from_the_parent_of_our_own(own_path: str, cgroups_path: str, expected: str) -> None:
    assert container_paths(cgroups_path, "web", [v2("/sys/fs/cgroup", own_path)]) == (expected,)


@pytest.mark.parametrize("cgroups_path", ["/", "//", "/..", "/a/..", "..", ".", "a/.."])
def test_the_root_is_no_place_for_a_container(cgroups_path: str) -> None:
    with pytest.raises(ConfigError, match=r"linux\.cgroupsPath: .* is the root of the cgroups"):
        container_paths(cgroups_path, "web", HYBRID)


@pytest.mark.parametrize("cgroups_path", ["/a\0b", "a\nb"])
def test_characters_that_no_cgroup_may_have(cgroups_path: str) -> None:
    with pytest.raises(ConfigError, match=r"linux\.cgroupsPath: "):
        container_paths(cgroups_path, "web", HYBRID)


def test_no_hierarchies_no_paths() -> None:
    assert container_paths("/x", "web", ()) == ()


def test_cleaning() -> None:
    assert lexically_clean("//a/./b/../../../c/") == "/c"
    assert lexically_clean("") == "/"
