"""config.md#mounts and #linux-mount-options: what stands in the container's mountinfo, and what works there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from duties.container import PATH, wait_until

if TYPE_CHECKING:
    from duties.container import Box


def tmpfs(box: Box, *options: str, destination: str = "/mnt") -> None:
    box.mounts.append({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": list(options)})


def bind(box: Box, source: Path, *options: str, destination: str = "/mnt", **more: object) -> None:
    row = {"destination": destination, "type": "bind", "source": str(source), "options": list(options), **more}
    box.mounts.append(row)


def folder(box: Box, name: str = "source") -> Path:
    path = box.directory / name
    path.mkdir()
    (path / "file").write_text(f"{name}\n")
    return path


def tree(box: Box) -> Path:
    """A directory with a tmpfs mounted below it, at `below`."""
    path = folder(box)
    (path / "below").mkdir()
    box.island.run("mount", "-t", "tmpfs", "tmpfs", path / "below").ok()
    box.island.run("touch", path / "below/deep").ok()
    return path


def options(box: Box, point: str = "/mnt") -> set[str]:
    """Options of the mount at the point, those of the file system too."""
    own, _propagation, _type, of_filesystem = box.mountinfo(box.created(), point)
    box.delete("--force").ok()
    return own | (of_filesystem - {"rw"} if "ro" in own else of_filesystem)


# -- members -----------------------------------------------------------------------------------------------------------


def test_destination_is_required(box: Box) -> None:
    box.mounts.append({"type": "tmpfs", "source": "tmpfs"})
    box.refused()


def test_mounts_are_made_in_their_order(box: Box) -> None:
    """A later one covers an earlier one, and lies on it."""
    first, second = folder(box, "first"), folder(box, "second")
    bind(box, first, "bind")
    bind(box, second, "bind")
    tmpfs(box, destination="/work")
    bind(box, first, "bind", destination="/work/a/b")
    assert box.output("cat /mnt/file /work/a/b/file") == "second\nfirst\n"
    box.mounts[-2], box.mounts[-1] = box.mounts[-1], box.mounts[-2]
    assert box.output("ls /work") == ""


def test_a_relative_destination_counts_from_the_root(box: Box) -> None:
    box.process["cwd"] = "/tmp"
    tmpfs(box, destination="some/where")
    pid = box.created()
    assert box.mountinfo(pid, "/some/where")[2] == "tmpfs"


# -- options -----------------------------------------------------------------------------------------------------------

FLAGS = (
    (("sync",), {"sync"}, set()),
    (("sync", "async"), set(), {"sync"}),
    (("dirsync",), {"dirsync"}, set()),
    (("noatime",), {"noatime"}, set()),
    (("noatime", "atime"), {"rw"}, {"noatime"}),
    (("relatime",), {"relatime"}, {"noatime"}),
    (("norelatime",), set(), {"noatime"}),
    (("strictatime",), set(), {"relatime", "noatime"}),
    (("strictatime", "nostrictatime"), {"relatime"}, set()),
    (("nodiratime",), {"nodiratime"}, set()),
    (("nodiratime", "diratime"), set(), {"nodiratime"}),
    (("nodev",), {"nodev"}, set()),
    (("nodev", "dev"), set(), {"nodev"}),
    (("noexec",), {"noexec"}, set()),
    (("noexec", "exec"), set(), {"noexec"}),
    (("nosuid",), {"nosuid"}, set()),
    (("nosuid", "suid"), set(), {"nosuid"}),
    (("ro",), {"ro"}, {"rw"}),
    (("ro", "rw"), {"rw"}, {"ro"}),
    (("lazytime",), {"lazytime"}, set()),
    (("lazytime", "nolazytime"), set(), {"lazytime"}),
    (("iversion", "silent"), {"rw"}, set()),
    (("noiversion", "loud"), {"rw"}, set()),
    (("defaults",), {"rw"}, {"nosuid", "nodev", "noexec", "sync"}),
    (("nosymfollow",), {"nosymfollow"}, set()),
    (("nosymfollow", "symfollow"), set(), {"nosymfollow"}),
    (("nomand",), {"rw"}, set()),
)
BY_WORDS = {",".join(words): (words, present, absent) for words, present, absent in FLAGS}


def check_flags(box: Box, words: str) -> None:
    given, present, absent = BY_WORDS[words]
    tmpfs(box, *given)
    found = options(box)
    assert present <= found
    assert not absent & found


@pytest.mark.parametrize("words", ["sync", "sync,async", "dirsync"])
def test_sync_options(box: Box, words: str) -> None:
    check_flags(box, words)


@pytest.mark.parametrize("words", [words for words in BY_WORDS if "atime" in words])
def test_atime_options(box: Box, words: str) -> None:
    check_flags(box, words)


@pytest.mark.parametrize("words", [f"{no}{name}" for name in ("dev", "exec", "suid") for no in ("no",)])
def test_dev_exec_suid(box: Box, words: str) -> None:
    check_flags(box, words)
    box.mounts.pop()
    check_flags(box, f"{words},{words.removeprefix('no')}")


def test_noexec_works(box: Box) -> None:
    tmpfs(box, "noexec")
    assert "Permission denied" in box.output("cp /bin/busybox /mnt/x; /mnt/x true 2>&1")


@pytest.mark.parametrize("words", ["lazytime", "lazytime,nolazytime", "iversion,silent", "noiversion,loud"])
def test_rare_options(box: Box, words: str) -> None:
    check_flags(box, words)


def test_defaults(box: Box) -> None:
    check_flags(box, "defaults")


@pytest.mark.parametrize("words", ["ro", "ro,rw"])
def test_ro_and_rw(box: Box, words: str) -> None:
    check_flags(box, words)


def test_ro_works_on_a_bind_mount(box: Box) -> None:
    source = folder(box)
    bind(box, source, "bind", "ro")
    assert "Read-only file system" in box.output("touch /mnt/x 2>&1; cat /mnt/file")
    assert not (source / "x").exists()


@pytest.mark.parametrize("words", ["nosymfollow", "nosymfollow,symfollow"])
def test_symlinks(box: Box, words: str) -> None:
    check_flags(box, words)


def test_words_of_mount_8(box: Box) -> None:
    check_flags(box, "nomand")


def test_bind(box: Box) -> None:
    """Of a directory without what is mounted below, and of a file."""
    source = tree(box)
    bind(box, source, "bind")
    bind(box, source / "file", "bind", destination="/etc/file")
    assert box.output("cat /mnt/file /etc/file; ls /mnt/below") == "source\nsource\n"


def test_rbind(box: Box) -> None:
    bind(box, tree(box), "rbind")
    assert box.output("cat /mnt/file; ls /mnt/below") == "source\ndeep\n"


def test_remount(box: Box) -> None:
    tmpfs(box, "nosuid")
    box.mounts.append(
        {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "ro", "nodev"]}
    )
    assert {"ro", "nodev"} <= options(box)


PROPAGATION = {
    "shared": ({"shared"}, {"unbindable"}),
    "slave": ({"master"}, {"shared", "unbindable"}),
    "private": (set(), {"shared", "master", "unbindable"}),
    "unbindable": ({"unbindable"}, {"shared", "master"}),
}


@pytest.mark.parametrize("recursive", ["", "r"])
@pytest.mark.parametrize("word", PROPAGATION)
def test_propagation(box: Box, word: str, recursive: str) -> None:
    """The source is a shared mount, so that a slave has a master; with `r` it goes for mounts below too."""
    source = tree(box)
    box.island.run("mount", "--bind", source, source).ok()
    box.island.run("mount", "--make-shared", source).ok()
    box.island.run("mount", "-t", "tmpfs", "tmpfs", source / "below").ok()
    if word == "slave":
        box.linux["rootfsPropagation"] = "rslave"  # crun's default is private, where nothing has a master
    bind(box, source, "rbind", f"{recursive}{word}")
    pid = box.created()
    present, absent = PROPAGATION[word]
    for point in ["/mnt", "/mnt/below"] if recursive else ["/mnt"]:
        words = {one.partition(":")[0] for one in box.mountinfo(pid, point)[1]}
        assert present <= words, point
        assert not absent & words, point


RECURSIVE = (
    ("rro", {"ro"}, set()),
    ("rnosuid", {"nosuid"}, set()),
    ("rnodev", {"nodev"}, set()),
    ("rnoexec", {"noexec"}, set()),
    ("rnoatime", {"noatime"}, set()),
    ("rnodiratime", {"nodiratime"}, set()),
    ("rrelatime", {"relatime"}, set()),
    ("rstrictatime", set(), {"relatime", "noatime"}),
    ("rnosymfollow", {"nosymfollow"}, set()),
    ("rrw", {"rw"}, {"ro"}),
    ("rsuid", set(), {"nosuid"}),
    ("rdev", set(), {"nodev"}),
    ("rexec", set(), {"noexec"}),
    ("rsymfollow", set(), {"nosymfollow"}),
)


@pytest.mark.parametrize(("word", "present", "absent"), RECURSIVE, ids=[row[0] for row in RECURSIVE])
def test_recursive_options(box: Box, word: str, present: set[str], absent: set[str]) -> None:
    bind(box, tree(box), "rbind", word)
    pid = box.created()
    for point in ("/mnt", "/mnt/below"):
        found = box.mountinfo(pid, point)[0]
        assert present <= found, point
        assert not absent & found, point


def test_other_words_go_to_the_file_system(box: Box) -> None:
    tmpfs(box, "mode=0711", "size=64k", "uid=1000", "nr_inodes=50")
    pid = box.created()
    found = box.mountinfo(pid, "/mnt")[3]
    assert {"mode=711", "size=64k", "uid=1000", "nr_inodes=50"} <= found


def test_words_that_the_file_system_does_not_know_are_refused(box: Box) -> None:
    tmpfs(box, "nosuchoption=1")
    box.refused()


# -- id mappings of mounts ---------------------------------------------------------------------------------------------

UIDS = [{"containerID": 1000, "hostID": 5000, "size": 10}]
GIDS = [{"containerID": 1000, "hostID": 6000, "size": 10}]
WHOLE = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def owned(box: Box, uid: int = 1000, gid: int = 1001) -> Path:
    source = folder(box)
    os.chown(source / "file", uid, gid)
    return source


def test_idmap_maps(box: Box) -> None:
    """mountinfo says so, and only mount_setattr(2) can make it so."""
    bind(box, owned(box), "bind", "idmap", uidMappings=UIDS, gidMappings=GIDS)
    pid = box.created()
    assert "idmapped" in box.mountinfo(pid, "/mnt")[0]


def test_idmap_uses_the_given_mappings(box: Box) -> None:
    """uid 1000 on the disk is 5000 at the mount (mount_setattr(2), ID-mapped mounts)."""
    bind(box, owned(box), "bind", "idmap", uidMappings=UIDS, gidMappings=GIDS)
    assert box.output("stat -c %u:%g /mnt/file") == "5000:6001\n"


def test_ridmap_maps_mounts_below(box: Box) -> None:
    source = tree(box)
    bind(box, source, "rbind", "ridmap", uidMappings=UIDS, gidMappings=GIDS)
    pid = box.created()
    assert "idmapped" in box.mountinfo(pid, "/mnt")[0]
    assert "idmapped" in box.mountinfo(pid, "/mnt/below")[0]


@pytest.mark.parametrize("word", ["idmap", "ridmap"])
def test_idmap_without_any_mapping_is_refused(box: Box, word: str) -> None:
    bind(box, folder(box), "rbind", word)
    box.refused()


def test_idmap_takes_the_containers_mapping_or_is_refused(box: Box) -> None:
    """Without mappings of its own, in a user namespace: root's file on the disk is root's inside."""
    box.namespace("user")
    box.linux["uidMappings"] = box.linux["gidMappings"] = WHOLE
    (box.rootfs / "mnt").mkdir()  # whoever is root in there could not make it
    bind(box, owned(box, 0, 0), "bind", "idmap")
    result = box.create()
    if result.status == 0:
        pid = int(box.state()["pid"])
        found = Path(f"/proc/{pid}/root/mnt/file").stat()
        assert (found.st_uid, found.st_gid) == (100000, 100000)
    else:
        assert "idmap" in result.refused().err or "mapping" in result.err, result


def test_idmap_is_not_handed_to_the_file_system(box: Box) -> None:
    """No mount(2) has the word in its data."""
    bind(box, owned(box), "bind", "idmap", uidMappings=UIDS, gidMappings=GIDS)
    box.save()
    trace = box.directory / "trace"
    command = ["strace", "-f", "-e", "trace=mount,fsconfig,move_mount", "-o", trace, PATH, "--root", box.root, "create"]
    tracer = subprocess.Popen(
        box.island.command(*command, "--bundle", box.path, box.id),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: tracer.poll() is not None or box.status() == "created")
        calls = trace.read_text()
        assert box.status() == "created"
    finally:
        box("delete", "--force", box.id)  # strace stays with the container's process
        tracer.wait(5)
    assert "mount(" in calls  # or move_mount
    assert not re.search(r'"([^"]*,)?r?idmap(,[^"]*)?"', calls)


def test_uid_mappings_need_gid_mappings(box: Box) -> None:
    bind(box, folder(box), "bind", "idmap", uidMappings=UIDS)
    box.refused()


def test_gid_mappings_need_uid_mappings(box: Box) -> None:
    bind(box, folder(box), "bind", "idmap", gidMappings=GIDS)
    box.refused()
