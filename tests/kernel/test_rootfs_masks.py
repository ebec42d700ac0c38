"""maskedPaths and readonlyPaths on the real kernel."""

import os
from pathlib import Path

import pytest

from ocispec.linux import Linux
from rootfs_box import INFO, USUAL, Box, bind, mount_of, tmpfs


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    (made.rootfs / "etc/file").write_text("secret\n")
    (made.rootfs / "etc/directory").mkdir()
    (made.rootfs / "etc/directory/inside").write_text("secret\n")
    return made


def masked(*paths: str) -> Linux:
    return Linux(masked_paths=paths)


def test_a_masked_file_is_empty_and_forgets(box: Box) -> None:
    shown = box.run(
        "cat /etc/file; echo gone > /etc/file; cat /etc/file; stat -c %t:%T /etc/file", linux=masked("/etc/file")
    )
    assert shown == "1:3\n"
    assert (box.rootfs / "etc/file").read_text() == "secret\n"


def test_a_masked_directory_is_empty_and_read_only(box: Box) -> None:
    shown = box.run(f"ls -A /etc/directory; touch /etc/directory/x; {INFO}", linux=masked("/etc/directory"))
    assert shown.splitlines()[0] == "touch: /etc/directory/x: Read-only file system"
    assert mount_of(shown, "/etc/directory")[0] >= {"ro", "nosuid", "nodev", "noexec"}


def test_masked_directories_share_one_file_system(box: Box) -> None:
    for number in range(100):
        (box.rootfs / f"etc/many{number}").mkdir()
    shown = box.run(INFO, linux=masked(*(f"/etc/many{number}" for number in range(100))))
    covers = [line.split() for line in shown.splitlines() if "/etc/many" in line]
    assert len(covers) == 100
    assert len({fields[2] for fields in covers}) == 1


def test_what_is_absent_is_not_masked_and_not_made(box: Box) -> None:
    box.run("true", linux=masked("/etc/absent", "/no/such/place", "/proc/nothing"))
    assert not (box.rootfs / "etc/absent").exists()


def test_only_absence_is_ignored(box: Box) -> None:
    text = box.fails(linux=masked("/etc/file/below"))
    assert text.startswith("linux.maskedPaths[0] /etc/file/below: ")
    assert text.endswith("ENOTDIR (not a directory)")


def test_a_path_that_is_listed_twice_is_masked_once(box: Box) -> None:
    shown = box.run(INFO, linux=masked("/etc/file", "/etc//file", "/etc/file/", "etc/file"))
    assert shown.count(" /etc/file ") == 1


def test_the_cover_is_nowhere_else(box: Box) -> None:
    """It is attached over the rootfs while it is copied: afterwards the root is the rootfs again."""
    shown = box.run(f"cat /etc/directory/inside; {INFO}", linux=masked("/etc/file"))
    assert shown.startswith("secret\n")
    device = os.stat(box.rootfs).st_dev
    roots = [line.split()[2] for line in shown.splitlines()[1:] if line.split()[4] == "/"]
    assert roots == [f"{os.major(device)}:{os.minor(device)}"]
    assert [line.split()[4] for line in shown.splitlines()[1:]] == ["/", "/proc", "/dev", "/dev/pts", "/etc/file"]


def test_files_of_proc(box: Box) -> None:
    shown = box.run(
        "cat /proc/kallsyms /proc/timer_list; ls -A /proc/fs; echo 1 > /proc/sys/kernel/panic",
        linux=Linux(
            masked_paths=("/proc/kallsyms", "/proc/timer_list", "/proc/fs"), readonly_paths=("/proc/sys", "/proc/none")
        ),
    )
    assert shown == "/bin/sh: can't create /proc/sys/kernel/panic: Read-only file system\n"


def test_a_read_only_path_keeps_its_other_flags(box: Box) -> None:
    mounts = (*USUAL, tmpfs("/x", "nosuid", "noexec"), tmpfs("/x/below"))
    shown = box.run(
        f"touch /x/y /x/below/y; {INFO}", mounts, linux=Linux(readonly_paths=("/x", "/etc/file", "/absent"))
    )
    assert "touch: /x/y: Read-only file system" in shown
    assert mount_of(shown, "/x")[0] >= {"ro", "nosuid", "noexec"}
    assert "rw" in mount_of(shown, "/x/below")[0]  # what is mounted below stays as it is, and there
    assert "ro" in mount_of(shown, "/etc/file")[0]


def test_a_mask_inside_a_read_only_path(box: Box) -> None:
    shown = box.run(
        "cat /etc/file; ls -A /etc/directory",
        linux=Linux(readonly_paths=("/etc",), masked_paths=("/etc/file", "/etc/directory")),
    )
    assert shown == ""


def test_masks_follow_links_inside_the_root(box: Box) -> None:
    (box.rootfs / "link").symlink_to("/etc/file")
    assert box.run("cat /etc/file; cat /link", linux=masked("/link")) == ""


def test_masks_on_a_volume_do_not_change_the_volume(box: Box) -> None:
    volume = box.directory / "volume"
    volume.mkdir()
    (volume / "file").write_text("kept\n")
    assert box.run("cat /v/file", (*USUAL, bind("/v", volume, "bind")), linux=masked("/v/file")) == ""
    assert (volume / "file").read_text() == "kept\n"


def test_in_a_user_namespace(box: Box) -> None:
    box.directory.parent.chmod(0o755)
    linux = Linux(masked_paths=("/etc/file", "/etc/directory"), readonly_paths=("/proc/sys",))
    shown = box.run(f"cat /etc/file; ls -A /etc/directory; {INFO}", has_user_namespace=True, linux=linux)
    assert "secret" not in shown
    assert "ro" in mount_of(shown, "/proc/sys")[0]
