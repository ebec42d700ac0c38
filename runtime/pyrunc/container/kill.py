"""kill: a signal to the container's process, or to all its processes."""

from __future__ import annotations

from pyrunc.cgroups.place import from_json
from pyrunc.cgroups.processes import kill_all, thaw_if_frozen
from pyrunc.container.status import CREATING, STOPPED, is_alive, status_of
from pyrunc.errors import StateError, UsageError
from pyrunc.kernel import constants
from pyrunc.kernel.processes import open_pidfd, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.store import Store

SIGKILL = 9
_MAX_SIGNAL = 64
_FIRST_REAL_TIME = 34  # 32 and 33 are glibc's own, signal(7)


def parse_signal(text: str) -> int:
    """A signal's number: `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`.  0 asks whether the process is there."""
    if text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= _MAX_SIGNAL:
        return int(text)
    name = text.upper().removeprefix("SIG")
    if name in ("RTMIN", "RTMAX"):
        return _FIRST_REAL_TIME if name == "RTMIN" else _MAX_SIGNAL
    for base in ("RTMIN+", "RTMAX-"):
        digits = name.removeprefix(base)
        if digits != name and digits.isascii() and digits.isdigit() and int(digits) <= 30:
            return _FIRST_REAL_TIME + int(digits) if base == "RTMIN+" else _MAX_SIGNAL - int(digits)
    if name.isalnum():
        number = getattr(constants, f"SIG{name}", None)
        if type(number) is int:
            return number
    raise UsageError(f'unknown signal "{text}"')


def kill_container(store: Store, container_id: str, signal_text: str, *, all_processes: bool) -> None:
    """Raises UsageError for what names no signal, but first StateError for what names no container, as runc.
    Raises StateError `container not running` for a stopped one, but not with `all_processes` (engines rely on it).

    Without a pid namespace of its own the end of init ends nobody else: then SIGKILL goes to all of the cgroup, as in
    runc.
    """
    record = store.load(container_id)
    signal = parse_signal(signal_text)
    has_ended = status_of(record, store.root) in (STOPPED, CREATING)
    if has_ended and not all_processes:
        raise StateError("container not running")
    if all_processes or (signal == SIGKILL and not record.has_private_pid_namespace):
        cgroup = from_json(record.cgroup)
        if cgroup.hierarchies:
            kill_all(cgroup, signal)
            return
        # Without a cgroup of its own (--cgroup-manager disabled, rootless) only init is known to be the container's.
        if has_ended:
            return
    pidfd = open_pidfd(record.pid)
    if pidfd is None:
        raise StateError("container not running")
    with pidfd:
        # Asked again now that the pid cannot be reused under us.
        if not is_alive(record) or not send_signal(pidfd, signal):
            raise StateError("container not running")
    if signal == SIGKILL:
        thaw_if_frozen(from_json(record.cgroup))
