"""Settings go to the kernel's own procfs, whatever is mounted on the /proc that the stage finds (CVE-2025-52881).

The stage finds somebody else's when it joins a mount namespace by path, a masked one when pyrunc runs in a container.
"""

from __future__ import annotations

import subprocess
from errno import EXDEV
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, wait_until
from ocispec.config import Process, User
from pyrunc.kernel.constants import (
    AT_FDCWD,
    CLONE_NEWNS,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    O_CLOEXEC,
    O_WRONLY,
)
from pyrunc.process.limits import emit_oom_score_adj
from pyrunc.program.builder import Program
from security import contenders
from security.attacks import in_terminal
from stage_process import TOP, encoded, run_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime
    from security.contenders import Contender

pytestmark = pytest.mark.pyrunc_only("runc 1.1.5 writes through the /proc that it finds")
KEY = "net.ipv4.ip_forward"


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[int]:
    """A process in a mount namespace whose /proc/sys is a tmpfs with a file of that name."""
    fake = tmp_path / "fake"
    script = f"""
        mkdir -p {fake}; mount -t tmpfs none {fake}; mkdir -p {fake}/net/ipv4; echo fake >{fake}/net/ipv4/ip_forward
        mount --bind {fake} /proc/sys; echo ready >{tmp_path}/ready; exec sleep 100
    """
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script]
    with subprocess.Popen(argv) as process:
        wait_until((tmp_path / "ready").exists)
        yield process.pid
        process.kill()


