"""cgroupsPath to unit, and slices to paths."""

from __future__ import annotations

import pytest

from pyrunc.cgroups.systemd import path_of
from pyrunc.cgroups.systemd_names import expand_slice, scope_name
from pyrunc.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "of_user", "unit", "cgroup"),
    [
        ("system.slice:docker:abc", False, "docker-abc.scope", "/system.slice/docker-abc.scope"),
        ("a-b.slice:cri:x", False, "cri-x.scope", "/a.slice/a-b.slice/cri-x.scope"),
        ("-.slice:p:n", False, "p-n.scope", "/p-n.scope"),
        (":p:n", False, "p-n.scope", "/system.slice/p-n.scope"),
        (":p:n", True, "p-n.scope", "/user.slice/p-n.scope"),
        ("", False, "runc-c1.scope", "/system.slice/runc-c1.scope"),
        ("", True, "runc-c1.scope", "/user.slice/runc-c1.scope"),
        ("x.slice::n", False, "-n.scope", "/x.slice/-n.scope"),
    ],
)
def test_units(path: str, of_user: bool, unit: str, cgroup: str) -> None:
    scope = scope_name(path, "c1", of_user=of_user)
    assert (scope.unit, scope.path, scope.of_user) == (unit, cgroup, of_user)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/a/b", 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/a/b" instead'),
        ("a.slice:b", "of format"),
        ("a.slice:b:c:d", "of format"),
        ("a:b:c", "invalid slice name: a"),
        (".slice:b:c", "invalid slice name: .slice"),
        ("a--b.slice:b:c", "invalid slice name"),
        ("-a.slice:b:c", "invalid slice name"),
        ("../x.slice:b:c", "invalid slice name"),
        ("a.slice:b:../c", "is not a name that a unit may have"),
        ("a.slice:b:c\nd", "is not a name that a unit may have"),
        ("a.slice:b:", "is not a name that a unit may have"),
        (f"a.slice:b:{'c' * 260}", "is not a name that a unit may have"),
        ("a.slice:b:c.slice", "is a slice"),
    ],
)
def test_paths_that_are_no_unit(path: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scope_name(path, "c1")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "path"),
    [("-.slice", "/"), ("a.slice", "/a.slice"), ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice")],
)
def test_slices(name: str, path: str) -> None:
    assert expand_slice(name) == path


@pytest.mark.parametrize(
    ("memberships", "path"),
    [
        ("0::/system.slice/x.scope\n", "/system.slice/x.scope"),
        ("3:memory:/m\n1:name=systemd:/s/x.scope\n0::/u\n", "/s/x.scope"),
        ("3:memory:/m\n0::/u\n", "/u"),
    ],
)
def test_where_a_process_is(memberships: str, path: str) -> None:
    assert path_of(memberships) == path
