"""What every mount needs: its target in the rootfs, and the proof that it arrived there."""

from __future__ import annotations

from errno import EAGAIN, EINVAL, ENOENT, ENOTDIR, EPERM, EXDEV

from pyrunc.kernel.constants import O_PATH, O_RDONLY, O_WRONLY, RESOLVE_NO_XDEV, S_IFDIR, S_IFMT
from pyrunc.rootfs.host import emit_open
from pyrunc.rootfs.paths import IN_ROOT, Facts, RootPaths, check_kind, emit_failure
from pyrunc.rootfs.trees import emit_attach, emit_attributes, emit_propagation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _pyrunc_assembler import Pattern

    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs
    from pyrunc.rootfs.options import MountOptions

# What may cover a file of the container's /proc: lxcfs's files and checkpointing's (runc's list).
ON_PROC = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
        "sys/kernel/ns_last_pid",
        "sys/crypto/fips_enabled",
    )
)


class Mounting:
    """The rootfs while mounts are put on it."""

    def __init__(self, p: Program, root: Register, inputs: RootfsInputs) -> None:
        self.p = p
        self.root = root
        self.inputs = inputs
        self.paths = RootPaths(p, root)
        self.own = Facts(p)  # of the tree that is being mounted
        self.there = Facts(p)  # of what a path leads to
        self.patterns: dict[tuple[object, ...], Pattern] = {}  # of bind mounts that are alike (binds.py)
        self.proc: Facts | None = None  # of the mount on /proc, once there is one

    def target(self, destination: str, *, is_directory: bool, flags: int = O_PATH) -> Register:
        """Where to mount, outside of /proc.  A missing one is made: a directory, or (`is_directory` False) what
        `self.own` is."""
        p, paths = self.p, self.paths
        make = paths.make_directory if is_directory else self._make_alike
        if self._proc_near(destination) is None:
            return paths.open_or_make(destination, make, flags)
        # What is reached without entering another mount needs no look at which mount it is on: 0.4 us a mount.
        target = p.register()
        elsewhere, outside = p.target(), p.target()
        on_rootfs = IN_ROOT | RESOLVE_NO_XDEV
        passing = (ENOENT, EXDEV)
        paths.open_into(target, destination, flags, resolve=on_rootfs, passing=passing, otherwise=elsewhere)
        p.jump(outside)
        p.here(elsewhere)
        found = paths.open_or_make(destination, make, flags)
        p.set(target, found)
        p.release(found)
        self.refuse_inside_proc(target, destination)
        p.here(outside)
        return target

    def ordinary_target(self, destination: str, file_system: str) -> Register:
        says = f'filesystem "{file_system}" must be mounted on ordinary directory'
        target = self.paths.open_ordinary_directory(destination, says)
        self.refuse_inside_proc(target, destination)
        return target

    def attach(
        self, tree: Register, destination: str, target: Register, flags: int = O_PATH, *, is_directory: bool = True
    ) -> None:
        """Mount the tree, close `target`, and see that the path leads to the mount.  `self.own` must be the tree's,
        and the target outside of /proc.

        `flags` with O_NOFOLLOW: for a link that is mounted, or covered.  `is_directory`: the tree is surely one.
        """
        p = self.p
        refused, attached = p.target(), p.target()
        emit_attach(p, tree, target, doing="attach", tolerate=(EINVAL,), otherwise=refused)
        p.jump(attached)
        p.here(refused)
        self._say_why(target, is_directory=is_directory)
        p.here(attached)
        p.close(target)
        if destination == "/":
            p.set(self.root, tree)  # openat2(2) from below would not see what covers it
            return
        self.verify(destination, flags)

    def verify(self, destination: str, flags: int = O_PATH) -> None:
        """The path must lead to the mount that `self.own` describes."""
        p = self.p
        found = self.paths.open_existing(destination, flags)
        self.there.read(p, found)
        p.close(found)
        moved = "the mount point was moved or covered meanwhile"
        p.check(self.there.mount_id, self.own.mount_id, doing=moved, errno=EAGAIN)

    def finish(self, tree: Register, options: MountOptions, *, is_rootfs: bool = False) -> None:
        """What comes when the tree has been attached; it is closed, or (`is_rootfs`) `self.root` from here on."""
        p = self.p
        recursive = options.recursive_attributes
        emit_attributes(p, tree, recursive, recursive=True, doing="set attributes recursively")
        for propagation, is_recursive in options.propagations:
            emit_propagation(p, tree, propagation, recursive=is_recursive, doing="set the propagation")
        if is_rootfs:
            p.release(tree)
        else:
            p.close(tree)

    def remember_proc(self, tree: Register) -> None:
        self.proc = Facts(self.p)
        self.proc.read(self.p, tree)

    def _make_alike(self, directory: Register, name: str) -> None:
        """A directory for a directory, a file for anything else: known only when the stage has opened the source."""
        p = self.p
        file, made = p.target(), p.target()
        check_kind(p, self.own, S_IFDIR, file)
        self.paths.make_directory(directory, name)
        p.jump(made)
        p.here(file)
        self.paths.make_file(directory, name)
        p.here(made)

    def _proc_near(self, destination: str) -> Facts | None:
        """The mount that this destination must not be on; None where there is none yet, or where it may."""
        return None if destination == "/proc" or destination in ON_PROC else self.proc

    def refuse_inside_proc(self, target: Register, destination: str) -> None:
        """By mount, not by name: a link of the image may lead there too."""
        proc = self._proc_near(destination)
        if proc is None:
            return
        self.there.read(self.p, target)
        says = inside_proc(destination)
        self.p.check(self.there.mount_id, proc.mount_id, doing="", errno=EPERM, differs=True, says=says)

    def _say_why(self, target: Register, *, is_directory: bool) -> None:
        """move_mount(2) says EINVAL for a directory on a file; engines know it as ENOTDIR, mount(2)'s word for it."""
        p = self.p
        file, other = p.target(), p.target()
        self.there.read(p, target)
        if not is_directory:
            check_kind(p, self.own, S_IFDIR, file)
        p.check(self.there.mode, S_IFDIR, doing="mount a directory on a file", errno=ENOTDIR, mask=S_IFMT)
        if not is_directory:
            p.jump(other)
            p.here(file)
            doing = "mount a file on a directory"
            p.check(self.there.mode, S_IFDIR, doing=doing, errno=ENOTDIR, mask=S_IFMT, differs=True)
            p.here(other)
        emit_failure(p, EINVAL, doing="attach")


def inside_proc(destination: str) -> str:
    return f'"{destination}" cannot be mounted because it is inside /proc'


def emit_mode_of(p: Program, facts: Facts) -> Register:
    """The mode that `facts` describes, in a register: as the result of a system call, since nothing else writes one.

    The two bytes of stx_mode become the length of an iovec, everything beside them zero, and /dev/null says that it
    "wrote" so many bytes without looking at any.
    """
    iovec = facts.buffer.field(20, 16)  # base: stx_uid and stx_gid, length: stx_mode, padding and half of stx_ino
    doing = "keep the mode of the mount point"
    zero = emit_open(p, "/dev/zero", O_RDONLY, doing=doing)
    p.call("read", zero, iovec.field(0, 8), 8, doing=doing)
    p.call("read", zero, iovec.field(10, 6), 6, doing=doing)
    p.close(zero)
    null = emit_open(p, "/dev/null", O_WRONLY, doing=doing)
    mode = p.result("writev", null, iovec, 1, doing=doing)
    p.close(null)
    return mode
