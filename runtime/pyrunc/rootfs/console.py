"""process.terminal: a pseudo-terminal from the container's own devpts.

The multiplexer is looked at (a devpts, device 5:2) before it is opened for use; the other end comes from the kernel by
descriptor (TIOCGPTPEER), never by the name of a file that the container could have put there (CVE-2025-52565).
"""

from __future__ import annotations

from _struct import Struct
from errno import EEXIST, ENODEV, EXDEV

from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import (
    DEVPTS_SUPER_MAGIC,
    MSG_NOSIGNAL,
    O_CLOEXEC,
    O_NOCTTY,
    O_RDWR,
    S_IFCHR,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    TIOCGPTPEER,
    TIOCSCTTY,
    TIOCSPTLCK,
    TIOCSWINSZ,
)
from pyrunc.rootfs.host import emit_reopen
from pyrunc.rootfs.paths import Facts, RootPaths
from pyrunc.rootfs.sending import descriptor_message
from pyrunc.rootfs.trees import emit_attach, emit_clone_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Process
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.inputs import RootfsInputs

_MULTIPLEXER = (5, 2)  # Documentation/admin-guide/devices.txt: /dev/ptmx
_NAME = b"/dev/ptmx"  # what the receiver of the descriptor may call it
_WINDOW_SIZE = Struct("<HHHH")  # struct winsize: rows, columns, pixels
_SAME_GROUP = 0xFFFFFFFF  # (gid_t)-1: stays


def emit_console(p: Program, root: Register, inputs: RootfsInputs) -> None:
    """The other end becomes descriptors 0 to 2 and the controlling terminal; the master goes to the console socket.

    Call it after the mounts and devices, in a session of its own.  Raises ConfigError without a console socket.
    """
    process = inputs.config.process
    if process is None or inputs.console_fd < 0:
        # Nobody would hold the master: the terminal is hung up at once.  create says it sooner, in runc's words.
        raise ConfigError("process.terminal: there is no console socket to send the terminal to")
    emit_terminal(p, root, process, inputs.console_fd, inputs.spare_fd, proc=inputs.proc)


def emit_terminal(
    p: Program,
    root: Register,
    process: Process,
    console_fd: int,
    spare_fd: int,
    *,
    is_exec: bool = False,
    proc: Register | int | None,
) -> None:
    """A new terminal for the process; /dev/console is the container's own, not that of an `exec`.

    `proc`: see rootfs/host.py.
    """
    paths = RootPaths(p, root)
    facts = Facts(p)
    with p.at("process.terminal", "/dev/pts/ptmx"):
        master = _emit_open_multiplexer(p, paths, facts, spare_fd, proc)
        p.call("ioctl", master, TIOCSPTLCK, p.constant(bytes(4)), doing="unlock the terminal")
        flags = O_RDWR | O_NOCTTY | O_CLOEXEC
        terminal = p.result("ioctl", master, TIOCGPTPEER, flags, doing="open the terminal")
        _emit_size_and_owner(p, master, terminal, process)
    if not is_exec:
        with p.at("process.terminal", "/dev/console"):
            _emit_mount(p, paths, facts, terminal)
    with p.at("process.terminal", "console socket"):
        _emit_send(p, master, console_fd, spare_fd)
        p.close(master)
        for descriptor in (0, 1, 2):
            p.call("dup3", terminal, descriptor, 0, doing=f"make it descriptor {descriptor}")
        p.call("ioctl", 0, TIOCSCTTY, 0, doing="make it the controlling terminal")
        p.close(terminal)


def _emit_open_multiplexer(
    p: Program, paths: RootPaths, facts: Facts, spare_fd: int, proc: Register | int | None
) -> Register:
    looked_at = paths.open_existing("/dev/pts/ptmx")
    facts.read(p, looked_at)
    major, minor = _MULTIPLEXER
    wrong = "not the multiplexer of a devpts"
    p.check(facts.mode, S_IFCHR, doing=wrong, errno=ENODEV, mask=S_IFMT)
    p.check(facts.major, major, doing=wrong, errno=ENODEV)
    p.check(facts.minor, minor, doing=wrong, errno=ENODEV)
    file_system = p.scratch(128)  # struct statfs: 120 bytes
    p.call("fstatfs", looked_at, file_system, doing="look at its file system")
    p.check(file_system.field(0, 8), DEVPTS_SUPER_MAGIC, doing=wrong, errno=EXDEV)
    master = emit_reopen(p, looked_at, O_RDWR | O_NOCTTY, spare_fd, doing="open it", proc=proc)
    p.close(looked_at)
    return master


def _emit_size_and_owner(p: Program, master: Register, terminal: Register, process: Process) -> None:
    size = process.console_size
    if size is not None:
        wanted = p.constant(_WINDOW_SIZE.pack(size.height & 0xFFFF, size.width & 0xFFFF, 0, 0))
        p.call("ioctl", master, TIOCSWINSZ, wanted, doing="set process.consoleSize")
    # The group and the mode are those that the devpts gives (its options gid= and mode=).
    if process.user.uid:
        p.call("fchown", terminal, process.user.uid, _SAME_GROUP, doing="give it to process.user")


def _emit_mount(p: Program, paths: RootPaths, facts: Facts, terminal: Register) -> None:
    """The terminal on /dev/console: a file made for it, or whatever stands there that is no link and no directory.

    CVE-2026-88264: a link of that name must neither be followed nor make a file elsewhere.
    """
    directory, name = paths.parent_and_name("/dev/console")
    paths.make_file(directory, name)
    target = paths.open_name(directory, name)
    facts.read(p, target)
    for kind, word in ((S_IFLNK, "link"), (S_IFDIR, "directory")):
        p.check(facts.mode, kind, doing=f"a {word} is there", errno=EEXIST, mask=S_IFMT, differs=True)
    tree = emit_clone_of(p, terminal, recursive=False, doing="bind the terminal")
    emit_attach(p, tree, target, doing="bind the terminal")
    p.close(tree)
    p.close(target)
    p.close(directory)


def _emit_send(p: Program, master: Register, console_fd: int, spare_fd: int) -> None:
    """One message with a name and exactly one descriptor: what conmon, containerd and recvtty want."""
    p.call("dup3", master, spare_fd, O_CLOEXEC, doing="send the terminal")
    p.call("sendmsg", console_fd, descriptor_message(p, _NAME, spare_fd), MSG_NOSIGNAL, doing="send the terminal")
    p.call("close", spare_fd, doing="close")
    p.call("close", console_fd, doing="close")
