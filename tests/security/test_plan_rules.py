"""Rules that every compiled plan keeps, whatever config.json says: read from the operations, nothing is run.

Rule 1: every descriptor is close-on-exec from its birth, but those that the container is to have.
Rule 2: before the root is switched no path is a string below the rootfs: what is in there is reached by descriptors.
Rule 3: no system call walks a path of several components below a descriptor, but openat2 in its own root.
Rule 4: an open in the rootfs that resolves links of the container does it in the container's root, without magic links.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.bundle import Bundle
from pyrunc.container.create import compile_bundle
from pyrunc.container.options import CreateOptions
from pyrunc.kernel.constants import (
    F_DUPFD_CLOEXEC,
    FSMOUNT_CLOEXEC,
    FSOPEN_CLOEXEC,
    FSPICK_CLOEXEC,
    MFD_CLOEXEC,
    O_CLOEXEC,
    O_NOFOLLOW,
    OPEN_TREE_CLOEXEC,
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    SOCK_CLOEXEC,
    TIOCGPTPEER,
)
from pyrunc.program.operations import CALL, Operation, Pointer, Register

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyrunc.program.builder import Program

# which argument has the flags, and the flag
CLOSE_ON_EXEC = {
    "dup3": (2, O_CLOEXEC),
    "fsmount": (1, FSMOUNT_CLOEXEC),
    "fsopen": (1, FSOPEN_CLOEXEC),
    "fspick": (2, FSPICK_CLOEXEC),
    "memfd_create": (1, MFD_CLOEXEC),
    "open_tree": (2, OPEN_TREE_CLOEXEC),
    "openat": (2, O_CLOEXEC),
    "socket": (1, SOCK_CLOEXEC),
}
NEVER = ("accept", "dup", "dup2", "epoll_create", "eventfd", "inotify_init", "open", "pipe", "signalfd")
# call -> its (directory, path) pairs
BELOW_DESCRIPTORS = {
    "faccessat": ((0, 1),),
    "faccessat2": ((0, 1),),
    "fchmodat": ((0, 1),),
    "fchownat": ((0, 1),),
    "linkat": ((0, 1), (2, 3)),
    "mkdirat": ((0, 1),),
    "mknodat": ((0, 1),),
    "mount_setattr": ((0, 1),),
    "move_mount": ((0, 1), (2, 3)),
    "open_tree": ((0, 1),),
    "openat": ((0, 1),),
    "readlinkat": ((0, 1),),
    "renameat2": ((0, 1), (2, 3)),
    "statx": ((0, 1),),
    "symlinkat": ((1, 2),),
    "unlinkat": ((0, 1),),
}
NO_MAGIC = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS  # the latter implies the former: openat2(2)
SWITCHES = ("pivot_root", "chroot")


def plain(config: dict[str, Any]) -> None:
    """What `runc spec` and engines ask for."""


def everything(config: dict[str, Any]) -> None:
    config["process"] |= {"terminal": True, "user": {"uid": 1000, "gid": 1000, "umask": 7, "additionalGids": [5]}}
    config["mounts"] += [
        {"destination": "/data/deep/er", "type": "bind", "source": "/tmp", "options": ["rbind", "ro", "rslave"]},
        {"destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": ["bind", "nosuid"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=1777"]},
    ]
    config["linux"] |= {
        "devices": [{"path": "/dev/deep/fuse", "type": "c", "major": 10, "minor": 229, "uid": 5, "gid": 6}],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "rootfsPropagation": "rslave",
    }
    config["root"]["readonly"] = True
    config["hooks"] = {
        "createContainer": [{"path": "/bin/true", "timeout": 3}],
        "startContainer": [{"path": "/bin/true"}],
    }
    config["process"]["cwd"] = "/made/for/me"


def user_namespace(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"].append({"type": "user"})
    for name in ("uidMappings", "gidMappings"):
        config["linux"][name] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def on_the_side(config: dict[str, Any]) -> None:
    """What takes sync points and descriptors of its own: an agent, network devices, files for hooks."""
    everything(config)
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/agent",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    config["linux"]["netDevices"] = {"eth0": {}}
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}
    config["annotations"] = {"run.oci.hooks.stderr": "/err", "run.oci.keep_original_groups": "1"}


CASES = (plain, everything, user_namespace, on_the_side)


class Compiled:
    def __init__(self, rootfs: str, program: Program) -> None:
        self.rootfs = rootfs
        self.program = program
        self.calls = [operation for operation in program.operations if operation.kind == CALL]
        self.strings = {(pointer.offset, pointer.size) for pointer in program.strings}

    def text(self, argument: object) -> str | None:
        """The string that an argument points to."""
        if not isinstance(argument, Pointer):
            return None
        if (argument.offset, argument.size) not in self.strings:
            return None
        content = self.program.data[argument.offset : argument.offset + argument.size - 1]
        return content.decode("utf-8", "surrogateescape")

    def words(self, operation: Operation, offset: int) -> int:
        """A field of the open_how of an openat2."""
        how = operation.arguments[2]
        assert isinstance(how, Pointer)
        return int.from_bytes(self.program.data[how.offset + offset : how.offset + offset + 8], "little")

    def described(self, operation: Operation) -> str:
        index = self.program.operations.index(operation)
        texts = [self.text(argument) or repr(argument) for argument in operation.arguments]
        return f"{index}: {operation.name}({', '.join(texts)}): {operation.label.doing}"

    def before_the_switch(self) -> list[Operation]:
        names = [operation.name for operation in self.calls]
        return self.calls[: min(names.index(name) for name in SWITCHES if name in names)]


def name_of(parameter: tuple[Callable[[dict[str, Any]], None], bool]) -> str:
    return parameter[0].__name__ + (", no pivot" if parameter[1] else "")


@pytest.fixture(params=[(case, no_pivot) for case in CASES for no_pivot in (False, True)], ids=name_of)
def compiled(request: pytest.FixtureRequest, tmp_path: Path) -> Compiled:
    case, no_pivot = request.param
    bundle = Bundle(tmp_path)
    bundle.rootfs.mkdir()
    case(bundle.config)
    bundle.save()
    options = CreateOptions(container_id="rules", bundle=str(tmp_path), no_pivot=no_pivot, detach=False, preserve_fds=2)
    return Compiled(str(bundle.rootfs), compile_bundle(str(tmp_path), options)[1].program)


def is_close_on_exec(compiled: Compiled, operation: Operation) -> bool:
    arguments = operation.arguments
    if operation.name == "openat2":
        return compiled.words(operation, 0) & O_CLOEXEC != 0
    if operation.name == "fcntl":
        return arguments[1] == F_DUPFD_CLOEXEC or operation.into is None
    if operation.name == "ioctl":
        flags = arguments[2]
        return arguments[1] != TIOCGPTPEER or (isinstance(flags, int) and flags & O_CLOEXEC != 0)
    if operation.name not in CLOSE_ON_EXEC:
        return operation.name not in NEVER
    position, flag = CLOSE_ON_EXEC[operation.name]
    flags = arguments[position]
    return isinstance(flags, int) and flags & flag != 0


def is_handed_over(operation: Operation) -> bool:
    """dup3 to a standard stream or to a descriptor that the caller asked to preserve."""
    return operation.name == "dup3" and operation.arguments[1] in (0, 1, 2, 3, 4)


def test_every_descriptor_is_close_on_exec(compiled: Compiled) -> None:
    leaking = [o for o in compiled.calls if not is_close_on_exec(compiled, o) and not is_handed_over(o)]
    assert [compiled.described(operation) for operation in leaking] == []
    # preserve_fds is 2: exactly those two are handed over to the container, besides the terminal and hooks' streams
    preserved = [o for o in compiled.calls if is_handed_over(o) and o.arguments[1] in (3, 4)]
    assert len(preserved) == 2


@pytest.mark.parametrize("count", [0, 200, 300])
def test_no_descriptor_that_was_given_is_overwritten(tmp_path: Path, count: int) -> None:
    """A number that is reused for a moment (to be named in a path) is above all that the stage was given."""
    bundle = Bundle(tmp_path)
    bundle.rootfs.mkdir()
    everything(bundle.config)
    user_namespace(bundle.config)
    bundle.config["mounts"] += [
        {"destination": f"/many/{number}", "type": "bind", "source": "/tmp", "options": ["bind"]}
        for number in range(count)
    ]
    bundle.save()
    options = CreateOptions(container_id="rules", bundle=str(tmp_path), detach=False, preserve_fds=count)
    plan = compile_bundle(str(tmp_path), options)[1]
    given = range(3, 3 + len(plan.descriptors.names))
    copies = [o for o in plan.program.operations if o.name == "dup3" and o.label.doing.startswith("hand over desc")]
    assert [operation.arguments[1] for operation in copies] == list(range(3, 3 + count))
    others = {o.arguments[1] for o in plan.program.operations if o.name == "dup3" and o not in copies} - {0, 1, 2}
    assert len(others) == 1
    assert not others & set(given)


def test_no_string_below_the_rootfs(compiled: Compiled) -> None:
    below = compiled.rootfs + "/"
    found = [
        compiled.described(operation)
        for operation in compiled.before_the_switch()
        if any((compiled.text(argument) or "").startswith(below) for argument in operation.arguments)
    ]
    assert found == []


def test_no_path_is_walked_below_a_descriptor(compiled: Compiled) -> None:
    walked = []
    for operation in compiled.calls:
        for directory, path in BELOW_DESCRIPTORS.get(operation.name, ()):
            text = compiled.text(operation.arguments[path]) or ""
            if isinstance(operation.arguments[directory], Register) and "/" in text:
                walked.append(compiled.described(operation))
    assert walked == []


def test_opens_in_the_rootfs_are_bounded(compiled: Compiled) -> None:
    before = [operation for operation in compiled.before_the_switch() if operation.name == "openat2"]
    for operation in before:
        assert compiled.words(operation, 16) & (RESOLVE_IN_ROOT | RESOLVE_BENEATH), compiled.described(operation)
    assert len(before) > 20
    for operation in compiled.calls:
        if operation.name == "openat2":  # CVE-2024-21626: a working directory through /proc/self/fd
            assert compiled.words(operation, 16) & NO_MAGIC, compiled.described(operation)


def test_what_is_not_bounded_follows_no_link(compiled: Compiled) -> None:
    """openat of one name below a descriptor: O_NOFOLLOW, or the name is one of procfs' own (/proc/self/fd/N)."""
    following = []
    for operation in compiled.before_the_switch():
        if operation.name == "openat" and isinstance(operation.arguments[0], Register):
            flags, text = operation.arguments[2], compiled.text(operation.arguments[1])
            assert isinstance(flags, int)
            if not flags & O_NOFOLLOW and not (text or "").isdigit():
                following.append(compiled.described(operation))
    assert following == []


def test_the_configurations_are_as_rich_as_they_look(tmp_path: Path) -> None:
    """The rules above would hold for an empty program too."""
    bundle = Bundle(tmp_path)
    bundle.rootfs.mkdir()
    everything(bundle.config)
    bundle.save()
    options = CreateOptions(container_id="rules", bundle=str(tmp_path), detach=False)
    program = compile_bundle(str(tmp_path), options)[1].program
    names = {operation.name for operation in program.operations}
    assert {"openat2", "mkdirat", "mknodat", "symlinkat", "move_mount", "fsmount", "clone", "pivot_root"} <= names
    assert json.dumps(sorted({o.label.place.split("[")[0] for o in program.operations})).count("linux.") >= 3
