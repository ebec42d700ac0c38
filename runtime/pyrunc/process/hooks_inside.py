"""createContainer and startContainer hooks: operations of the stage's program (config.md#posix-platform-hooks).

The stage forks, the child gets the state as a memfd on stdin and becomes the hook; the parent waits for its pidfd
with the hook's timeout.  createContainer paths are the host's and run before pivot_root, startContainer paths are the
container's.
"""

from __future__ import annotations

from errno import ETIMEDOUT

from pyrunc.kernel.constants import CLONE_PIDFD, MFD_CLOEXEC, POLLIN
from pyrunc.process.hooks import describe_status
from pyrunc.program.operations import Label, fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocispec.config import Hook
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Pointer, Register

_SIGCHLD = 17
_SIGKILL = 9
_POLLFD_SIZE = 8  # struct pollfd: fd i32, events i16, revents i16 (poll(2))
ANY_FAILURE = 0  # as the errno of a check: report the compared value itself (csrc/stage.c)


class Output:
    """The stage's descriptors for what hooks print; one for both unless there are two."""

    __slots__ = ("stderr", "stdout")

    def __init__(self, stdout: int, stderr: int = -1) -> None:
        self.stdout = stdout
        self.stderr = stdout if stderr < 0 else stderr


class HookStatusLabel(Label):
    """A label whose failure value is a wait status, not an errno."""

    def template(self) -> str:
        return f"error running {self.subject}: {{status}}"

    def failure(self, errno: int) -> str:
        return fill_failure(self.template(), errno)


def fill_failure(template: str, value: int) -> str:
    """A label's template for what the stage reported: an errno, or how a hook ended."""
    return fill(template.replace("{status}", describe_status(value)), value)


def emit_hooks(
    p: Program,
    kind: str,
    hooks: Sequence[Hook],
    state: Pointer,
    output: Output,
    *,
    directory: Register | None,
    environment: Pointer | None,
) -> None:
    """All hooks of one kind, in listed order.

    state        where the state's JSON stands when the program gets here
    output       the stage's descriptors for their stdout and stderr
    directory    their cwd, None: the process's own
    environment  what a hook without `env` gets; None: nothing
    """
    for index, hook in enumerate(hooks):
        place, name = f"hooks.{kind}[{index}]", f"{kind} hook #{index}"
        with p.at(place, name):
            waiting = _emit_hook(p, name, hook, state, output, directory, environment)
            status = HookStatusLabel(place, name, "check how it ended")
            _emit_wait(p, name, hook, *waiting, status)


def _emit_hook(
    p: Program,
    name: str,
    hook: Hook,
    state: Pointer,
    output: Output,
    directory: Register | None,
    environment: Pointer | None,
) -> tuple[Register, Pointer]:
    """The hook is started: its pid, and what poll(2) waits for."""
    given = p.result("memfd_create", "hook", MFD_CLOEXEC, doing="make its stdin")
    p.call("write", given, state, state.size, doing="write the state")
    p.call("lseek", given, 0, 0, doing="rewind the state")
    waiting = p.structure(bytes(4) + POLLIN.to_bytes(2, "little") + bytes(2))
    pid = p.register()
    in_parent = p.target()
    # clone(2) writes the pidfd to its third argument: straight into the struct pollfd.
    p.call("clone", CLONE_PIDFD | _SIGCHLD, 0, waiting, 0, 0, doing="fork", into=pid)
    p.jump_if(pid, 0, in_parent, differs=True)
    _emit_child(p, name, hook, given, output, directory, environment)
    p.here(in_parent)
    p.close(given)
    return pid, waiting


def _emit_child(
    p: Program,
    name: str,
    hook: Hook,
    given: Register,
    output: Output,
    directory: Register | None,
    environment: Pointer | None,
) -> None:
    p.call("dup3", given, 0, 0, doing="hand over stdin")
    p.call("dup3", output.stdout, 1, 0, doing="hand over stdout")
    p.call("dup3", output.stderr, 2, 0, doing="hand over stderr")
    if directory is not None:
        p.call("fchdir", directory, doing="enter its directory")
    envp = p.pointers(hook.env) if hook.env or environment is None else environment
    says = f"error running {name}: fork/exec {hook.path}: {{errno}}"
    p.call("execve", hook.path, p.pointers(hook.args or (hook.path,)), envp, doing="execute the hook", says=says)


def _emit_wait(p: Program, name: str, hook: Hook, pid: Register, waiting: Pointer, label: HookStatusLabel) -> None:
    status = p.scratch(8)
    if hook.timeout is not None:
        ended = p.target()
        limit = p.constant(hook.timeout.to_bytes(8, "little") + bytes(8))
        ready = p.result("ppoll", waiting, 1, limit, 0, 8, doing="wait for it")
        p.jump_if(ready, 0, ended, differs=True)
        p.release(ready)
        p.call("kill", pid, _SIGKILL, doing="end it")
        p.call("wait4", pid, status, 0, 0, doing="wait for it")
        says = f"error running {name}: hook ran past specified timeout of {hook.timeout:.1f}s"
        p.check(p.scratch(1), 1, doing="time out", errno=ETIMEDOUT, says=says)
        p.here(ended)
    p.call("wait4", pid, status, 0, 0, doing="wait for it")
    p.check(status.field(0, 4), 0, doing="check how it ended", errno=ANY_FAILURE)
    p.relabel(label)
    p.release(pid)