def test_a_joined_mount_namespace(runtime: Runtime, bundle: Bundle, neighbour: int) -> None:
    """The setting is the container's own, and the file that stood in its place is as it was."""
    bundle.namespace("mount", f"/proc/{neighbour}/ns/mnt")
    bundle.config["mounts"] = [mount for mount in bundle.mounts if mount["destination"] == "/proc"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["sysctl"] = {KEY: "1"}
    with open(f"/proc/{neighbour}/root/proc/sys/net/ipv4/ip_forward") as fake:
        assert fake.read() == "fake\n"
        assert runtime.script(bundle, "cat /proc/sys/net/ipv4/ip_forward") == "1\n"
        fake.seek(0)
        assert fake.read() == "fake\n"


@pytest.mark.parametrize("spaces", [(), ("user",)], ids=["root", "user namespace"])
def test_a_masked_proc_of_the_host(runtime: Runtime, bundle: Bundle, tmp_path: Path, spaces: tuple[str, ...]) -> None:
    """As in a container: /proc/sys is read-only.  Root makes a procfs of its own; who may not is told."""
    bundle.linux["sysctl"] = {KEY: "1"}
    if spaces:
        bundle.namespace("user")
        maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = maps
    bundle.config["mounts"] = []
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.args("true")
    bundle.save()
    script = 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec "$@"'
    command = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh"]
    argv = [*command, PATH, "--root", str(runtime.state_root), "run", "-b", str(bundle.path)]
    result = runtime.raw([*argv, runtime.new_id()])
    if spaces:
        result.failed("linux.sysctl")
    else:
        result.ok()


STAGE = TOP / "build/lib/_pyrunc_stage"
NUMBERS = 400  # of descriptors that the stage may have


class Hostile:
    """A mount namespace whose /proc is a tmpfs: self/fd/N leads to the `canary`, a file or a directory, for every N."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.canary = directory / "canary"
        self.reset()
        script = f"""
            mount -t tmpfs none {directory}/fake; mkdir -p {directory}/fake/self/fd {directory}/fake/self/ns
            for n in $(seq 0 {NUMBERS}); do ln -s {self.canary} {directory}/fake/self/fd/$n; done
            mount --bind {directory}/fake /proc; echo ready >{directory}/ready; exec sleep 1000
        """
        (directory / "fake").mkdir()
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-ec", script])
        wait_until((directory / "ready").exists)

    def reset(self) -> None:
        self.canary.write_text("as it was\n")
        self.canary.chmod(0o600)

    def damage(self) -> list[str]:
        found = [] if self.canary.read_text() == "as it was\n" else ["written to"]
        return found + ([] if self.canary.stat().st_mode & 0o777 == 0o600 else ["another mode"])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def join(self, bundle: Bundle) -> None:
        bundle.namespace("mount", f"/proc/{self.process.pid}/ns/mnt")
        kept = ("/proc", "/dev/pts")
        bundle.config["mounts"] = [mount for mount in bundle.mounts if mount["destination"] in kept]
        bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
        (bundle.rootfs / "dev/pts").mkdir(exist_ok=True)


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Hostile]:
    (tmp_path / "hostile").mkdir()
    made = Hostile(tmp_path / "hostile")
    yield made
    made.end()


def create_and_start(runtime: Contender, bundle: Bundle, hostile: Hostile) -> list[str]:
    """The modes of device nodes are set by such a path, and `start` is waited for."""
    mark = bundle.rootfs / "mark"
    bundle.shell("echo started >/mark")
    container_id = runtime.create(bundle)
    found = hostile.damage()
    if runtime.state(container_id)["status"] != "created":
        found.append("started by itself")
    if mark.exists() or runtime("start", container_id).status != 0:
        found.append("not started by start")
    wait_until(lambda: runtime.state(container_id)["status"] == "stopped")
    return found + ([] if mark.exists() else ["never ran"])


def mount_by_path(runtime: Contender, bundle: Bundle, _hostile: Hostile) -> list[str]:
    """More than fsconfig(2) takes: mount(2) is told the descriptor as a path."""
    lowers = [bundle.path / ("lower" * 20 + str(number)) for number in range(4)]
    for lower in lowers:
        lower.mkdir()
        (lower / "of-the-container").touch()
    options = ["lowerdir=" + ":".join(map(str, lowers))]
    bundle.mounts.append({"destination": "/work", "type": "overlay", "source": "overlay", "options": options})
    bundle.args("ls", "/work")
    result = runtime.run(bundle)
    return [] if result.out == "of-the-container\n" else [result.err]


def terminal(runtime: Contender, bundle: Bundle, hostile: Hostile) -> list[str]:
    """The multiplexer is opened again by such a path after it was looked at."""
    bundle.shell("tty >/tty")
    in_terminal(runtime, bundle)
    told = bundle.rootfs / "tty"
    return hostile.damage() + ([] if told.exists() and told.read_text() == "/dev/pts/0\n" else ["no terminal"])


ATTACKS = [create_and_start, mount_by_path, terminal]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("is_whole", [True, False], ids=["pyrunc", "by the joined name"])
def test_a_hostile_proc_in_a_joined_mount_namespace(
    tmp_path: Path, bundle: Bundle, hostile: Hostile, attack: object, is_whole: bool
) -> None:
    """What is joined leads /proc/self/fd elsewhere; the second half is the control."""
    assert callable(attack)
    hostile.join(bundle)
    defence = "proc_of_the_host"
    runtime = contenders.pyrunc(tmp_path) if is_whole else contenders.weakened(tmp_path, defence)
    try:
        found = attack(runtime, bundle, hostile)
    except AssertionError as error:  # a command that did not succeed
        found = [str(error)]
    finally:
        runtime.clean_up()
    assert bool(found) != is_whole, found


def by_name(p: Program, process: Process) -> None:
    """As it was: the control."""
    score = str(process.oom_score_adj)
    setting = p.result("openat", AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
    p.call("write", setting, score, len(score))


@pytest.mark.parametrize("emit", [emit_oom_score_adj, by_name])
def test_another_file_of_procfs_in_oom_score_adjs_place(emit: Callable[[Program, Process], None]) -> None:
    """CVE-2025-52881's second step: statfs(2) of the file would not tell it, and somebody else's score is set."""
    with subprocess.Popen(["sleep", "1000"]) as victim:
        p = Program()
        p.call("unshare", CLONE_NEWNS)
        p.call("mount", "", "/", "", MS_REC | MS_PRIVATE, "")
        theirs = f"/proc/{victim.pid}/oom_score_adj"
        p.call("mount", theirs, "/proc/self/oom_score_adj", "", MS_BIND, "")
        emit(p, Process(args=("x",), cwd="/", user=User(uid=0, gid=0), oom_score_adj=777))
        messages, _status = run_stage([STAGE], encoded(p))
        with open(theirs) as setting:
            score = setting.read()
        victim.kill()
    if emit is by_name:
        assert score == "777\n"
    else:
        assert score != "777\n"
        index, value = messages[-1]
        assert (p.operations[index].label.doing, -value) == ("open /proc/self/oom_score_adj", EXDEV)
