"""run: create, start, and in the foreground stay until the end."""

from __future__ import annotations

from pyrunc import log
from pyrunc.container.create import Created, create_container
from pyrunc.container.delete import destroy, end_process
from pyrunc.container.notified import open_notifier
from pyrunc.container.start import start_created
from pyrunc.errors import PyruncError, during
from pyrunc.kernel.processes import set_child_subreaper
from pyrunc.kernel.signals import open_signals
from pyrunc.kernel.sockets import receive_descriptor, socket_pair
from pyrunc.process.relay import Terminal, exit_code, relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.options import CreateOptions
    from pyrunc.container.store import Store
    from pyrunc.kernel.files import Fd
    from pyrunc.process.notify import Notifier


def run_detached(store: Store, options: CreateOptions) -> None:
    """create and start; a container whose program cannot be executed is gone again."""
    created = create_container(store, options, _nothing)
    notifier = _start(store, created)
    if notifier is not None:
        notifier.wait(created.stage.pid)


def run_foreground(store: Store, options: CreateOptions, *, keep: bool, subreaper: bool) -> int:
    """The exit status of the container's program: 128 + the signal when one ended it."""
    if subreaper:
        set_child_subreaper()
    ours, theirs = socket_pair()
    with open_signals() as signals, ours, theirs:
        created = create_container(store, options, _nothing, console=theirs)
        terminal = Terminal(receive_descriptor(ours)) if created.has_terminal else None
        notifier = _start(store, created)
        status = _serve(created, signals, terminal, notifier)
    if not keep:
        _remove(store, created)
    return exit_code(status)


def _nothing(_created: Created) -> None:
    return None


def _start(store: Store, created: Created) -> Notifier | None:
    """A container that cannot be started is no use to anybody: nobody else knows its id yet."""
    with store.open(created.record.container_id) as directory:
        try:
            notifier = open_notifier(directory)
            with during("unable to start container process"):
                start_created(directory, created.record)
        except BaseException:
            end_process(created.record)
            destroy(directory, created.record)
            raise
        return notifier


def _serve(created: Created, signals: Fd, terminal: Terminal | None, notifier: Notifier | None) -> int:
    pid, pidfd = created.stage.pid, created.stage.pidfd
    if terminal is None:
        return relay(pid, pidfd, signals, None, notifier)
    with terminal:
        return relay(pid, pidfd, signals, terminal, notifier)


def _remove(store: Store, created: Created) -> None:
    """The container has ended by itself; what it leaves in the cgroup does not keep its exit status from the caller."""
    try:
        with store.open(created.record.container_id) as directory:
            destroy(directory, created.record)
    except PyruncError as error:
        log.warning(str(error))
