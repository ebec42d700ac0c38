"""Whole rootfs programs against a pretended kernel: descriptors, labels, and that nothing is named to the kernel."""

import random
from errno import EACCES, EAGAIN, EEXIST, EINVAL, ENOENT, EPERM

import pytest

from ocispec.config import Config, Mount, Process, Root, User
from ocispec.linux import Linux
from pyrunc.kernel.constants import (
    DEVPTS_SUPER_MAGIC,
    MOUNT_ATTR_RDONLY,
    S_IFCHR,
    S_IFDIR,
    S_IFREG,
    STATX_ATTR_MOUNT_ROOT,
)
from pyrunc.kernel.host import CgroupHierarchy
from pyrunc.program.builder import Program
from pyrunc.program.encode import encode
from pyrunc.program.numbers import NUMBERS
from pyrunc.program.simulator import Memory, Run, simulate
from pyrunc.rootfs.console import emit_console
from pyrunc.rootfs.devices import emit_devices, encode_device
from pyrunc.rootfs.inputs import RootfsInputs
from pyrunc.rootfs.masks import emit_masks, emit_readonly_root
from pyrunc.rootfs.mounts import emit_mounts, mount_warnings, wanted_sources
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


@pytest.mark.parametrize("changes", [
    {}, {"has_cgroup_namespace": True}, {"no_pivot": True}, {"has_user_namespace": True},
    {"rootfs_fd": 9, "has_user_namespace": True}, {"linux": Linux(rootfs_propagation="shared")},
])  # fmt: skip
def test_every_descriptor_is_closed_and_none_is_used_afterwards(changes: dict[str, object]) -> None:
    p = compiled(inputs(**changes))
    run, kernel = run_pretended(p)
    assert why(p, run) == "end"
    assert set(kernel.open) <= {0, 1, 2}


def test_under_trouble_nothing_is_used_after_it_was_closed() -> None:
    """Errnos at random: descriptors stay right on every way through the program."""
    p = compiled(inputs())
    ends = set()
    for seed in range(300):
        run, kernel = run_pretended(p, seed, 0.03)
        ends.add(run.ended)
        if run.ended == "end":
            assert set(kernel.open) <= {0, 1, 2} | {d for d, what in kernel.open.items() if what == "context"}
    assert ends == {"end", "failed"}


def test_no_path_of_the_rootfs_is_ever_named() -> None:
    """But for opening the bundle's own directory.  Everything else inside is relative to a descriptor."""
    p = compiled(inputs())
    run, _kernel = run_pretended(p)
    for step in run.trace:
        named = [a for a in step.arguments if isinstance(a, str) and a.startswith("/srv/bundle/rootfs")]
        assert not named or step.name in ("open_tree", "openat")
        if step.name in ("openat2", "mkdirat", "mknodat", "symlinkat", "unlinkat"):
            directory = step.arguments[1 if step.name == "symlinkat" else 0]
            assert isinstance(directory, int)
            assert directory >= 0
    assert {step.arguments[1] for step in run.trace if step.name == "mount"} == {"/proc/self/fd/250"}


def test_attributes_are_set_before_a_tree_is_attached() -> None:
    p = compiled(inputs(MOUNTS[5:6], linux=Linux()))
    run, _kernel = run_pretended(p)
    names = [step.name for step in run.trace]
    tree = next(
        step.result for step in run.trace if step.name == "open_tree" and step.arguments[1] == "/srv/bundle/hosts"
    )
    calls = [step.name for step in run.trace if step.arguments and step.arguments[0] == tree]
    assert calls == ["mount_setattr", "statx", "move_mount", "mount_setattr", "close"]
    assert "mount" not in names


def test_a_mount_that_was_moved_is_noticed() -> None:
    p = compiled(inputs(MOUNTS[:1], linux=Linux()))
    kernel = Pretended(0, 0.0)
    handlers = {**kernel.handlers(), "move_mount": 0}
    run = simulate(p, handlers)  # type: ignore[arg-type]
    assert why(p, run) == (
        "mounts[0] /proc: the mount point was moved or covered meanwhile: EAGAIN (resource temporarily unavailable)"
    )


