"""tmpcopyup, the parent's side: read what there is, and let a second stage copy it (rootfs/copying.py).

The second stage joins the container's cgroup and user namespace and nothing else; it ends before the first goes on.
"""

from __future__ import annotations

import posix
from errno import EINVAL

from ocispec.record import Record
from pyrunc.cgroups.join import emit_join
from pyrunc.errors import ProtocolError, during
from pyrunc.kernel.constants import CLONE_NEWUSER
from pyrunc.kernel.files import read_file
from pyrunc.kernel.listing import walk
from pyrunc.kernel.sockets import receive_descriptor
from pyrunc.namespaces.join import emit_namespace_root
from pyrunc.namespaces.users import parse_map
from pyrunc.process import birth
from pyrunc.process.descriptors import Descriptors
from pyrunc.process.hooks import describe_status
from pyrunc.process.limits import emit_oom_score_adj
from pyrunc.process.spawn import Stage
from pyrunc.program.builder import Program
from pyrunc.program.operations import NEXT
from pyrunc.rootfs.copying import Copying, emit_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocispec.config import Process
    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.kernel.files import Fd
    from pyrunc.kernel.host import Host

SOURCE = "copied directory"
TMPFS = "tmpfs"
USERS = "user namespace"
_IDENTITY = [(0, 0, (1 << 32) - 1)]
_OVERFLOW_ID = 65534  # what an id without a mapping is inside: user_namespaces(7)
# A program is sent when it has this much: what one more entry adds stays below the stage's limits.
_MANY_ENTRIES = 512
_ENOUGH_OPERATIONS = NEXT // 2
_ENOUGH_DATA = 4 << 20
_SPARE = 100  # a descriptor that nobody uses: three are given, few are open at one time


class HandedOver:
    """What the stage has sent for one mount."""

    def __init__(self, socket: Fd) -> None:
        """Raises OSError EPROTO when the stage sends something else."""
        self.files: dict[str, Fd] = {}
        try:
            for name in (SOURCE, TMPFS, USERS):
                self.files[name] = receive_descriptor(socket)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> HandedOver:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        for file in self.files.values():
            file.close()


class IdMaps:
    """(uid, gid) of ours -> of the user namespace `users`, in which the process `pid` is."""

    def __init__(self, pid: int, users: Fd) -> None:
        self._uids = self._gids = _IDENTITY
        theirs, ours = posix.fstat(users.number), posix.stat("/proc/self/ns/user")
        # To a process of the same namespace the file tells the ids of the one above: user_namespaces(7).
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            self._uids = parse_map(read_file(f"/proc/{pid}/uid_map"))
            self._gids = parse_map(read_file(f"/proc/{pid}/gid_map"))

    def __call__(self, uid: int, gid: int) -> tuple[int, int]:
        return id_inside(self._uids, uid), id_inside(self._gids, gid)


def id_inside(ranges: Sequence[tuple[int, int, int]], outside: int) -> int:
    """`ranges` are (first inside, first outside, count)."""
    for first, first_outside, count in ranges:
        if first_outside <= outside < first_outside + count:
            return first + outside - first_outside
    return _OVERFLOW_ID


class CopyUp(Record):
    """One mount with tmpcopyup."""

    place: str  # in config.json
    destination: str
    process: Process  # whom the OOM killer shall take for it
    host: Host
    cgroup: ContainerCgroup
    cgroup_directory: int  # of version 2, or -1
    has_user_namespace: bool

    def run(self, handed: HandedOver, ids: IdMaps) -> None:
        """Copy, program by program.  On an error the tmpfs holds a part, and no second stage is left."""
        opened = {name: file.number for name, file in handed.files.items()}
        for program, descriptors in self._programs(handed, ids):
            stage = Stage(program, self.host.machine, descriptors)
            try:
                with during("start the stage that copies"):
                    stage.start(opened, 0, self.cgroup_directory)
                stage.receive()
            finally:
                status = stage.kill()
                stage.pidfd.close()
                stage.socket.close()
            if status != 0:
                words = describe_status(status) if status is not None else "gone"
                raise ProtocolError(f"{self._words}: the process that copies: {words}")

    @property
    def _words(self) -> str:
        return f"{self.place} {self.destination}: tmpcopyup"

    def _programs(self, handed: HandedOver, ids: IdMaps) -> Iterator[tuple[Program, Descriptors]]:
        p, descriptors, copying = self._begin(ids)
        directories = walk(handed.files[SOURCE])
        while True:
            with during(f"{self._words}: read the directory"):
                directory, entries = next(directories, ("", None))
            if entries is None:
                break
            for first in range(0, len(entries), _MANY_ENTRIES):
                if len(p) > _ENOUGH_OPERATIONS or len(p.data) > _ENOUGH_DATA:
                    yield p, descriptors
                    p, descriptors, copying = self._begin(ids)
                with p.at(self.place, self.destination):
                    emit_copy(copying, directory, entries[first : first + _MANY_ENTRIES])
        yield p, descriptors

    def _begin(self, ids: IdMaps) -> tuple[Program, Descriptors, Copying]:
        """A program up to where it copies, as the root of the container's user namespace."""
        p = Program()
        descriptors = Descriptors()
        source, tmpfs, users = (descriptors.add(name) for name in (SOURCE, TMPFS, USERS))
        birth.emit_birth(p, self.host.ignored_signals)
        emit_oom_score_adj(p, self.process)
        emit_join(p, self.cgroup)
        birth.emit_not_dumpable(p)
        if self.has_user_namespace:
            with p.at("linux.namespaces", "user"):
                # EINVAL: a namespace that was joined by path, and in which we are ourselves (setns(2)).
                p.call("setns", users, CLONE_NEWUSER, doing="join the user namespace", tolerate=[EINVAL])
            emit_namespace_root(p, keep_groups=False)
        registers = p.register(), p.register()
        for register, number in zip(registers, (source, tmpfs), strict=True):
            p.set(register, number)
        return p, descriptors, Copying(p, *registers, _SPARE, ids)
