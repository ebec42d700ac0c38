"""The root itself: propagation, pivot_root, --no-pivot, no mount namespace, user namespaces, cgroup mounts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ocispec.config import Mount
from ocispec.linux import Linux
from pyrunc.errors import ConfigError, StageFailed
from pyrunc.kernel.host import CgroupHierarchy
from pyrunc.kernel.mounts import clone_tree
from rootfs_box import INFO, PROC, SYS, USUAL, Box, apart, bind, mount_of, tmpfs

ALL = ("shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def mountinfo() -> str:
    return Path("/proc/self/mountinfo").read_text()


def mount_points() -> list[str]:
    return [line.split()[4] for line in mountinfo().splitlines()]


# -- pivot_root --------------------------------------------------------------------------------------------------------


def test_nothing_of_the_host_is_left(box: Box) -> None:
    info = box.run(INFO)
    assert [line.split()[4] for line in info.splitlines()] == ["/", "/proc", "/dev", "/dev/pts"]


@pytest.mark.parametrize("no_pivot", [True, False])
def test_the_current_directory_is_the_root(box: Box, no_pivot: bool) -> None:
    script = "pwd; ls -d bin; readlink /proc/self/cwd; ls ../../../../bin/sh"
    assert box.run(script, no_pivot=no_pivot).split() == ["/", "bin", "/", "../../../../bin/sh"]


def test_without_pivot_root_neither_the_hosts_proc_nor_its_sys_is_left(box: Box) -> None:
    # mountinfo shows only what can be reached from the root; the namespace's list is that of a process outside.
    info = box.run("cat /proc/self/mountinfo", (*USUAL, SYS), no_pivot=True)
    assert [line.split()[4] for line in info.splitlines()] == ["/", "/proc", "/dev", "/dev/pts", "/sys"]


def test_private_needs_pivot_root(box: Box) -> None:
    for word in ("private", "rprivate"):
        with pytest.raises(ConfigError, match="--no-pivot forbids it"):
            box.run("", no_pivot=True, linux=Linux(rootfs_propagation=word))


def test_a_rootfs_that_is_a_mount_point(box: Box) -> None:
    def work() -> str:
        os.system(f"mount --bind {box.rootfs} {box.rootfs} && mount -t tmpfs tmpfs {box.rootfs}/tmp")
        return box.run("ls -d /bin; cat /proc/self/mountinfo")

    shown = apart(work)
    assert shown.startswith("/bin\n")
    assert mount_of(shown, "/tmp")[1] == "tmpfs"  # the rootfs is bound with all that is mounted in it


@pytest.mark.parametrize("kind", ["root", "tmpfs", "none"])
def test_a_read_only_root(box: Box, kind: str) -> None:
    shown = box.run(f"touch /x /dev/x; {INFO}", readonly=kind == "root")
    assert ("/x: Read-only file system" in shown) == (kind == "root")
    assert ("ro" in mount_of(shown, "/")[0]) == (kind == "root")
    assert "rw" in mount_of(shown, "/dev")[0]


# -- propagation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["", *ALL])
def test_the_hosts_mounts_stay_as_they_are(box: Box, word: str) -> None:
    """Whatever linux.rootfsPropagation says: the rootfs's own mounts never reach a host whose mounts are shared."""

    def work() -> tuple[str, str, str]:
        before = mountinfo()
        shown = box.run(INFO, (*USUAL, tmpfs("/x")), linux=Linux(rootfs_propagation=word))
        return before, mountinfo(), shown

    before, after, shown = apart(work)
    assert before == after
    assert mount_of(shown, "/x")
    fields = mount_of(shown, "/")[0]
    assert ("shared" in fields) == word.endswith("shared")
    assert ("unbindable" in fields) == word.endswith("unbindable")


@pytest.mark.parametrize("word", ["rslave", "rshared"])
def test_recursive_propagation_of_the_root_reaches_the_mounts_below(box: Box, word: str) -> None:
    shown = apart(lambda: box.run(INFO, linux=Linux(rootfs_propagation=word)))
    assert ("shared" in mount_of(shown, "/proc")[0]) == (word == "rshared")


