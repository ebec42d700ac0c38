"""start: open the exec fifo, hear how it went, run the poststart hooks."""

from __future__ import annotations

import posix
from errno import EPERM
from select import POLLHUP, POLLIN, poll

from pyrunc.container.notified import open_notifier
from pyrunc.container.state import hook_state
from pyrunc.container.status import CREATED, PAUSED, STOPPED, is_alive, status_of
from pyrunc.container.store import EXEC_FIFO
from pyrunc.errors import HookFailed, PyruncError, StageFailed, StateError
from pyrunc.jsonio import dumps
from pyrunc.kernel.constants import O_CLOEXEC, O_NONBLOCK, O_RDONLY
from pyrunc.kernel.files import Fd
from pyrunc.kernel.processes import is_stage, open_pidfd, send_signal, take_descriptor
from pyrunc.process import sync
from pyrunc.process.hooks import run_hooks, tail
from pyrunc.process.hooks_inside import fill_failure
from pyrunc.process.sync import MESSAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from pyrunc.container.record import ContainerRecord
    from pyrunc.container.store import Directory, Store

_SIGKILL = 9
_HOOK = "startContainer hook #"  # in the labels of its operations (process/hooks_inside.py)


def start_container(store: Store, container_id: str) -> None:
    """Raises StateError in any state but `created`, StageFailed when the program could not be executed.

    After HookFailed the container is gone (runtime.md#lifecycle: on with step 12).
    """
    with store.open(container_id) as directory:
        record = store.load(container_id)
        status = status_of(record, store.root, is_ours=True)
        if status == STOPPED:
            raise StateError("cannot start a container that has stopped")
        if status == PAUSED:
            raise StateError("cannot start a container in the paused state")
        if status != CREATED:
            raise StateError("cannot start an already running container")
        try:
            start_and_wait(directory, record)
        except HookFailed:
            # runtime.md#lifecycle, steps 7 and 9: stopped, destroyed, and poststop hooks
            from pyrunc.container.delete import destroy, end_process

            end_process(record)
            destroy(directory, record)
            raise


def start_and_wait(directory: Directory, record: ContainerRecord) -> None:
    """start, and where a service manager waits for READY=1: until then."""
    notifier = open_notifier(directory)
    start_created(directory, record)
    if notifier is not None:
        directory.fd.close()  # unlocked: it may take long, and `kill` must not wait for it
        notifier.wait(record.pid)


def start_created(directory: Directory, record: ContainerRecord) -> None:
    """Let the stage execute the container's program, and hear whether it could."""
    pidfd = open_pidfd(record.pid)
    if pidfd is None:
        raise StateError("cannot start a container that has stopped")
    with pidfd:
        _release_stage(directory, record, pidfd)
        directory.remove_fifo()
        _run_poststart(record, pidfd)


def _release_stage(directory: Directory, record: ContainerRecord, pidfd: Fd) -> None:
    """Opening the fifo for reading is what the stage waits for; then it says how it goes, and EOF is success."""
    output = _open_hook_output(directory, record, pidfd) if record.hook_output else None
    fifo = Fd(posix.open(f"{directory.path}/{EXEC_FIFO}", O_RDONLY | O_NONBLOCK | O_CLOEXEC))
    with fifo:
        heard = _read_until_end(fifo, pidfd, record.pid)
    announced = False
    for offset in range(0, len(heard) - MESSAGE.size + 1, MESSAGE.size):
        index, value = MESSAGE.unpack_from(heard, offset)
        if value < 0:
            _raise_failure(fill_failure(record.start_failures.get(str(index), "{words}"), -value), -value, output)
        announced = True
    if output is not None:
        output.close()
    if not announced:
        if is_alive(record) and not is_stage(record.pid):  # another start, killed since, had let it go
            raise StateError("cannot start an already running container")
        raise StateError("the container's init ended before it could execute its program")


def _raise_failure(text: str, value: int, output: Fd | None) -> NoReturn:
    """Only a hook's failure ends the container for good; `output` is closed with the process."""
    if _HOOK not in text:
        raise StageFailed(text, value)
    raise HookFailed(text if output is None else f"{text}, output: {tail(output)}")


def _open_hook_output(directory: Directory, record: ContainerRecord, pidfd: Fd) -> Fd | None:
    """What startContainer hooks print goes to a memfd of the stage's: taken while there is a stage.  Without privileges
    nobody may (it is not dumpable), and it is a file."""
    output = directory.open_hook_output()
    if output is not None:
        return output
    try:
        return take_descriptor(pidfd, record.hook_output)
    except OSError as error:
        if error.errno != EPERM:  # root made it, and a user who may not starts it
            raise
        return None


def _read_until_end(fifo: Fd, pidfd: Fd, pid: int) -> bytes:
    """All that comes through the fifo until its writer is gone.

    poll(2) says POLLHUP only after a writer came and went; one that never comes (the stage was killed) shows as a
    readable pidfd.  One that is stopped, or frozen, is an error: startContainer hooks may take their time.
    """
    poller = poll()
    poller.register(fifo.number, POLLIN)
    poller.register(pidfd.number, POLLIN)
    heard = b""
    while True:
        events = dict(poller.poll(sync.PATIENCE_SECONDS * 1000))
        if not events:
            from pyrunc.process.silence import check_silence  # it hardly ever happens

            check_silence(pid, sync.PATIENCE_SECONDS, may_take_long=True)
        if events.get(fifo.number, 0) & POLLIN:
            heard += posix.read(fifo.number, 4096)
        elif events.get(fifo.number, 0) & POLLHUP or pidfd.number in events:
            return heard


def _run_poststart(record: ContainerRecord, pidfd: Fd) -> None:
    """A failing poststart hook ends the container (runtime.md#lifecycle, step 9, since 1.3)."""
    if not record.poststart:
        return
    state = dumps(hook_state(record, "running", record.pid)).encode("utf-8", "surrogateescape")
    try:
        run_hooks("poststart", record.poststart, state, record.bundle, record.annotations)
    except PyruncError:
        send_signal(pidfd, _SIGKILL)
        raise
