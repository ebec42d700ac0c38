"""mounts[] on the real kernel: what the container's mountinfo says, and what is refused."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocispec.config import Mount
from pyrunc.errors import ConfigError
from rootfs_box import INFO, PROC, SYS, USUAL, Box, bind, mount_of, tmpfs


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    before = Path("/proc/self/mountinfo").read_text()
    yield Box(tmp_path)
    assert Path("/proc/self/mountinfo").read_text() == before


@pytest.mark.parametrize(("words", "present", "absent"), [
    (("ro",), {"ro", "relatime"}, {"rw"}),
    (("nosuid", "nodev", "noexec"), {"nosuid", "nodev", "noexec", "rw"}, set()),
    (("noatime",), {"noatime"}, {"relatime"}),
    (("strictatime",), {"rw"}, {"relatime", "noatime"}),
    (("nodiratime",), {"nodiratime", "relatime"}, set()),
    (("nosymfollow",), {"nosymfollow"}, set()),
    (("noatime", "atime"), {"relatime"}, {"noatime"}),
    (("nosuid", "suid"), {"rw"}, {"nosuid"}),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["tmpfs", "bind", "rbind"])
def test_attributes(box: Box, kind: str, words: tuple[str, ...], present: set[str], absent: set[str]) -> None:
    mount = tmpfs("/x", *words) if kind == "tmpfs" else bind("/x", box.rootfs / "etc", kind, *words)
    shown, _kind, _options = mount_of(box.run(INFO, (*USUAL, mount)), "/x")
    assert present <= shown
    assert not absent & shown


@pytest.mark.parametrize(("words", "gone"), [
    (("rw",), "ro"), (("suid",), "nosuid"), (("dev",), "nodev"), (("exec",), "noexec"), (("diratime",), "nodiratime"),
    (("atime",), "noatime"), (("relatime",), "noatime"), (("symfollow",), "nosymfollow"),
])  # fmt: skip
def test_a_bind_clears_what_it_is_told_to_and_keeps_the_rest(box: Box, words: tuple[str, ...], gone: str) -> None:
    everything = ("ro", "nosuid", "nodev", "noexec", "nodiratime", "noatime", "nosymfollow")
    first = tmpfs("/first", *everything, "size=4k")
    hard = bind("/hard", box.rootfs / "etc", "bind", *everything)
    # The source of a bind is the host's path: the first bind is visible there, below the rootfs on itself.
    again = bind("/again", box.rootfs / "hard", "bind", *words)
    shown, _kind, _options = mount_of(box.run(INFO, (*USUAL, first, hard, again)), "/again")
    assert gone not in shown
    assert set(everything) - {gone} <= shown


def test_recursive_attributes_reach_the_mounts_below(box: Box) -> None:
    mounts = (*USUAL, tmpfs("/a"), tmpfs("/a/b"), bind("/top", box.rootfs / "a", "rbind", "ro"))
    info = box.run(INFO, (*mounts, bind("/all", box.rootfs / "a", "rbind", "rro", "rnosuid", "rnoatime")))
    assert "ro" in mount_of(info, "/top")[0]
    assert "rw" in mount_of(info, "/top/b")[0]
    for path in ("/all", "/all/b"):
        assert {"ro", "nosuid", "noatime"} <= mount_of(info, path)[0]


RECURSIVE = {
    "rro": ("ro", "rw"), "rnosuid": ("nosuid", ""), "rnodev": ("nodev", ""), "rnoexec": ("noexec", ""),
    "rnodiratime": ("nodiratime", ""), "rnosymfollow": ("nosymfollow", ""), "rnoatime": ("noatime", "relatime"),
    "rrelatime": ("relatime", "noatime"), "rstrictatime": ("", "relatime"), "ratime": ("relatime", "noatime"),
    "rnorelatime": ("relatime", "noatime"), "rnostrictatime": ("relatime", "noatime"), "rrw": ("rw", "ro"),
    "rsuid": ("", "nosuid"), "rdev": ("", "nodev"), "rexec": ("", "noexec"), "rdiratime": ("", "nodiratime"),
    "rsymfollow": ("", "nosymfollow"),
}  # fmt: skip


@pytest.mark.parametrize("word", RECURSIVE)
@pytest.mark.parametrize("before", ["", "all"])
def test_every_recursive_word(box: Box, word: str, before: str) -> None:
    """On mounts without and with everything set: a choice of access times must clear the other (runc 1.3.5)."""
    present, absent = RECURSIVE[word]
    all_words = ("nosuid", "nodev", "noexec", "nodiratime", "nosymfollow", "noatime", "ro") if before else ()
    below = Mount(destination="/a/b", type="tmpfs", source="b", options=all_words)
    late = bind("/a", "", "bind", "remount", *all_words)  # a read-only one gets no mount points
    info = box.run(INFO, (*USUAL, tmpfs("/a"), below, late, bind("/x", box.rootfs / "a", "rbind", word)))
    for path in ("/x", "/x/b"):
        shown = mount_of(info, path)[0]
        assert not present or present in shown
        assert absent not in shown


def test_a_bind_leaves_out_what_is_below_and_an_rbind_does_not(box: Box) -> None:
    mounts = (*USUAL, tmpfs("/a"), tmpfs("/a/b"), bind("/one", box.rootfs / "a", "bind"))
    info = box.run(INFO, (*mounts, bind("/all", box.rootfs / "a", "rbind")))
    assert mount_of(info, "/all/b")
    assert " /one/b " not in info


@pytest.mark.parametrize(("word", "field"), [
    ("private", None), ("rprivate", None), ("slave", None), ("shared", "shared"), ("rshared", "shared"),
    ("unbindable", "unbindable"), ("runbindable", "unbindable"),
])  # fmt: skip
def test_propagation(box: Box, word: str, field: str | None) -> None:
    shown, _kind, _options = mount_of(box.run(INFO, (*USUAL, tmpfs("/x", word))), "/x")
    for known in ("shared", "unbindable", "master"):
        assert (known in shown) == (known == field)


def test_recursive_propagation_reaches_the_mounts_below(box: Box) -> None:
    mounts = (*USUAL, tmpfs("/a"), tmpfs("/a/b"))
    one = box.run(INFO, (*mounts, bind("/x", box.rootfs / "a", "rbind", "shared")))
    assert "shared" in mount_of(one, "/x")[0]
    assert "shared" not in mount_of(one, "/x/b")[0]
    all_ = box.run(INFO, (*mounts, bind("/x", box.rootfs / "a", "rbind", "rshared")))
    assert "shared" in mount_of(all_, "/x/b")[0]


# -- targets -----------------------------------------------------------------------------------------------------------


def test_missing_targets_are_made_as_the_source_is(box: Box) -> None:
    source = box.directory / "file"
    source.write_text("content\n")
    mounts = (*USUAL, bind("/new/deep/file", source, "bind"), bind("/new/deep/directory", box.directory, "bind"))
    assert box.run("cat /new/deep/file; ls /new/deep/directory/file", mounts).split() == [
        "content",
        "/new/deep/directory/file",
    ]
    assert (box.rootfs / "new/deep/file").is_file()
    assert (box.rootfs / "new/deep/directory").is_dir()
    assert (box.rootfs / "new/deep").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("destination", ["x/y", "/x/y/", "//x/./y", "/x/z/../y", "/../../x/y", "x//y//"])
def test_destinations_are_taken_from_the_root(box: Box, destination: str) -> None:
    assert mount_of(box.run(INFO, (*USUAL, tmpfs(destination))), "/x/y")[1] == "tmpfs"


def test_the_root_itself_can_be_covered(box: Box) -> None:
    other = Box(box.directory / "other")
    (other.rootfs / "here").touch()
    shown = box.run("ls /; cat /proc/self/mountinfo", (bind("/", other.rootfs, "rbind", "nosuid"), *USUAL))
    assert "here" in shown.splitlines()
    assert "nosuid" in mount_of(shown.partition("tmp\n")[2], "/")[0]


@pytest.mark.parametrize(("source", "target"), [("file", "directory"), ("directory", "file")])
def test_kinds_must_match(box: Box, source: str, target: str) -> None:
    for top in (box.directory, box.rootfs):
        (top / "directory").mkdir()
        (top / "file").touch()
    text = box.fails((*USUAL, bind(f"/{target}", box.directory / source, "bind")))
    assert text == f"mounts[3] /{target}: mount a {source} on a {target}: ENOTDIR (not a directory)"


def test_a_missing_source_is_named(box: Box) -> None:
    text = box.fails((*USUAL, bind("/x", "/no/such/thing", "bind")))
    assert text == "mounts[3] /x: bind /no/such/thing: ENOENT (no such file or directory)"


def test_a_relative_source_is_in_the_bundle(box: Box) -> None:
    (box.directory / "data").write_text("from the bundle\n")
    assert box.run("cat /x", (*USUAL, bind("/x", "data", "bind"))) == "from the bundle\n"


def test_no_mount_point_is_made_through_a_read_only_bind(box: Box) -> None:
    shared = box.directory / "shared"
    shared.mkdir()
    text = box.fails((*USUAL, bind("/s", shared, "bind", "ro"), tmpfs("/s/new")))
    assert text.endswith("EROFS (read-only file system)")
    assert list(shared.iterdir()) == []


def test_the_umask_of_the_caller_does_not_matter(box: Box) -> None:
    before = os.umask(0o077)
    try:
        box.run("true", (*USUAL, tmpfs("/new/deep")))
    finally:
        os.umask(before)
    assert (box.rootfs / "new").stat().st_mode & 0o7777 == 0o755


@pytest.fixture
def linked(box: Box) -> Path:
    """A link of the host, to what only the host has, and one in the rootfs."""
    (box.rootfs / "etc/there").write_text("in the container\n")
    (box.rootfs / "etc/link").symlink_to("there")
    source = box.directory / "link"
    source.symlink_to("/etc/there")
    return source


def test_a_link_of_the_host_is_followed(box: Box, linked: Path) -> None:
    (box.directory / "file").write_text("the host's\n")
    linked.unlink()
    linked.symlink_to("file")
    assert box.run("cat /x", (*USUAL, bind("/x", linked, "bind"))) == "the host's\n"


@pytest.mark.parametrize("destination", ["/x", "/etc/there"])
def test_src_nofollow_mounts_the_link_itself(box: Box, linked: Path, destination: str) -> None:
    shown = box.run(f"readlink {destination}; {INFO}", (*USUAL, bind(destination, linked, "bind", "src-nofollow")))
    assert shown.splitlines()[0] == "/etc/there"
    assert mount_of(shown, destination)


def test_src_nofollow_of_what_is_no_link(box: Box) -> None:
    assert "busybox" in box.run("ls /x", (*USUAL, bind("/x", box.rootfs / "bin", "bind", "src-nofollow"))).split()


def test_dest_nofollow_covers_the_link_itself(box: Box, linked: Path) -> None:
    (box.directory / "file").write_text("the host's\n")
    mounts = (*USUAL, bind("/etc/link", box.directory / "file", "bind", "dest-nofollow"))
    shown = box.run(f"cat /etc/link /etc/there; {INFO}", mounts)
    assert shown.splitlines()[:2] == ["the host's", "in the container"]
    assert mount_of(shown, "/etc/link")


def test_a_link_covers_a_link(box: Box, linked: Path) -> None:
    mounts = (*USUAL, bind("/etc/link", linked, "bind", "src-nofollow", "dest-nofollow"))
    assert box.run("readlink /etc/link", mounts) == "/etc/there\n"
    assert (box.rootfs / "etc/link").readlink() == Path("there")


@pytest.mark.parametrize("word", ["src-nofollow", "dest-nofollow", "copy-symlink"])
def test_words_about_links_are_for_binds(box: Box, word: str) -> None:
    for mount in (tmpfs("/x", word), bind("/x", "/etc", "bind", "remount", word)):
        with pytest.raises(ConfigError, match="are for new bind mounts only"):
            box.run("", (*USUAL, mount))


@pytest.mark.parametrize("text", ["/etc/there", "there", "x" * 7, "y" * 8, "z" * 200])
@pytest.mark.parametrize("exists", [False, True])
def test_copy_symlink(box: Box, text: str, exists: bool) -> None:
    if exists:
        (box.rootfs / "etc/new").symlink_to(text)
    mounts = (*USUAL, bind("/etc/new", "/nowhere", "bind", "copy-symlink"))
    assert box.run("readlink /etc/new", mounts, source_links={3: text}).strip() == text


@pytest.mark.parametrize("there", ["/etc/ther", "/etc/there2", "", "directory", "file", "/etc/there" + "x" * 300])
def test_copy_symlink_where_something_else_is(box: Box, there: str) -> None:
    place = box.rootfs / "etc/new"
    makers = {"": place.mkdir, "directory": place.mkdir, "file": place.touch}
    makers.get(there, lambda: place.symlink_to(there))()
    mounts = (*USUAL, bind("/etc/new", "/nowhere", "bind", "copy-symlink"))
    text = box.fails(mounts, source_links={3: "/etc/there"})
    assert text.startswith("mounts[3] /etc/new: link new to /etc/there: something else is there already: ")


# -- file systems ------------------------------------------------------------------------------------------------------


def test_data_reaches_the_file_system(box: Box) -> None:
    info = box.run(INFO, (*USUAL, tmpfs("/x", "size=64k,mode=1700", "nr_inodes=10")))
    assert {"size=64k", "mode=1700", "nr_inodes=10"} <= mount_of(info, "/x")[2]


def test_a_wrong_option_is_named(box: Box) -> None:
    assert box.fails((*USUAL, tmpfs("/x", "sise=3"))) == (
        "mounts[3] /x: mount tmpfs: option sise=3: EINVAL (invalid argument)"
    )


def test_an_unknown_file_system_is_named(box: Box) -> None:
    text = box.fails((*USUAL, Mount(destination="/x", type="nosuchfs", source="none")))
    assert text == "mounts[3] /x: mount nosuchfs: ENODEV (no such device)"


@pytest.mark.parametrize("kind", ["mqueue", "ramfs", "devpts", "hugetlbfs", "tmpfs", "bpf", "cgroup2", "sysfs", "proc"])
@pytest.mark.parametrize("words", [(), ("ro", "nosuid", "nodev", "noexec", "noatime"), ("rw", "silent", "nomand")])
def test_any_file_system(box: Box, kind: str, words: tuple[str, ...]) -> None:
    mount = Mount(destination="/x", type=kind, source=kind, options=words)
    options, shown, _super = mount_of(box.run(INFO, (*USUAL, mount)), "/x")
    assert shown == kind
    assert options >= {word for word in words if word not in ("silent", "nomand")}


@pytest.mark.parametrize("kind", ["mqueue", "ramfs", "devpts", "tmpfs"])
def test_file_systems_in_a_user_namespace(box: Box, kind: str) -> None:
    box.directory.parent.chmod(0o755)
    mount = Mount(destination="/x", type=kind, source=kind, options=("nosuid", "nodev", "noexec"))
    options, shown, _super = mount_of(box.run(INFO, (*USUAL, mount), has_user_namespace=True), "/x")
    assert shown == kind
    assert {"nosuid", "nodev", "noexec"} <= options


def test_a_file_system_on_a_device(box: Box) -> None:
    image = box.directory / "image"
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
    loop = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        mount = Mount(destination="/x", type="ext4", source=loop, options=("ro", "sync", "nodev", "errors=continue"))
        shown = box.run("ls /x; " + INFO, (*USUAL, mount))
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)
    assert shown.startswith("lost+found\n")
    options, kind, super_options = mount_of(shown, "/x")
    assert (kind, {"ro", "nodev"} <= options, {"ro", "sync"} <= super_options) == ("ext4", True, True)


def test_flags_of_the_file_system(box: Box) -> None:
    info = box.run(INFO, (*USUAL, tmpfs("/x", "sync", "dirsync", "lazytime"), tmpfs("/y", "sync", "async", "iversion")))
    assert {"sync", "dirsync", "lazytime"} <= mount_of(info, "/x")[2]
    assert "sync" not in mount_of(info, "/y")[2]


def test_options_too_long_for_fsconfig_go_through_mount(box: Box) -> None:
    lower = []
    for number in range(12):
        directory = box.directory / f"a-lower-directory-with-a-long-name-{number:02}"
        directory.mkdir()
        (directory / f"file{number:02}").touch()
        lower.append(str(directory))
    option = "lowerdir=" + ":".join(lower)
    assert len(option) > 255
    mount = Mount(destination="/x", type="overlay", source="overlay", options=(option, "nosuid", "ro", "nosymfollow"))
    shown = box.run("ls /x; " + INFO, (*USUAL, mount))
    assert [f"file{number:02}" for number in range(12)] == shown.splitlines()[:12]
    assert {"ro", "nosuid", "nosymfollow"} <= mount_of("\n".join(shown.splitlines()[12:]), "/x")[0]


def test_options_too_long_for_the_kernel_are_refused_before_anything_starts(box: Box) -> None:
    with pytest.raises(ConfigError, match="longer than 4095 bytes"):
        box.run("", (*USUAL, tmpfs("/x", "context=" + "a" * 5000)))


@pytest.mark.parametrize(("path", "mode"), [("/etc", "710"), ("/tmp", "1777"), ("/new", "1777")])
def test_a_tmpfs_takes_the_mode_of_the_directory_it_covers(box: Box, path: str, mode: str) -> None:
    (box.rootfs / "etc").chmod(0o710)
    (box.rootfs / "tmp").chmod(0o1777)
    assert box.run(f"stat -c %a {path}", (*USUAL, tmpfs(path))).strip() == mode


def test_a_tmpfs_with_a_mode_has_that_mode(box: Box) -> None:
    assert box.run("stat -c %a /etc", (*USUAL, tmpfs("/etc", "mode=2750"))).strip() == "2750"


def test_other_file_systems_do_not_take_the_mode(box: Box) -> None:
    (box.rootfs / "proc").chmod(0o700)
    assert box.run("stat -c %a /proc", USUAL).strip() == "555"


def test_a_read_only_tmpfs_still_gets_its_mount_points(box: Box) -> None:
    mounts = (*USUAL, tmpfs("/x", "ro"), tmpfs("/x/inside"), bind("/x/passwd", "/etc/passwd", "bind"))
    info = box.run(INFO, mounts)
    assert "ro" in mount_of(info, "/x")[0]
    assert "rw" in mount_of(info, "/x/inside")[0]
    assert mount_of(info, "/x/passwd")


def test_a_read_only_dev_still_gets_its_devices(box: Box) -> None:
    dev = tmpfs("/dev", "ro", "mode=755")
    shown = box.run("ls /dev/null /dev/fd; touch /dev/x; " + INFO, (PROC, dev))
    assert shown.splitlines()[0] == "/dev/null"
    assert "Read-only file system" in shown


# -- remounts ----------------------------------------------------------------------------------------------------------


def test_bind_remount_changes_the_mount_alone(box: Box) -> None:
    mounts = (*USUAL, tmpfs("/x", "nosuid", "size=64k"), bind("/x", "", "bind", "remount", "ro", "noexec"))
    shown, _kind, options = mount_of(box.run(INFO, mounts), "/x")
    assert {"ro", "noexec", "nosuid"} <= shown
    assert "rw" in options


def test_remount_changes_the_file_system_too(box: Box) -> None:
    again = Mount(destination="/x", type="tmpfs", source="tmpfs", options=("remount", "ro", "size=128k"))
    shown, _kind, options = mount_of(box.run(INFO, (*USUAL, tmpfs("/x", "size=64k"), again)), "/x")
    assert "ro" in shown
    assert {"ro", "size=128k"} <= options


def test_remount_of_what_is_no_mount_point(box: Box) -> None:
    again = Mount(destination="/etc", type="tmpfs", source="tmpfs", options=("remount", "ro"))
    assert box.fails((*USUAL, again)) == "mounts[3] /etc: remount: nothing is mounted there: EINVAL (invalid argument)"


# -- /proc and /sys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", [PROC, SYS])
@pytest.mark.parametrize("link", ["/etc", "etc", "../../etc", "/nowhere", "/"])
def test_proc_and_sysfs_want_an_ordinary_directory(box: Box, mount: Mount, link: str) -> None:
    name = mount.destination.strip("/")
    (box.rootfs / name).rmdir()
    (box.rootfs / name).symlink_to(link)
    assert box.fails((mount,)) == f'filesystem "{mount.type}" must be mounted on ordinary directory'


def test_proc_on_a_file_is_refused(box: Box) -> None:
    (box.rootfs / "proc").rmdir()
    (box.rootfs / "proc").touch()
    assert box.fails((PROC,)) == 'filesystem "proc" must be mounted on ordinary directory'


def test_proc_below_a_link_is_refused(box: Box) -> None:
    (box.rootfs / "link").symlink_to("etc")
    mount = Mount(destination="/link/proc", type="proc", source="proc")
    assert box.fails((mount,)) == 'filesystem "proc" must be mounted on ordinary directory'
    assert list((box.rootfs / "etc").iterdir()) == []


def test_a_missing_proc_is_made(box: Box) -> None:
    (box.rootfs / "proc").rmdir()
    mounts = (PROC, Mount(destination="/deep/er/proc", type="proc", source="proc"))
    assert box.run("echo $(cat /deep/er/proc/1/comm)", mounts).strip() == "sh"


@pytest.mark.parametrize("path", ["/proc/self/attr", "/proc/x", "/proc/sys/kernel", "proc/1", "/proc/../proc/self"])
def test_nothing_goes_inside_proc(box: Box, path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be mounted because it is inside /proc"):
        box.run("", (*USUAL, tmpfs(path)))


@pytest.mark.parametrize("link", ["/proc/self", "proc/sys/net", "/proc"])
def test_nothing_goes_inside_proc_by_a_link_either(box: Box, link: str) -> None:
    (box.rootfs / "innocent").symlink_to(link)
    text = box.fails((*USUAL, tmpfs("/innocent")))
    assert text == '"/innocent" cannot be mounted because it is inside /proc'


@pytest.mark.parametrize("name", ["cpuinfo", "meminfo", "uptime", "loadavg", "stat", "swaps", "diskstats"])
def test_some_files_of_proc_may_be_covered(box: Box, name: str) -> None:
    (box.directory / "fake").write_text("faked\n")
    assert box.run(f"cat /proc/{name}", (*USUAL, bind(f"/proc/{name}", "fake", "bind"))) == "faked\n"


def test_only_a_procfs_goes_on_proc(box: Box) -> None:
    text = '"/proc" cannot be mounted because it is not of type proc'
    with pytest.raises(ConfigError, match=text):
        box.run("", (tmpfs("/proc"),))
    assert box.fails((bind("/proc", "/etc", "rbind"),)) == text
    assert "self" in box.run("ls /proc", (bind("/proc", "/proc", "rbind"),)).split()


# -- what nobody could do --------------------------------------------------------------------------------------------


def test_tmpcopyup_of_nothing(box: Box) -> None:
    """What podman asks for with every --tmpfs: nearly always a directory that is missing or empty."""
    (box.rootfs / "etc").chmod(0o700)
    mounts = (*USUAL, tmpfs("/new/dir", "tmpcopyup", "size=1m"), tmpfs("/etc", "tmpcopyup"), tmpfs("/etc", "tmpcopyup"))
    shown = box.run(f"ls -A /new/dir /etc; stat -c %a /etc; {INFO}", mounts)
    assert shown.splitlines()[:4] == ["/etc:", "", "/new/dir:", "700"]
    assert "size=1024k" in mount_of(shown, "/new/dir")[2]


def test_tmpcopyup_is_for_a_tmpfs(box: Box) -> None:
    for mount in (
        bind("/x", "/etc", "bind", "tmpcopyup"),
        Mount(destination="/x", type="proc", options=("tmpcopyup",)),
    ):
        with pytest.raises(ConfigError, match="tmpcopyup is for new tmpfs mounts only"):
            box.run("", (*USUAL, mount))


@pytest.mark.parametrize("words", [("idmap",), ("ridmap",), ("remount", "bind", "idmap")])
def test_only_binds_are_id_mapped(box: Box, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^mounts\[3\]: only bind mounts can be id-mapped$"):
        box.run("", (*USUAL, tmpfs("/x", *words)))


def test_a_type_is_needed(box: Box) -> None:
    with pytest.raises(ConfigError, match=r"^mounts\[3\]\.type: missing"):
        box.run("", (*USUAL, Mount(destination="/x", source="none")))
