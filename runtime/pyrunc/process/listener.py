"""SCMP_ACT_NOTIFY: a filter that asks an agent, and handing the agent its end (config-linux.md#containerprocessstate).

    stage                                      parent
    find the lowest free descriptor number  -> LISTENER: remembers it, for the kernel takes that for the listener
    seccomp(2), and the filter holds
    write(2) of the same sync point again   -> takes it by pidfd_getfd(2), sends it to the agent
    read(2) of the answer                  <-

From the filter to the agent's having the listener the stage makes one call, write(2), which is why no rule may notify
about that (runc has the same rule).  Not a sync point, then: those are sendto(2), which an agent that speeds up
networks wants to hear of.  From there on the agent is asked about what the profile says, ours too.

Before `start`, as in runc: the one who sends it must be there when the filter is loaded.
"""

from __future__ import annotations

import posix

from ocispec import SPEC_VERSION
from pyrunc.errors import ProtocolError, PyruncError, Unsupported, during, errno_words
from pyrunc.jsonio import dumps, loads
from pyrunc.kernel.constants import F_DUPFD_CLOEXEC, PR_SET_DUMPABLE
from pyrunc.kernel.processes import take_descriptor
from pyrunc.kernel.sockets import connect, send_all_with_descriptor
from pyrunc.process.sync import ANSWER, LISTENER, MESSAGE
from pyrunc.security.seccomp import emit_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.seccomp import Seccomp
    from pyrunc.kernel.files import Fd
    from pyrunc.kernel.host import Host
    from pyrunc.process.spawn import Stage
    from pyrunc.program.builder import Program
    from pyrunc.security.seccomp import Filter

_SOCKET = 3
_KIND = "anon_inode:seccomp notify"  # kernel/seccomp.c


def emit_filter_with_listener(p: Program, loaded: Filter, host: Host, *, is_alone: bool) -> None:
    """Load the filter and let the parent give its listener away.

    Without privileges the parent may take a descriptor only of a dumpable process.  So may, for that moment, whoever
    else is in the pid namespace with the same uid: it must be a new one (CVE-2016-9962).
    """
    needs_dumpable = host.euid != 0
    if needs_dumpable and not is_alone:
        raise Unsupported("linux.seccomp: without privileges SCMP_ACT_NOTIFY needs a new pid namespace, and no exec")
    number = p.result("fcntl", _SOCKET, F_DUPFD_CLOEXEC, 0, doing="find the listener's number")
    p.call("close", number, doing="close")
    if needs_dumpable:
        p.call("prctl", PR_SET_DUMPABLE, 1, doing="let the parent take the listener")
    message = p.constant(MESSAGE.pack(len(p), 0))
    p.sync(LISTENER, "the listener's number", number)
    emit_filter(p, loaded, into=number)
    with p.at("linux.seccomp"):
        p.call("write", _SOCKET, message, message.size, doing="report that the filter is loaded")
        answer = p.scratch(ANSWER.size)
        p.call("read", _SOCKET, answer, answer.size, doing="wait until the agent has its listener")
        if needs_dumpable:
            p.call("prctl", PR_SET_DUMPABLE, 0, doing="make the process non-dumpable")
        p.close(number)


def hand_over_listener(stage: Stage, number: int, seccomp: Seccomp | None, state: bytes) -> None:
    """Connect to the agent, send one ContainerProcessState with the descriptor, disconnect.

    `state` is the container's, as JSON.  Raises PyruncError in runc's words when there is no agent.
    """
    if seccomp is None:
        raise ProtocolError("internal error: a listener without a profile")
    document = {
        "ociVersion": SPEC_VERSION,
        "fds": ["seccompFd"],
        "pid": stage.pid,
        "metadata": seccomp.listener_metadata,
        "state": loads(state),
    }
    if not seccomp.listener_metadata:
        del document["metadata"]
    with during("take the seccomp listener"), take_descriptor(stage.pidfd, number) as listener:
        if posix.readlink(f"/proc/self/fd/{listener.number}") != _KIND:
            raise ProtocolError(f"internal error: descriptor {number} of the stage is no seccomp listener")
        with _connect(seccomp.listener_path) as agent, during(f"send it to {seccomp.listener_path}"):
            send_all_with_descriptor(agent, dumps(document).encode("utf-8", "surrogateescape"), listener)


def _connect(path: str) -> Fd:
    try:
        return connect(path)
    except OSError as error:
        words = f"failed to connect with seccomp agent specified in the seccomp profile: dial unix {path}"
        raise PyruncError(f"{words}: {errno_words(error.errno or 0)}") from error