def volume_box(box: Box, volume: str, root: str) -> Callable[[], bool]:
    """Whether a mount made by the container in a volume is seen by the host."""

    def work() -> bool:
        source = box.directory / "volume"
        source.mkdir()
        os.system(f"mount -t tmpfs tmpfs {source}")  # not on the mount that holds the rootfs
        (source / "x").mkdir()
        script = "mount -t tmpfs tmpfs /volume/x && touch /volume/x/y"
        mounts = (*USUAL, bind("/volume", source, *("rbind", volume)[: 2 if volume else 1]))
        assert box.run(script, mounts, linux=Linux(rootfs_propagation=root)) == ""
        return (source / "x/y").exists()

    return work


@pytest.mark.parametrize(("volume", "root", "reaches"), [
    ("rshared", "rshared", True), ("rshared", "shared", True), ("rslave", "rshared", False),
    ("rprivate", "rshared", False), ("rshared", "rslave", False), ("rshared", "", False), ("", "", False),
])  # fmt: skip
def test_mounts_in_a_volume_reach_the_host_only_if_both_say_shared(
    box: Box, volume: str, root: str, reaches: bool
) -> None:
    assert apart(volume_box(box, volume, root)) is reaches


def test_a_hosts_later_mount_reaches_a_slave_volume(box: Box) -> None:
    """crun 1.27.1: binds must stay in the peer groups of their sources."""

    def work() -> str:
        return box.run(INFO, (*USUAL, bind("/etc", box.directory, "rbind")))

    assert "master" in mount_of(apart(work), "/etc")[0]


def test_without_a_mount_namespace_no_propagation_is_touched(box: Box) -> None:
    """runc 1.5.3.  The mounts are the host's, as everybody's."""

    def work() -> tuple[str, list[str], str]:
        before = mountinfo()
        shown = box.run("ls /; pwd", (PROC, tmpfs("/x")), has_mount_namespace=False, linux=Linux(
            rootfs_propagation="rprivate"
        ))  # fmt: skip
        after = mountinfo()
        assert after.startswith(before)
        return before, after[len(before) :].splitlines(), shown

    before, new, shown = apart(work)
    assert all(" shared:" in line for line in before.splitlines())
    assert [line.split()[4] for line in new] == [f"{box.rootfs}/proc", f"{box.rootfs}/x"]
    assert "x" in shown.split()
    assert shown.splitlines()[-1] == "/"


def test_masks_need_a_mount_namespace(box: Box) -> None:
    for linux in (Linux(masked_paths=("/etc",)), Linux(readonly_paths=("/etc",))):
        with pytest.raises(ConfigError, match=r"^unable to restrict sys entries without a private MNT namespace$"):
            box.run("", has_mount_namespace=False, linux=linux)


def test_a_read_only_root_needs_a_mount_namespace(box: Box) -> None:
    def work() -> tuple[str, str]:
        os.system(f"mount -t tmpfs tmpfs {box.rootfs}")
        before = mountinfo()
        with pytest.raises(ConfigError, match=r"^root\.readonly: needs a mount namespace"):
            box.run("", (), has_mount_namespace=False, readonly=True)
        return before, mountinfo()

    before, after = apart(work)
    assert before == after


# -- user namespaces ---------------------------------------------------------------------------------------------------

OTHER = "0 100000 65536\n"


def test_a_user_namespace_of_its_own(box: Box) -> None:
    box.directory.parent.chmod(0o755)
    shown = box.run(INFO, (*USUAL, SYS), has_user_namespace=True, has_network_namespace=True)
    assert mount_of(shown, "/sys")[0] >= {"ro", "nosuid", "nodev", "noexec"}


