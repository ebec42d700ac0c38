"""runtime.md: create, start, kill, delete: what each does, refuses and leaves alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from duties.container import CGROUPS, namespace, status_of, wait_until

if TYPE_CHECKING:
    from duties.container import Box

NAMESPACES = ("pid", "net", "ipc", "uts", "mnt")


# -- create ------------------------------------------------------------------------------------------------------------


def test_create_builds_the_environment(box: Box) -> None:
    """Everything but the program is there before start: namespaces, mounts, name, cgroup."""
    pid = box.created()
    assert all(namespace(pid, name) != namespace("self", name) for name in NAMESPACES)
    points = [line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    assert {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/sys"} <= set(points)
    assert Path(f"/proc/{pid}/root/bin/busybox").stat().st_ino == (box.rootfs / "bin/busybox").stat().st_ino
    assert box.cgroup("memory").is_dir()


def test_every_property_is_applied_by_create(box: Box) -> None:
    box.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    box.linux["resources"]["pids"] = {"limit": 33}
    box.linux["devices"] = [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]
    box.process["args"] = ["sleep", "1000"]
    pid = box.created()
    assert box.cgroup("pids").joinpath("pids.max").read_text() == "33\n"
    assert os.major(Path(f"/proc/{pid}/root/dev/x").stat().st_rdev) == 1
    box.start().ok()
    assert box.island.run("nsenter", f"--net=/proc/{pid}/ns/net", "cat", "/proc/sys/net/ipv4/ip_forward").out == "1\n"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("mounts", [{"destination": "/mnt", "type": "nosuchfs", "source": "x"}]),
        ("hostname", "x" * 100),
        ("linux.sysctl", {"net.nope": "1"}),
        ("linux.resources", {"cpu": {"cpus": "4000"}}),
        ("linux.namespaces", [{"type": "mount"}, {"type": "network", "path": "/nope"}]),
    ],
)
def test_what_cannot_be_applied_is_an_error(box: Box, where: str, value: object) -> None:
    place = box.config
    *path, last = where.split(".")
    for name in path:
        place = place[name]
    place[last] = value
    box.refused()


def test_the_program_does_not_run_before_start(box: Box) -> None:
    box.shell("touch /ran; sleep 1000")
    pid = box.created()
    assert b"ran" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert os.readlink(f"/proc/{pid}/exe") != "/bin/busybox"
    assert not (box.rootfs / "ran").exists()
    box.start().ok()
    wait_until((box.rootfs / "ran").exists)


def test_config_json_may_change_after_create(box: Box) -> None:
    """Its new contents are not looked at, whatever they are."""
    box.process["env"].append("WHICH=first")
    box.shell("echo $WHICH > /which")
    pid = box.created()
    box.process["env"].append("WHICH=second")
    box.shell("echo changed > /which")
    box.save()
    box.start().ok()
    box.wait(pid)
    assert (box.rootfs / "which").read_text() == "first\n"
    (box.path / "config.json").write_text("nonsense")
    assert box.status() == "stopped"
    box.delete().ok()


FAILURES = {
    "a late mount": ("mounts", [{"destination": "/mnt", "type": "nosuchfs", "source": "x"}]),
    "a hook": ("hooks", {"createContainer": [{"path": "/bin/false"}]}),
    "a device path": ("linux.devices", [{"path": "/etc/passwd/x", "type": "c", "major": 1, "minor": 3}]),
    "a limit": ("linux.resources", {"memory": {"limit": 1 << 30, "swap": 1 << 20}}),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_create_leaves_nothing(box: Box, name: str) -> None:
    where, value = FAILURES[name]
    before = sorted(str(path.relative_to(box.rootfs)) for path in box.rootfs.rglob("*"))
    (box.linux if where.startswith("linux.") else box.config)[where.removeprefix("linux.")] = value
    mounts = box.island.mounts(Path("/"))
    box.create().refused()
    assert box.leftovers() == []
    assert box.island.mounts(Path("/")) == mounts
    after = sorted(str(path.relative_to(box.rootfs)) for path in box.rootfs.rglob("*"))
    # mount points are made in the root filesystem, and stay
    assert [path for path in after if path not in before and path not in ("mnt", "dev/pts", "dev/shm")] == []


def test_no_container_is_left_after_a_property_failed(box: Box) -> None:
    box.linux["sysctl"] = {"net.nope": "1"}
    box.create().refused()
    assert box.status() == "absent"
    assert box.processes() == []
    del box.linux["sysctl"]
    box.created()  # the id is free


# -- start -------------------------------------------------------------------------------------------------------------


def test_start_runs_the_program(box: Box) -> None:
    assert box.output("echo ran") == "ran\n"


def test_start_runs_the_process_as_specified(box: Box) -> None:
    box.process.update({"args": ["sh", "-c", 'pwd; echo "$A|$0|$1|$2"', "zero", "one two", ""], "cwd": "/work"})
    box.process["env"].append("A=b c")
    assert box.output() == "/work\nb c|zero|one two|\n"


def test_start_of_an_unknown_id(box: Box) -> None:
    box.start().refused()


def test_start_of_a_running_container_fails_and_changes_nothing(box: Box) -> None:
    pid = box.running("echo >> /count; exec sleep 1000")
    wait_until(lambda: os.readlink(f"/proc/{pid}/exe") == "/bin/busybox" and (box.rootfs / "count").exists())
    before = box.state()
    box.start().refused()
    assert box.state() == before
    assert (box.rootfs / "count").read_text() == "\n"


def test_start_of_a_stopped_container_fails_and_changes_nothing(box: Box) -> None:
    box.stopped()
    before = box.state()
    box.start().refused()
    assert box.state() == before


def test_start_without_process_fails(box: Box) -> None:
    del box.config["process"]
    box.refused_by_start_at_the_latest()


# -- kill --------------------------------------------------------------------------------------------------------------


def test_kill_of_a_stopped_container_fails_and_changes_nothing(box: Box) -> None:
    box.stopped()
    before = box.state()
    box.kill("TERM").refused()
    assert box.state() == before


def test_kill_of_an_unknown_id(box: Box) -> None:
    box.kill().refused()


@pytest.mark.parametrize("name", ["TERM", "USR1", "HUP", "WINCH", "SIGUSR2", "RTMIN+1"])
def test_the_very_signal_arrives(box: Box, name: str) -> None:
    short = name.removeprefix("SIG")
    number = {"TERM": 15, "USR1": 10, "USR2": 12, "HUP": 1, "WINCH": 28, "RTMIN+1": 35}[short]
    pid = box.running(f"trap 'echo {number} > /got; exit' {number}; echo > /ready; while :; do sleep 0.02; done")
    wait_until((box.rootfs / "ready").exists)
    box.kill(str(number) if "+" in name else name).ok()
    box.wait(pid)
    assert (box.rootfs / "got").read_text() == f"{number}\n"


def test_kill_reaches_a_created_container(box: Box) -> None:
    pid = box.created()
    box.kill("KILL").ok()
    box.wait(pid)


# -- delete ------------------------------------------------------------------------------------------------------------


def test_delete_of_an_unknown_id(box: Box) -> None:
    box.delete().refused()


def test_delete_of_a_running_container_fails_and_changes_nothing(box: Box) -> None:
    pid = box.running()
    before = box.state()
    box.delete().refused()
    assert box.state() == before
    assert status_of(pid)["State"][0] != "Z"
    assert box.cgroup("pids").is_dir()


def test_delete_of_a_created_container_fails(box: Box) -> None:
    """runtime.md#delete: "not stopped" is an error; runc, crun and the engines have it otherwise."""
    box.created()
    box.delete().refused()
    assert box.status() == "created"


