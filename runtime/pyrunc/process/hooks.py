"""Hooks in the runtime's namespaces: prestart, createRuntime, poststart, poststop (config.md#posix-platform-hooks).

A hook gets the state on stdin, its own environment and nothing else of ours: descriptors above 2 are close-on-exec,
and without `env` its environment is empty (CVE-2025-23266: never the image's).
"""

from __future__ import annotations

import posix
from posix import POSIX_SPAWN_DUP2 as DUP2

from pyrunc.errors import HookFailed, PyruncError, during, go_strerror
from pyrunc.kernel.constants import MFD_CLOEXEC, O_APPEND, O_CREAT, O_WRONLY
from pyrunc.kernel.files import Fd, open_file
from pyrunc.kernel.processes import keep_from_children, open_pidfd, reap, send_signal, wait_for_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocispec.config import Hook

STDOUT = "run.oci.hooks.stdout"
STDERR = "run.oci.hooks.stderr"
NO_ANNOTATIONS: Mapping[str, str] = {}
_SIGKILL = 9
_KEPT_OUTPUT = 4096  # bytes of a failing hook's output that go into the error
_ALL_SIGNALS = [number for number in range(1, 65) if number not in (9, 19, 32, 33)]


def run_hooks(
    kind: str, hooks: Sequence[Hook], state: bytes, cwd: str, annotations: Mapping[str, str] = NO_ANNOTATIONS
) -> None:
    """Run hooks of one kind in listed order.  HookFailed says which one, how it ended, and what it printed."""
    for index, hook in enumerate(hooks):
        run_hook(f"{kind} hook #{index}", hook, state, cwd, annotations)


def run_remaining_hooks(
    kind: str, hooks: Sequence[Hook], state: bytes, cwd: str, annotations: Mapping[str, str] = NO_ANNOTATIONS
) -> list[str]:
    """All of them, whatever the others do (runtime.md#lifecycle, step 13); what went wrong, a sentence each."""
    failures: list[str] = []
    for index, hook in enumerate(hooks):
        try:
            run_hook(f"{kind} hook #{index}", hook, state, cwd, annotations)
        except PyruncError as error:
            failures.append(str(error))
    return failures


def run_hook(name: str, hook: Hook, state: bytes, cwd: str, annotations: Mapping[str, str] = NO_ANNOTATIONS) -> None:
    """One hook.  stdin and the output are memfds: a hook that reads or writes late, or never, blocks nobody."""
    with (
        _memory(state) as given,
        open_output(annotations, STDOUT) as stdout,
        open_output(annotations, STDERR) as stderr,
    ):
        problem = _run(hook, given, stdout, stderr, cwd)
        if problem:
            printed = annotations.get(STDOUT) or tail(stdout), annotations.get(STDERR) or tail(stderr)
            shown = f", stdout: {printed[0]}, stderr: {printed[1]}"
            raise HookFailed(f"error running {name}: {problem}{shown}")


def _run(hook: Hook, given: Fd, stdout: Fd, stderr: Fd, cwd: str) -> str:
    """What went wrong, or ""."""
    keep_from_children()
    previous = posix.getcwd()
    posix.chdir(cwd)  # posix_spawn(3) has no portable way to set it; nobody else runs in this process
    try:
        pid = posix.posix_spawn(
            hook.path,
            hook.args or (hook.path,),
            environment(hook.env),
            file_actions=[(DUP2, given.number, 0), (DUP2, stdout.number, 1), (DUP2, stderr.number, 2)],
            setsigmask=[],
            setsigdef=_ALL_SIGNALS,
        )
    except OSError as error:
        return f"fork/exec {hook.path}: {go_strerror(error.errno or 0)}"
    finally:
        posix.chdir(previous)
    pidfd = open_pidfd(pid)
    if pidfd is not None and hook.timeout is not None and not wait_for_exit(pidfd, hook.timeout):
        send_signal(pidfd, _SIGKILL)
        reap(pid)
        return f"hook ran past specified timeout of {hook.timeout:.1f}s"
    return describe_status(reap(pid) or 0)


def environment(entries: Sequence[str]) -> dict[str, str]:
    """`NAME=value` entries; the last of a name wins, as in runc."""
    return dict(entry.partition("=")[::2] for entry in entries)


def describe_status(status: int) -> str:
    """A wait status in Go's words, "" for success: what users of runc's errors know."""
    if posix.WIFSIGNALED(status):
        return f"signal: {posix.WTERMSIG(status)}"
    code = posix.WEXITSTATUS(status)
    return f"exit status {code}" if code else ""


def _memory(content: bytes) -> Fd:
    memory = Fd(posix.memfd_create("hook", MFD_CLOEXEC))
    posix.write(memory.number, content)
    posix.lseek(memory.number, 0, 0)
    return memory


def open_output(annotations: Mapping[str, str], name: str) -> Fd:
    """Where a hook prints to: the file that crun's annotation names (crun(1)), or a memfd."""
    path = annotations.get(name)
    if not path:
        return _memory(b"")
    with during(f'annotations["{name}"]: open {path}'):
        return open_file(path, O_WRONLY | O_APPEND | O_CREAT)


def tail(output: Fd) -> str:
    """The end of what a hook printed to a memfd."""
    size = posix.fstat(output.number).st_size
    content = posix.pread(output.number, _KEPT_OUTPUT, max(0, size - _KEPT_OUTPUT))
    return content.decode("utf-8", "replace").strip()
