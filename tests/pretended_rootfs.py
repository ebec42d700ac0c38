"""Whole rootfs programs, and a pretended kernel that runs them: it counts descriptors."""

import random
from errno import EACCES, EAGAIN, EEXIST, EINVAL, ENOENT, EPERM

from ocispec.config import Config, Mount, Process, Root, User
from ocispec.linux import Linux
from pyrunc.kernel.constants import (
    DEVPTS_SUPER_MAGIC,
    S_IFCHR,
    S_IFDIR,
    S_IFREG,
    STATX_ATTR_MOUNT_ROOT,
)
from pyrunc.kernel.host import CgroupHierarchy
from pyrunc.program.builder import Program
from pyrunc.program.simulator import Memory, Run, simulate
from pyrunc.rootfs.console import emit_console
from pyrunc.rootfs.devices import emit_devices
from pyrunc.rootfs.inputs import RootfsInputs
from pyrunc.rootfs.masks import emit_masks, emit_readonly_root
from pyrunc.rootfs.mounts import emit_mounts
from pyrunc.rootfs.pivot import emit_pivot
from pyrunc.rootfs.prepare import emit_rootfs

ROOTFS = "/srv/bundle/rootfs"
LONG = "lowerdir=" + ":".join(f"/layers/{number:040}" for number in range(20))
MOUNTS = (
    Mount(destination="/proc", type="proc", source="proc"),
    Mount(destination="/dev", type="tmpfs", source="tmpfs", options=("mode=755", "ro")),
    Mount(destination="/dev/pts", type="devpts", source="devpts", options=("newinstance", "gid=5")),
    Mount(destination="/sys", type="sysfs", source="sysfs", options=("ro",)),
    Mount(destination="/sys/fs/cgroup", type="cgroup", source="cgroup", options=("ro",)),
    Mount(destination="/etc/hosts", type="bind", source="hosts", options=("rbind", "ro", "rprivate")),
    Mount(destination="/deep/er/volume", type="none", source="/data", options=("bind", "rnosuid", "rshared")),
    Mount(destination="/tmp", type="tmpfs", source="tmpfs", options=("ro",)),
    Mount(destination="/overlay", type="overlay", source="overlay", options=(LONG,)),
    Mount(destination="/tmp", type="tmpfs", source="tmpfs", options=("remount", "size=1k")),
    Mount(destination="/tmp", options=("bind", "remount", "nodev")),
)
LINUX = Linux(masked_paths=("/proc/kcore", "/proc/scsi"), readonly_paths=("/proc/sys",))
HIERARCHIES = (
    CgroupHierarchy(version=1, controllers=("cpu", "cpuacct"), mountpoint="/sys/fs/cgroup/cpu,cpuacct", own_path="/"),
    CgroupHierarchy(version=1, controllers=("name=systemd",), mountpoint="/sys/fs/cgroup/systemd", own_path="/"),
    CgroupHierarchy(version=2, controllers=(), mountpoint="/sys/fs/cgroup/unified", own_path="/"),
)
DEVICES = {f"/dev/{name}": (1, minor) for name, minor in (("zero", 5), ("full", 7), ("random", 8), ("urandom", 9))}
DEVICES["/dev/tty"] = (5, 0)


def inputs(mounts: tuple[Mount, ...] = MOUNTS, **changes: object) -> RootfsInputs:
    linux = changes.pop("linux", LINUX)
    config = Config(
        oci_version="1.3.0",
        root=Root(path="rootfs", readonly=True),
        process=Process(args=("sh",), cwd="/", user=User(uid=5, gid=5), terminal=True),
        mounts=mounts,
        linux=linux,
    )
    values = {
        "config": config,
        "bundle": "/srv/bundle",
        "rootfs": ROOTFS,
        "has_mount_namespace": True,
        "has_user_namespace": False,
        "has_cgroup_namespace": False,
        "has_network_namespace": False,
        "cgroups": HIERARCHIES,
        "cgroup_paths": ("/x", "/x", "/x"),
        "console_fd": 9,
    }
    return RootfsInputs(**{**values, **changes})


def compiled(given: RootfsInputs) -> Program:
    p = Program()
    root = emit_rootfs(p, given)
    emit_mounts(p, root, given)
    emit_devices(p, root, given)
    emit_console(p, root, given)
    emit_masks(p, root, given)
    emit_readonly_root(p, root, given)
    emit_pivot(p, root, given)
    return p


