"""A rootfs of busybox, set up by the real stage with pyrunc.rootfs's operations and nothing else of pyrunc.

The stage runs in namespaces of its own (mount, pid, cgroup if asked, user if asked); at the end it executes a shell
script in the rootfs, whose output is the result.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import shutil
import tempfile
from pathlib import Path
from signal import SIGCHLD
from typing import TYPE_CHECKING, Any, TypeVar

from ocispec.config import Config, Mount, Process, Root, User
from ocispec.linux import Linux
from pyrunc.cgroups.place import ContainerCgroup
from pyrunc.errors import StageFailed
from pyrunc.kernel.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
)
from pyrunc.kernel.host import Host
from pyrunc.process import sync
from pyrunc.process.copyup import USERS, CopyUp, HandedOver, IdMaps
from pyrunc.process.descriptors import Descriptors
from pyrunc.process.spawn import Stage
from pyrunc.program.builder import Program
from pyrunc.rootfs.console import emit_console
from pyrunc.rootfs.devices import emit_devices
from pyrunc.rootfs.inputs import RootfsInputs
from pyrunc.rootfs.masks import emit_masks, emit_readonly_root
from pyrunc.rootfs.mounts import emit_mounts
from pyrunc.rootfs.pivot import emit_pivot
from pyrunc.rootfs.prepare import emit_rootfs

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
BUSYBOX = "/bin/busybox"
APPLETS = (
    "sh",
    "cat",
    "ls",
    "mount",
    "stat",
    "readlink",
    "echo",
    "head",
    "touch",
    "mkdir",
    "grep",
    "tty",
    "stty",
    "id",
)
MACHINE = os.uname().machine
PROC = Mount(destination="/proc", type="proc", source="proc")
DEV = Mount(destination="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "strictatime", "mode=755", "size=1m"))
PTS = Mount(
    destination="/dev/pts",
    type="devpts",
    source="devpts",
    options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
)
SYS = Mount(destination="/sys", type="sysfs", source="sysfs", options=("nosuid", "noexec", "nodev", "ro"))
USUAL = (PROC, DEV, PTS)
MAP = "0 0 65536\n"
INFO = "cat /proc/self/mountinfo"


def bind(destination: str, source: Path | str, *options: str) -> Mount:
    return Mount(destination=destination, type="bind", source=str(source), options=options)


def tmpfs(destination: str, *options: str) -> Mount:
    return Mount(destination=destination, type="tmpfs", source="tmpfs", options=options)


def mount_of(mountinfo: str, path: str) -> tuple[set[str], str, set[str]]:
    """(mount options and optional fields, file system, its options) of the topmost mount at `path`."""
    for line in reversed(mountinfo.splitlines()):
        before, _dash, after = line.partition(" - ")
        fields = before.split()
        if fields[4] == path:
            kind, _source, options = after.split()[:3]
            fields_after = {word.partition(":")[0] for word in fields[6:]}
            return set(fields[5].split(",")) | fields_after, kind, set(options.split(","))
    raise AssertionError(f"nothing is mounted on {path}:\n{mountinfo}")


def apart(work: Callable[[], T], *, propagation: int = MS_SHARED) -> T:
    """The result of `work`, done in a mount namespace of its own whose mounts are all shared (or what is asked)."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(CLONE_NEWNS) == 0
            for wanted in (MS_PRIVATE, propagation):
                assert libc.mount(b"none", b"/", b"", MS_REC | wanted, None) == 0
            os.write(writer, pickle.dumps(work()))
            status = 0
        except BaseException as error:
            os.write(writer, pickle.dumps(f"{type(error).__name__}: {error}"))
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        content = pipe.read()
    failed = os.waitpid(pid, 0)[1]
    result = pickle.loads(content)
    assert not failed, result
    return result


class Box:
    """A bundle in a temporary directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.rootfs = self.directory / "rootfs"
        for name in ("bin", "etc", "proc", "dev", "sys", "tmp"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for applet in APPLETS:
            (self.rootfs / "bin" / applet).symlink_to("busybox")

    def inputs(self, mounts: tuple[Mount, ...] = USUAL, **changes: Any) -> RootfsInputs:
        linux = changes.pop("linux", Linux())
        process = Process(
            args=("sh",), cwd="/", user=changes.pop("user", User(uid=0, gid=0)), **changes.pop("process", {})
        )
        config = Config(
            oci_version="1.3.0",
            root=Root(path="rootfs", readonly=changes.pop("readonly", False)),
            process=process,
            mounts=mounts,
            linux=linux,
        )
        values: dict[str, Any] = {
            "config": config,
            "bundle": str(self.directory),
            "rootfs": str(self.rootfs),
            "has_mount_namespace": True,
            "has_user_namespace": False,
            "has_cgroup_namespace": False,
            "has_network_namespace": False,
            "cgroups": (),
            "cgroup_paths": (),
            "sync_hand_over": sync.HAND_OVER,
            "sync_copy_up": sync.COPY_UP,
        }
        return RootfsInputs(**{**values, **changes})

    def run(self, script: str, mounts: tuple[Mount, ...] = USUAL, **changes: Any) -> str:
        """What the script prints (both streams).  Raises StageFailed with the operation's label."""
        fds = changes.pop("fds", {})
        id_map = changes.pop("id_map", MAP)
        return run_inputs(self.inputs(mounts, **changes), script, fds, id_map)

    def give_to(self, owner: int) -> None:
        """chown -R of the rootfs."""
        for path in (self.rootfs, *self.rootfs.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)

    def fails(self, mounts: tuple[Mount, ...] = USUAL, **changes: Any) -> str:
        """The error's text; the container must not come up."""
        try:
            shown = self.run("echo came up", mounts, **changes)
        except StageFailed as error:
            return str(error)
        raise AssertionError(f"it should have failed: {shown}")


