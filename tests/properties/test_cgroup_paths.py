"""linux.cgroupsPath at random."""

from __future__ import annotations

import posixpath

from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cgroups.paths import container_paths, lexically_clean
from pyrunc.errors import ConfigError
from pyrunc.kernel.host import CgroupHierarchy


def v1(name: str, own_path: str = "/") -> CgroupHierarchy:
    return CgroupHierarchy(version=1, controllers=(name,), mountpoint=f"/sys/fs/cgroup/{name}", own_path=own_path)


def v2(mountpoint: str, own_path: str = "/") -> CgroupHierarchy:
    return CgroupHierarchy(version=2, controllers=("pids",), mountpoint=mountpoint, own_path=own_path)


HYBRID = (v1("cpu"), v1("memory", "/process_api/61b4"), v2("/sys/fs/cgroup/unified"))


@given(st.text(alphabet="./ab:", max_size=30))
def test_nothing_leads_above_where_it_counts_from(cgroups_path: str) -> None:
    try:
        paths = container_paths(cgroups_path, "web", HYBRID)
    except ConfigError:
        return
    base = "/" if cgroups_path.startswith("/") else "/process_api/61b4"
    assert posixpath.commonpath([paths[1], base]) == base
    assert all(path == posixpath.normpath(path) and path != base for path in (paths[1],))


@given(st.text(alphabet="./ab", max_size=30))
def test_cleaning_is_what_the_standard_library_does(path: str) -> None:
    assert lexically_clean(path) == posixpath.normpath("/" + path.lstrip("/"))
