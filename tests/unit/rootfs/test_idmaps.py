"""The id map of a mount, from all the ways to ask for one."""

import pytest

from ocispec.config import Mount
from ocispec.linux import IDMapping, Linux, Namespace
from pyrunc.errors import ConfigError
from pyrunc.kernel.host import Host
from pyrunc.process.plan import check_id_map
from pyrunc.rootfs.idmaps import IdMap, id_map_of, is_id_mapped, parse_ranges
from pyrunc.rootfs.options import parse_mount_options

NEW = Namespace(type="user")


def mapping(container: int, host: int, size: int) -> IDMapping:
    return IDMapping(container_id=container, host_id=host, size=size)


OWN_UIDS = (mapping(0, 100000, 1), mapping(1, 200000, 1000))
OWN_GIDS = (mapping(0, 300000, 65536),)
LINUX = Linux(namespaces=(NEW,), uid_mappings=OWN_UIDS, gid_mappings=OWN_GIDS)
UIDS, GIDS = (mapping(0, 1, 2),), (mapping(3, 4, 5),)


def found(*options: str, linux: Linux = LINUX, **more: tuple[IDMapping, ...]) -> IdMap | None:
    mount = Mount(destination="/x", type="bind", source="/s", options=("bind", *options), **more)
    return id_map_of("mounts[7]", mount, parse_mount_options(mount.options), linux)


def test_none() -> None:
    assert found("ro", "rbind") is None


@pytest.mark.parametrize(("options", "recursive"), [
    ((), False), (("idmap",), False), (("ridmap",), True), (("ridmap", "idmap"), False),
])  # fmt: skip
@pytest.mark.parametrize("linux", [LINUX, Linux()])
def test_mappings_of_the_mount(options: tuple[str, ...], recursive: bool, linux: Linux) -> None:
    """Also without the option: config.md says SHOULD."""
    wanted = found(*options, linux=linux, uid_mappings=UIDS, gid_mappings=GIDS)
    assert wanted == IdMap(place="mounts[7]", uids=UIDS, gids=GIDS, recursive=recursive)


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_mappings_of_the_container(word: str) -> None:
    wanted = found(word)
    assert wanted == IdMap(place="mounts[7]", uids=OWN_UIDS, gids=OWN_GIDS, recursive=word == "ridmap")


def test_a_user_namespace_that_is_joined_has_them() -> None:
    linux = Linux(namespaces=(Namespace(type="user", path="/proc/1/ns/user"),))
    assert found("idmap", linux=linux) == IdMap(place="mounts[7]", uids=(), gids=(), recursive=False)


def test_without_any_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^mounts\[7\]\.options: idmap needs uidMappings and gidMappings, or a user"):
        found("idmap", linux=Linux())


@pytest.mark.parametrize("more", [{"uid_mappings": UIDS}, {"gid_mappings": GIDS}])
def test_both_are_needed(more: dict[str, tuple[IDMapping, ...]]) -> None:
    with pytest.raises(ConfigError, match="must have uidMappings and gidMappings, or neither"):
        found("idmap", **more)


@pytest.mark.parametrize(("text", "uids", "gids"), [
    ("uids=0-1000-10;gids=0-2000-10", [(0, 1000, 10)], [(0, 2000, 10)]),
    ("gids=5-6-7;uids=0-1-10#10-11-10", [(0, 1, 10), (10, 11, 10)], [(5, 6, 7)]),
    ("uids=@1-3-10;gids=@0-0-1#7-8-9", [(1, 200002, 10)], [(0, 300000, 1), (7, 8, 9)]),  # crun(1): 3 of the container
    ("uids=0-4294967295-1;gids=0-0-1", [(0, 4294967295, 1)], [(0, 0, 1)]),
])  # fmt: skip
def test_ranges(text: str, uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]]) -> None:
    expected = tuple(tuple(mapping(*numbers) for numbers in ranges) for ranges in (uids, gids))
    assert parse_ranges("mounts[7]", text, LINUX) == expected


@pytest.mark.parametrize("text", [
    "uids=0-1-10", "gids=0-1-10", "x=0-1-1;gids=0-1-1", "uids=0-1-1;uids=0-1-1", "uids=0-1;gids=0-1-1",
    "uids=0-1-1-1;gids=0-1-1", "uids=0-1-;gids=0-1-1", "uids=0 -1-1;gids=0-1-1", "uids=+0-1-1;gids=0-1-1",
    "uids=٣-1-1;gids=0-1-1", "uids=0-1_0-1;gids=0-1-1", "uids=0-4294967296-1;gids=0-1-1", "uids=;gids=0-1-1",
    "uids=@@0-0-1;gids=0-1-1", "uids=0-@0-1;gids=0-1-1", "uids=@0-5000-1;gids=0-1-1", "uids=0-1-1,gids=0-1-1",
    "uids=0--1-1;gids=0-1-1", "uids=0-1-1#;gids=0-1-1", ";",
])  # fmt: skip
def test_wrong_ranges(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^mounts\[7\]\.options: idmap="):
        found(f"idmap={text}")


def test_ranges_and_mappings_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="mappings, and others in its option idmap"):
        found("idmap=uids=0-0-1;gids=0-0-1", uid_mappings=UIDS, gid_mappings=GIDS)


def test_the_cheap_question_misses_none() -> None:
    for options in (("idmap",), ("ridmap",), ("idmap=uids=0-0-1;gids=0-0-1",), ("ridmap=x",)):
        assert is_id_mapped(Mount(destination="/x", options=options))
    assert is_id_mapped(Mount(destination="/x", uid_mappings=UIDS))
    assert not is_id_mapped(Mount(destination="/x", options=("rbind", "ro")))


HOST = Host(euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=())


@pytest.mark.parametrize(("uids", "text"), [
    ((mapping(0, 0, 0),), r"mounts\[7\].uidMappings\[0\].size: must not be 0"),
    ((mapping(0, 0, 2), mapping(1, 5, 1)), r"mounts\[7\].uidMappings\[1\].containerID: overlaps"),
    ((mapping(0, 4294967295, 1),), "go beyond"),
])  # fmt: skip
def test_ranges_are_checked(uids: tuple[IDMapping, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_id_map(IdMap(place="mounts[7]", uids=uids, gids=GIDS, recursive=False), HOST)


def test_root_is_needed() -> None:
    host = Host(euid=1000, egid=0, machine="x86_64", in_user_namespace=False, cgroups=())
    with pytest.raises(ConfigError, match=r"^mounts\[7\]: id-mapped mounts need root$"):
        check_id_map(IdMap(place="mounts[7]", uids=UIDS, gids=GIDS, recursive=False), host)