class Pretended:
    """A kernel whose descriptors are counted.  Some calls fail at random, with errnos that emitters must cope with."""

    MAY_FAIL = {
        "openat2": (ENOENT, EAGAIN),
        "mkdirat": (EEXIST,),
        "mknodat": (EEXIST,),
        "symlinkat": (EEXIST,),
        "unlinkat": (ENOENT,),
        "faccessat": (ENOENT,),
        "mount_setattr": (EINVAL, EACCES),
        "fsmount": (EPERM,),
        "umount2": (EINVAL,),
    }

    def __init__(self, seed: int, trouble: float) -> None:
        self.random = random.Random(seed)
        self.trouble = trouble
        self.open: dict[int, str] = {}  # descriptor -> path or tree
        self.mounted: dict[str, int] = {}  # path -> mount
        self.devices: dict[str, tuple[int, int]] = {"ptmx": (5, 2), "/dev/null": (1, 3), **DEVICES}
        self.leaked: list[str] = []
        self.count = 100

    def handlers(self) -> dict[str, object]:
        own = ("openat", "openat2", "open_tree", "fsopen", "fsmount", "fspick", "close", "dup3", "move_mount", "mount")
        found = {name: getattr(self, name) for name in (*own, "statx", "fstatfs", "mknodat", "ioctl")}
        return {name: self.troubled(name, found.get(name)) for name in {*found, *self.MAY_FAIL}}

    def troubled(self, name: str, handler: object) -> object:
        def call(*arguments: object) -> int:
            errnos = self.MAY_FAIL.get(name, ())
            if errnos and self.random.random() < self.trouble:
                return -self.random.choice(errnos)
            return handler(*arguments) if callable(handler) else 0

        return call

    def new(self, what: str) -> int:
        self.count += 1
        self.open[self.count] = what
        return self.count

    def use(self, descriptor: object) -> str:
        assert descriptor in self.open or descriptor in (0, 9, -100), f"descriptor {descriptor} is not open"
        return self.open.get(descriptor, "")  # type: ignore[call-overload]

    def openat(self, directory: int, path: str, *_rest: object) -> int:
        self.use(directory)
        return self.new(path if path.startswith("/") else f"{self.open[directory]}/{path}")

    def openat2(self, directory: int, path: str, *_rest: object) -> int:
        self.use(directory)
        return self.new(path)

    def open_tree(self, directory: int, path: str, *_rest: object) -> int:
        return self.new(path or self.use(directory))

    def fsopen(self, *_rest: object) -> int:
        return self.new("context")

    def fsmount(self, context: int, *_rest: object) -> int:
        assert self.use(context) == "context"
        return self.new("new")

    def fspick(self, mounted: int, *_rest: object) -> int:
        self.use(mounted)
        return self.new("context")

    def close(self, descriptor: int) -> int:
        if descriptor != 9:
            self.use(descriptor)
            del self.open[descriptor]
        return 0

    def dup3(self, old: int, new: int, _flags: int) -> int:
        self.open[new] = self.use(old)
        return new

    def move_mount(self, tree: int, _from: str, target: int, _to: str, _flags: int) -> int:
        self.use(tree)
        self.mounted[self.use(target)] = tree
        return 0

    def mount(self, _source: str, target: str, *_rest: object) -> int:
        if target.startswith("/proc/self/fd/"):
            self.mounted[self.use(int(target.rpartition("/")[2]))] = 7
        return 0

    def ioctl(self, descriptor: int, request: int, _argument: object) -> int:
        self.use(descriptor)
        return self.new("terminal") if request == 0x5441 else 0

    def mknodat(self, directory: int, name: str, _mode: int, number: int) -> int:
        self.use(directory)
        self.devices[f"/dev/{name}"] = (number >> 8, number & 0xFF)
        return 0

    def statx(self, descriptor: int, _path: str, _flags: int, _mask: int, buffer: Memory) -> int:
        path = self.use(descriptor)
        numbers = self.devices.get(path, self.devices.get(path.rpartition("/")[2], (0, 0)))
        kind = S_IFCHR if numbers != (0, 0) else S_IFREG if "hosts" in path or "console" in path else S_IFDIR
        buffer.write(STATX_ATTR_MOUNT_ROOT.to_bytes(8, "little"), 8)
        buffer.write((kind | 0o755).to_bytes(2, "little"), 28)
        for offset, number in zip((128, 132), numbers, strict=True):
            buffer.write(number.to_bytes(4, "little"), offset)
        mount = self.mounted.get(path, descriptor if path in ("new", "/data", "/srv/bundle/hosts") else 1)
        buffer.write(mount.to_bytes(8, "little"), 144)
        return 0

    def fstatfs(self, _descriptor: int, buffer: Memory) -> int:
        buffer.write(DEVPTS_SUPER_MAGIC.to_bytes(8, "little"))
        return 0


def run_pretended(p: Program, seed: int = 0, trouble: float = 0.0) -> tuple[Run, Pretended]:
    kernel = Pretended(seed, trouble)
    return simulate(p, kernel.handlers()), kernel  # type: ignore[arg-type]


def why(p: Program, run: Run) -> str:
    return p.operations[run.failure[0]].label.failure(run.failure[1]) if run.failure else run.ended