def compile_rootfs(p: Program, inputs: RootfsInputs) -> None:
    """The order of process/plan.py."""
    root = emit_rootfs(p, inputs)
    emit_mounts(p, root, inputs)
    emit_devices(p, root, inputs)
    process = inputs.config.process
    if process is not None and process.terminal:
        emit_console(p, root, inputs)
    emit_masks(p, root, inputs)
    emit_readonly_root(p, root, inputs)
    emit_pivot(p, root, inputs)


def namespaces_of(inputs: RootfsInputs) -> int:
    """All but the user namespace."""
    flags = CLONE_NEWPID | CLONE_NEWIPC
    flags |= CLONE_NEWNS if inputs.has_mount_namespace else 0
    flags |= CLONE_NEWNET if inputs.has_network_namespace else 0
    flags |= CLONE_NEWCGROUP if inputs.has_cgroup_namespace else 0
    return flags


def emit_user_namespace(p: Program, inputs: RootfsInputs) -> None:
    """First the user namespace, in which the execve(2) of the stage would have cost its capabilities, then the rest."""
    p.call("unshare", CLONE_NEWUSER, doing="make a user namespace")
    p.sync(sync.MAP_IDS, "maps")
    p.call("setresgid", 0, 0, 0)
    p.call("setresuid", 0, 0, 0)
    p.call("unshare", namespaces_of(inputs), doing="make the other namespaces")
    inside = p.target()
    child = p.result("clone", SIGCHLD, 0, 0, 0, 0)
    p.jump_if(child, 0, inside)
    p.call("wait4", child, 0, 0, 0)
    p.call("exit_group", 0)
    p.here(inside)


def run_inputs(inputs: RootfsInputs, script: str, fds: dict[str, int], id_map: str = MAP) -> str:
    """`fds` are further descriptors for the stage, by name, in the order of their numbers from 5 on."""
    p = Program()
    descriptors = Descriptors()
    with tempfile.TemporaryFile() as output:
        opened = {"output": output.fileno(), **fds}
        for name in opened:
            descriptors.add(name)
        if inputs.has_user_namespace:
            emit_user_namespace(p, inputs)
        p.call("setsid")
        compile_rootfs(p, inputs)
        for stream in (1, 2):
            p.call("dup3", descriptors.number("output"), stream, 0, doing="set up the output")
        argv = p.pointers(["/bin/sh", "-c", script])
        p.call("execve", "/bin/sh", argv, p.pointers(["PATH=/bin"]), doing="execute the script")
        run_program(p, descriptors, opened, 0 if inputs.has_user_namespace else namespaces_of(inputs), id_map)
        output.seek(0)
        return output.read().decode()


def run_program(p: Program, descriptors: Descriptors, opened: dict[str, int], flags: int, id_map: str = MAP) -> None:
    """The parent's part is played as process/parent.py does it, without a cgroup."""
    stage = Stage(p, MACHINE, descriptors)
    try:
        stage.start(opened, flags, -1)
        while (message := stage.receive()) is not None:
            if message[0].number == sync.MAP_IDS:
                for kind in ("gid", "uid"):
                    Path(f"/proc/{stage.pid}/{kind}_map").write_text(id_map)
            else:
                assert message[0].number == sync.HAND_OVER
                copy_up(stage, message[1], has_user_namespace=not flags)
            stage.answer()
        os.waitpid(stage.pid, 0)
        stage.pid = 0
    finally:
        stage.kill()
        stage.socket.close()
        stage.pidfd.close()


def copy_up(stage: Stage, index: int, *, has_user_namespace: bool) -> None:
    copying = CopyUp(
        place=f"mounts[{index}]",
        destination="copied",
        process=Process(args=("sh",), cwd="/", user=User(uid=0, gid=0)),
        host=Host(euid=0, egid=0, machine=MACHINE, in_user_namespace=False, cgroups=()),
        cgroup=ContainerCgroup(hierarchies=()),
        cgroup_directory=-1,
        has_user_namespace=has_user_namespace,
    )
    stage.answer()
    with HandedOver(stage.socket) as handed:
        message = stage.receive()
        assert message is not None
        assert message[0].number == sync.COPY_UP
        copying.run(handed, IdMaps(stage.pid, handed.files[USERS]))