def test_every_operation_says_what_it_does() -> None:
    for operation in compiled(inputs()).operations:
        if operation.name in ("call", "check") or operation.kind == 0:
            assert operation.label.doing or operation.label.says or operation.target is not None


def test_values_for_fsconfig_are_short_enough() -> None:
    p = compiled(inputs())
    for operation in p.operations:
        for argument in operation.arguments if operation.name == "fsconfig" else ():
            assert getattr(argument, "size", 0) <= 256


def test_it_can_be_encoded_for_both_architectures() -> None:
    p = compiled(inputs(has_user_namespace=True))
    assert len(encode(p, NUMBERS["x86_64"])) == len(encode(p, NUMBERS["aarch64"]))


def test_without_a_mount_namespace_no_propagation_is_touched() -> None:
    plain = tuple(mount for mount in MOUNTS[:4] if mount.destination != "/dev")
    p = Program()
    given = inputs(plain, has_mount_namespace=False, linux=Linux(rootfs_propagation="rshared"))
    root = emit_rootfs(p, given)
    emit_mounts(p, root, given)
    emit_pivot(p, root, given)
    run, _kernel = run_pretended(p)
    assert why(p, run) == "end"
    assert not run.calls("pivot_root")
    assert run.calls("chroot") == [(".",)]
    for call in run.calls("mount_setattr"):
        propagation = call[3][16:24]  # type: ignore[index]
        assert propagation == bytes(8)


def test_wanted_sources() -> None:
    assert [(one.index, one.path, one.recursive) for one in wanted_sources(inputs())] == [
        (5, "/srv/bundle/hosts", True), (6, "/data", False),
    ]  # fmt: skip


def test_sources_that_the_parent_opened_are_not_named() -> None:
    p = compiled(inputs(MOUNTS[:7], source_fds={5: 9, 6: 9}, linux=Linux()))
    run, _kernel = run_pretended(p)
    assert not [call for call in run.calls("open_tree") if call[1] in ("/data", "/srv/bundle/hosts")]


def test_the_root_becomes_read_only_last_of_all_mounts() -> None:
    p = compiled(inputs())
    run, _kernel = run_pretended(p)
    changes = [step for step in run.trace if step.name in ("mount_setattr", "move_mount", "mount")]
    attributes = [s.arguments[3] for s in changes if s.name == "mount_setattr"]
    before_pivot = attributes[-2]  # the last one makes the old root a slave
    assert before_pivot[:8] == MOUNT_ATTR_RDONLY.to_bytes(8, "little")  # type: ignore[index]


@pytest.mark.parametrize(("major", "minor", "number"), [
    (1, 3, 0x103), (0, 0, 0), (259, 70000, 0x11110370), (4095, 1048575, 0xFFFFFFFF), (8, 256, 0x100800),
])  # fmt: skip
def test_device_numbers(major: int, minor: int, number: int) -> None:
    assert encode_device(major, minor) == number


def test_what_is_ignored_is_known() -> None:
    mounts = (
        Mount(destination="/a", type="bind", source="/a", options=("ro", "size=1k", "lazytime", "rprivate")),
        Mount(destination="/b", type="tmpfs", source="b", options=("size=1k", "lazytime", "mand")),
        Mount(destination="/c", type="tmpfs", source="c", options=("nosuid",)),
    )
    config = inputs(mounts, linux=Linux(mount_label="x_t")).config
    ignored = ["mounts[0] /a: no effect here: size=1k, lazytime", "mounts[1] /b: no effect here: mand"]
    assert mount_warnings(config, has_selinux=True) == ignored
    assert mount_warnings(config, has_selinux=False) == [
        *ignored, "linux.mountLabel: this host has no SELinux, ignoring",
    ]  # fmt: skip