def test_the_hosts_sysfs_without_a_network_namespace(box: Box) -> None:
    """All of it read-only, what is mounted below too (crun 1.29, 1.31)."""
    shown = box.run(INFO, (*USUAL, SYS), has_user_namespace=True)
    assert mount_of(shown, "/sys")[0] >= {"ro", "nosuid", "nodev", "noexec"}
    below = [line.split() for line in shown.splitlines() if line.split()[4].startswith("/sys/")]
    assert below
    assert all("ro" in fields[5].split(",") for fields in below)


def test_locked_flags_stay(box: Box) -> None:
    def work() -> tuple[str, str]:
        volume = box.directory / "volume"
        volume.mkdir()
        os.system(f"mount -t tmpfs -o nosuid,nodev,noexec,ro tmpfs {volume}")
        fine = box.run(INFO, (*USUAL, bind("/v", volume, "bind", "nosymfollow")), has_user_namespace=True)
        refused = box.fails((*USUAL, bind("/v", volume, "bind", "rw")), has_user_namespace=True)
        return fine, refused

    fine, refused = apart(work)
    assert mount_of(fine, "/v")[0] >= {"nosuid", "nodev", "noexec", "ro", "nosymfollow"}
    assert refused.endswith("set attributes: EPERM (operation not permitted)")


def test_sources_and_rootfs_that_only_the_parent_can_reach(box: Box) -> None:
    secret = box.directory / "secret"
    (secret / "volume").mkdir(parents=True)
    (secret / "volume/file").write_text("seen\n")
    secret.chmod(0o700)
    box.give_to(100000)
    box.directory.chmod(0o700)
    mounts = (*USUAL, bind("/v", secret / "volume", "rbind", "ro"))
    with pytest.raises(StageFailed, match="EACCES"):
        box.run("", mounts, has_user_namespace=True, id_map=OTHER)
    with (
        clone_tree(str(box.rootfs), recursive=True) as rootfs,
        clone_tree(str(secret / "volume"), recursive=True) as volume,
    ):
        shown = box.run(
            f"cat /v/file; {INFO}",
            mounts,
            has_user_namespace=True,
            id_map=OTHER,
            fds={"rootfs": rootfs.number, "volume": volume.number},
            rootfs_fd=5,
            source_fds={3: 6},
        )
    assert shown.startswith("seen\n")
    assert "ro" in mount_of(shown.partition("\n")[2], "/v")[0]


def test_trees_from_the_parent_are_no_peers_of_the_host(box: Box) -> None:
    def work() -> tuple[str, list[str]]:
        volume = box.directory / "volume"
        (volume / "x").mkdir(parents=True)
        with clone_tree(str(box.rootfs), recursive=True) as rootfs, clone_tree(str(volume), recursive=True) as tree:
            shown = box.run(
                f"mount -t tmpfs tmpfs /v/x; {INFO}",
                (*USUAL, bind("/v", volume, "rbind")),
                has_user_namespace=True,
                fds={"rootfs": rootfs.number, "volume": tree.number},
                rootfs_fd=5,
                source_fds={3: 6},
            )
        return shown, mount_points()

    box.directory.parent.chmod(0o755)
    shown, after = apart(work)
    for path in ("/", "/v"):
        assert "shared" not in mount_of(shown, path)[0]
    assert mount_of(shown, "/v/x")
    assert not any(path.startswith(str(box.directory)) for path in after)


# -- cgroup mounts -----------------------------------------------------------------------------------------------------

CGROUP = Mount(
    destination="/sys/fs/cgroup",
    type="cgroup",
    source="cgroup",
    options=("nosuid", "noexec", "nodev", "relatime", "ro"),
)


def hierarchies() -> tuple[CgroupHierarchy, ...]:
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        name = controllers.removeprefix("name=") or "unified"
        if Path(f"/sys/fs/cgroup/{name}").is_dir():
            known = tuple(controllers.split(",")) if controllers else ()
            version = 1 if controllers else 2
            mountpoint = f"/sys/fs/cgroup/{name}"
            found.append(CgroupHierarchy(version=version, controllers=known, mountpoint=mountpoint, own_path=path))
    return tuple(found)


