"""Id-mapped mounts on the real kernel: whose files the container sees, on which file systems."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocispec.linux import IDMapping
from pyrunc.errors import KernelError, PyruncError
from pyrunc.kernel.mounts import clone_tree, map_ids
from pyrunc.process.idmaps import IdMapNamespaces
from pyrunc.rootfs.idmaps import IdMap
from rootfs_box import MACHINE, MAP, USUAL, Box, apart, bind

SHOW = "stat -c '%n %u %g' /v/* /v/below/*"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    before = Path("/proc/self/mountinfo").read_text()
    yield Box(tmp_path)
    assert Path("/proc/self/mountinfo").read_text() == before


def wanted(*, recursive: bool = False, uids: tuple[tuple[int, int, int], ...] = ((1000, 0, 10),)) -> IdMap:
    """By default uid 1000 of the file system is root's, gid 1000 is 7."""
    mappings = tuple(IDMapping(container_id=a, host_id=b, size=c) for a, b, c in uids)
    return IdMap(
        place="mounts[3]",
        uids=mappings,
        gids=(IDMapping(container_id=1000, host_id=7, size=1),),
        recursive=recursive,
    )


def fill(directory: Path) -> None:
    for name, owner in (("a", 1000), ("b", 1003), ("c", 0)):
        (directory / name).touch()
        os.chown(directory / name, owner, owner)


def seen(box: Box, source: Path, id_map: IdMap, script: str = SHOW, id_map_of_user: str = "") -> str:
    with IdMapNamespaces(MACHINE, None) as namespaces, clone_tree(str(source), recursive=True) as tree:
        map_ids(tree, namespaces.of(id_map), recursive=id_map.recursive)
        changes = {"has_user_namespace": True, "id_map": id_map_of_user} if id_map_of_user else {}
        mounts = (*USUAL, bind("/v", source, "rbind"))
        return box.run(script, mounts, fds={"source": tree.number}, source_fds={3: 5}, **changes)


def mounted(kind: str, options: Callable[[Path], str] = lambda _: "") -> Callable[[Path], None]:
    def mount(directory: Path) -> None:
        words = options(directory)
        subprocess.run(["mount", "-t", kind, *(["-o", words] if words else []), "none", str(directory)], check=True)

    return mount


def layers(directory: Path) -> str:
    names = [directory.parent / name for name in ("lower", "upper", "work")]
    for name in names:
        name.mkdir()
    return "lowerdir={},upperdir={},workdir={}".format(*names)


FILE_SYSTEMS: dict[str, Callable[[Path], None]] = {
    "the host's": lambda _directory: None,
    "tmpfs": mounted("tmpfs"),
}


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_owners(box: Box, kind: str) -> None:
    volume = box.directory / "volume"
    volume.mkdir()

    def work() -> str:
        FILE_SYSTEMS[kind](volume)
        fill(volume)
        return seen(box, volume, wanted(), "stat -c '%n %u %g' /v/*")

    assert apart(work).splitlines() == ["/v/a 0 7", "/v/b 3 65534", "/v/c 65534 65534"]


def test_what_is_made_has_the_owner_on_the_file_system(box: Box) -> None:
    volume = box.directory / "volume"
    volume.mkdir(mode=0o777)
    os.chown(volume, 1000, 1000)
    wide = wanted(uids=((1000, 0, 10), (0, 5000, 1)))
    # gid 0 has no place on the file system
    assert "Value too large" in seen(box, volume, wide, "echo x > /v/new")
    os.chown(volume, 1000, 900)
    both = IdMap(place="", uids=wide.uids, gids=(IDMapping(container_id=900, host_id=0, size=1),), recursive=False)
    assert seen(box, volume, both, "echo x > /v/new; stat -c '%u %g' /v/new") == "0 0\n"
    assert ((volume / "new").stat().st_uid, (volume / "new").stat().st_gid) == (1000, 900)


@pytest.mark.parametrize("recursive", [False, True])
def test_recursion(box: Box, recursive: bool) -> None:
    volume = box.directory / "volume"
    (volume / "below").mkdir(parents=True)

    def work() -> str:
        mounted("tmpfs")(volume / "below")
        for directory in (volume, volume / "below"):
            fill(directory)
        return seen(box, volume, wanted(recursive=recursive), "stat -c '%u' /v/a /v/below/a")

    assert apart(work).split() == ["0", "0" if recursive else "1000"]


def test_in_a_user_namespace(box: Box) -> None:
    """The container's own map: what is root's on the file system is the container root's."""
    volume = box.directory / "volume"
    volume.mkdir()
    fill(volume)
    box.directory.parent.chmod(0o755)
    own = IdMap(
        place="",
        uids=(IDMapping(container_id=0, host_id=0, size=65536),),
        gids=(IDMapping(container_id=0, host_id=0, size=65536),),
        recursive=False,
    )
    shown = seen(box, volume, own, "stat -c '%n %u %g' /v/*", MAP)
    assert shown.splitlines() == ["/v/a 1000 1000", "/v/b 1003 1003", "/v/c 0 0"]


def test_the_same_map_is_one_namespace() -> None:
    before = os.listdir("/proc/self/fd")
    with IdMapNamespaces(MACHINE, None) as namespaces:
        one, again, other = (namespaces.of(w) for w in (wanted(), wanted(recursive=True), wanted(uids=((0, 0, 1),))))
        assert one is again
        assert os.fstat(one.number).st_ino != os.fstat(other.number).st_ino
    assert os.listdir("/proc/self/fd") == before


def test_a_joined_namespace_is_taken_as_it_is() -> None:
    with IdMapNamespaces(MACHINE, None) as namespaces:
        joined = namespaces.of(wanted())
        nothing = IdMap(place="", uids=(), gids=(), recursive=False)
        assert IdMapNamespaces(MACHINE, joined).of(nothing) is joined


@pytest.mark.parametrize("source", ["/proc", "/sys"])
def test_a_file_system_that_cannot(box: Box, source: str) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        seen(box, Path(source), wanted())


def test_an_overlay_cannot_but_its_layers_can(box: Box) -> None:
    """The layers since Linux 5.19, the overlay itself not in 6.18."""
    volume = box.directory / "volume"
    volume.mkdir()

    def work() -> str:
        mounted("overlay", layers)(volume)
        return seen(box, volume, wanted())

    with pytest.raises(AssertionError, match="Invalid argument"):
        apart(work)


def test_a_map_that_the_kernel_refuses() -> None:
    with IdMapNamespaces(MACHINE, None) as namespaces, pytest.raises(KernelError) as caught:
        namespaces.of(wanted(uids=((0, 0, 2), (1, 1, 2))))
    assert str(caught.value) == "mounts[3]: make a user namespace with its id maps: EINVAL (invalid argument)"
    assert isinstance(caught.value, PyruncError)