def test_delete_takes_all_that_create_made(box: Box) -> None:
    box.stopped()
    assert [path.name for path in CGROUPS.glob(f"*/{box.id}")] != []
    box.delete().ok()
    assert box.leftovers() == []
    box.start().refused()


def test_delete_of_a_killed_container_takes_its_children(box: Box) -> None:
    """Without a pid namespace nobody else would end them."""
    box.without_namespace("pid")
    pid = box.running("sleep 1000 & sleep 1000 & echo > /ready; wait")
    wait_until((box.rootfs / "ready").exists)
    box.kill("KILL").ok()
    box.wait(pid)
    result = box.delete()
    if result.status != 0:
        box.delete("--force").ok()  # "not stopped" may be said of the children
    assert box.leftovers() == []


def test_delete_leaves_what_create_did_not_make(box: Box) -> None:
    """A cgroup above the container's, the bundle, files, a network namespace that was joined."""
    parent = f"duties-parent-{os.getpid()}"
    mine = CGROUPS / "pids" / parent
    mine.mkdir()
    try:
        (mine / "sibling").mkdir()
        box.linux["cgroupsPath"] = f"/{parent}/{box.id}"
        before = sorted(str(path) for path in box.path.rglob("*"))
        box.output("touch /tmp/mine")
        assert (box.rootfs / "tmp/mine").exists()
        assert sorted(str(path) for path in box.path.rglob("*") if path.name not in ("mine", "config.json")) == [
            path for path in before if not path.endswith("config.json")
        ]
        assert (mine / "sibling").is_dir()
        assert not (mine / box.id).exists()
    finally:
        for folder in (mine / "sibling", *CGROUPS.glob(f"*/{parent}")):
            if folder.exists():
                folder.rmdir()


# -- runtime-linux.md --------------------------------------------------------------------------------------------------

LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


def test_dev_links(box: Box) -> None:
    pid = box.created()
    assert {name: os.readlink(f"/proc/{pid}/root/dev/{name}") for name in LINKS} == LINKS


def test_only_the_three_streams_stay_open(box: Box) -> None:
    """A directory and a file of the caller's, inheritable and not, do not."""
    readers = [os.open("/", os.O_RDONLY | os.O_DIRECTORY), os.open("/etc/passwd", os.O_RDONLY)]
    try:
        box.shell("exec sleep 1000")
        box.save()
        pid = box.created(pass_fds=readers)
        box.start(pass_fds=readers).ok()
        wait_until(lambda: os.readlink(f"/proc/{pid}/exe") == "/bin/busybox")
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
    finally:
        for reader in readers:
            os.close(reader)