def cgroup_inputs(own: str | None = None) -> dict[str, tuple[object, ...]]:
    found = hierarchies()
    return {"cgroups": found, "cgroup_paths": tuple(own if own is not None else h.own_path for h in found)}


@pytest.mark.parametrize("has_namespace", [True, False])
@pytest.mark.parametrize("has_users", [True, False])
def test_hierarchies(box: Box, has_namespace: bool, has_users: bool) -> None:
    box.directory.parent.chmod(0o755)
    mounts = (*USUAL, SYS, CGROUP)
    spaces = {"has_user_namespace": has_users, "has_network_namespace": True}
    shown = box.run(INFO, mounts, has_cgroup_namespace=has_namespace, **spaces, **cgroup_inputs())
    assert mount_of(shown, "/sys/fs/cgroup")[0] >= {"ro", "nosuid", "noexec", "nodev"}
    assert hierarchies()
    for hierarchy in hierarchies():
        options, kind, super_options = mount_of(shown, hierarchy.mountpoint)
        assert options >= {"ro", "nosuid", "noexec", "nodev"}
        assert kind == ("cgroup" if hierarchy.version == 1 else "cgroup2")
        if hierarchy.version == 1:
            assert set(hierarchy.controllers) <= super_options


def test_only_the_containers_own_cgroup_is_bound(box: Box) -> None:
    pids = next(h for h in hierarchies() if "pids" in h.controllers)
    own = Path(pids.mountpoint) / "pyrunc-test-rootfs"
    own.mkdir(exist_ok=True)
    try:
        changes: dict[str, tuple[object, ...]] = {"cgroups": (pids,), "cgroup_paths": ("/pyrunc-test-rootfs",)}
        shown = box.run(INFO, (*USUAL, SYS, CGROUP), **changes)
    finally:
        own.rmdir()
    root = next(line.split()[3] for line in shown.splitlines() if line.split()[4] == pids.mountpoint)
    assert root.endswith("/pyrunc-test-rootfs")


def test_controllers_that_share_a_hierarchy_get_links(box: Box) -> None:
    two = box.directory / "cpu,cpuacct"
    two.mkdir()
    shared = CgroupHierarchy(version=1, controllers=("cpu", "cpuacct"), mountpoint=str(two), own_path="/")
    script = "readlink /sys/fs/cgroup/cpu; readlink /sys/fs/cgroup/cpuacct"
    shown = box.run(script, (*USUAL, SYS, CGROUP), cgroups=(shared,), cgroup_paths=("/",))
    assert shown.split() == ["cpu,cpuacct", "cpu,cpuacct"]


def unified(mountpoint: str) -> dict[str, tuple[object, ...]]:
    only = CgroupHierarchy(version=2, controllers=(), mountpoint=mountpoint, own_path="/")
    return {"cgroups": (only,), "cgroup_paths": ("/",)}


@pytest.mark.parametrize(("has_users", "has_namespace"), [(False, False), (False, True), (True, True)])
def test_the_unified_hierarchy(box: Box, has_users: bool, has_namespace: bool) -> None:
    box.directory.parent.chmod(0o755)
    spaces = {"has_user_namespace": has_users, "has_cgroup_namespace": has_namespace, "has_network_namespace": True}
    shown = box.run(INFO, (*USUAL, SYS, CGROUP), **spaces, **unified("/sys/fs/cgroup/unified"))
    options, kind, _super = mount_of(shown, "/sys/fs/cgroup")
    assert kind == "cgroup2"
    assert options >= {"ro", "nosuid", "noexec", "nodev"}


def test_the_unified_hierarchy_is_hidden_without_a_cgroup_namespace_in_a_user_namespace(box: Box) -> None:
    """CVE-2023-25809."""
    changes = unified("/sys/fs/cgroup/unified")
    shown = box.run(f"ls /sys/fs/cgroup; {INFO}", (*USUAL, SYS, CGROUP), has_user_namespace=True, **changes)
    options, kind, _super = mount_of(shown, "/sys/fs/cgroup")
    assert kind == "tmpfs"
    assert "ro" in options
