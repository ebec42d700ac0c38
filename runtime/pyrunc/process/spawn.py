"""Starting the stage and talking to it.

CVE-2019-5736: what a container sees as /proc/PID/exe is the sealed memfd below, a copy of a few kilobytes that
cannot be written, grown or unsealed; neither Python nor any file of the host is ever its executable.
"""

from __future__ import annotations

import posix
from errno import EACCES, EINVAL
from fcntl import fcntl

from pyrunc.errors import ProtocolError, PyruncError, StageFailed
from pyrunc.kernel.constants import (
    F_ADD_SEALS,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    F_SEAL_SHRINK,
    F_SEAL_WRITE,
    MFD_ALLOW_SEALING,
    MFD_CLOEXEC,
    MFD_EXEC,
)
from pyrunc.kernel.files import Fd, read_file
from pyrunc.kernel.lib import library_directory
from pyrunc.kernel.processes import STAGE_NAME, reap, send_signal, spawn_stage, wait_for_exit
from pyrunc.kernel.sockets import is_readable_within, read_exactly, socket_pair, write_all
from pyrunc.process import sync
from pyrunc.process.sync import ANSWER, MALFORMED, MESSAGE
from pyrunc.program.encode import encode
from pyrunc.program.numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyrunc.cgroups.place import ContainerCgroup
    from pyrunc.process.descriptors import Descriptors
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Operation

_SIGKILL = 9
_DEATH_SECONDS = 10.0


def sealed_stage() -> Fd:
    """The stage's image in a memfd that nobody can change any more."""
    image = read_file(f"{library_directory()}/_pyrunc_stage")
    try:
        memory = Fd(posix.memfd_create(STAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC))
    except OSError as error:
        if error.errno != EINVAL:  # MFD_EXEC is Linux 6.3; before that every memfd may be executed
            raise
        memory = Fd(posix.memfd_create(STAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING))
    posix.write(memory.number, image)
    fcntl(memory.number, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
    return memory


class Stage:
    """A running stage: its pid, its pidfd, our end of the socket, the program whose indices it speaks of."""

    def __init__(self, program: Program, machine: str, descriptors: Descriptors) -> None:
        self.program = program
        self._encoded = encode(program, NUMBERS[machine])
        self._descriptors = descriptors
        self.pid = 0
        self.pidfd = Fd(-1)
        self.socket = Fd(-1)
        self.is_among_strangers = False  # processes that may send it signals, or freeze it
        self.may_take_long = True  # it runs hooks, or somebody knows that it is frozen

    def start(
        self,
        opened: Mapping[str, int],
        clone_flags: int,
        cgroup: int,
        attach: Callable[[int], None] | None = None,
    ) -> None:
        """clone3 into the namespaces of `clone_flags` and, when >= 0, the cgroup; then the program goes over.

        Where we may not put it into the cgroup ourselves `attach` does so, before anything runs in it.
        """
        self.socket, theirs = socket_pair()
        with theirs, sealed_stage() as image:
            fds = self._descriptors.arrange({**opened, "socket": theirs.number})
            try:
                self.pid, self.pidfd = spawn_stage(image, fds, clone_flags, cgroup)
            except OSError as error:
                # cgroups(7), delegation containment: it takes write access to the common ancestor's cgroup.procs.
                if error.errno != EACCES or attach is None:
                    raise
                self.pid, self.pidfd = spawn_stage(image, fds, clone_flags, -1)
                attach(self.pid)
        write_all(self.socket, self._encoded)  # a stage that died meanwhile shows as EOF in `receive`

    def receive(self) -> tuple[Operation, int] | None:
        """The next sync point: its operation and value.  None when the stage is gone without a word.

        Raises StageFailed with the operation's label when an operation failed, ProtocolError when it is kept from
        saying anything.
        """
        while self.is_among_strangers and not is_readable_within(self.socket, sync.PATIENCE_SECONDS):
            from pyrunc.process.silence import check_silence  # it hardly ever happens

            check_silence(self.pid, sync.PATIENCE_SECONDS, may_take_long=self.may_take_long)
        message = read_exactly(self.socket, MESSAGE.size)
        if len(message) < MESSAGE.size:
            return None
        told, value = MESSAGE.unpack(message)
        index = told & 0xFFFF
        if told == MALFORMED or index >= len(self.program):
            raise ProtocolError("internal error: the stage refused its program")
        operation = self.program.operation(told)
        if value < 0:
            raise StageFailed(operation.label.failure(-value), -value, operation=index)
        return operation, value

    def answer(self, payload: bytes = b"") -> None:
        """Let the stage go on.  A stage that is gone is noticed by the next `receive`."""
        write_all(self.socket, ANSWER.pack(len(payload), 0) + payload)

    def adopt(self, pid: int, pidfd: Fd) -> None:
        """The first process has made init and ends: from now on this is init.

        Raises ProtocolError when it did not end well: then init may have taken an answer that was not for it.
        """
        status = reap(self.pid)
        self.pidfd.close()
        self.pid, self.pidfd = pid, pidfd
        if status:
            raise ProtocolError("internal error: the stage's first process failed")

    def kill(self) -> int | None:
        """End it and wait for it; its wait status when it was our child.

        One in a frozen cgroup of version 1 ends when that is thawed, whoever does it: then there is nobody to wait for.
        A second process that it has made, and that we have not adopted yet, ends at its next word to us.
        """
        if self.pid == 0:
            return None
        send_signal(self.pidfd, _SIGKILL)
        self.socket.close()
        if not wait_for_exit(self.pidfd, _DEATH_SECONDS):
            return None
        return reap(self.pid)


def name_exhausted(error: BaseException, cgroup: ContainerCgroup) -> None:
    """Which limit of the cgroup is why a stage failed, if one is, as the error's hint."""
    if isinstance(error, PyruncError):
        from pyrunc.cgroups.exhausted import name_limit  # for who has failed

        name_limit(error, cgroup)
