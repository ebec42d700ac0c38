"""delete: give back everything that create made, in reverse order.

Without a state.json that can be read the journal says what there may be: container/store.py.
"""

from __future__ import annotations

from ocispec.record import replace
from pyrunc import log
from pyrunc.cgroups import drivers
from pyrunc.cgroups.place import ContainerCgroup, from_json
from pyrunc.cgroups.processes import kill_all, processes, thaw_if_frozen
from pyrunc.container.kill import SIGKILL
from pyrunc.container.state import hook_state
from pyrunc.container.status import CREATED, STOPPED, is_alive, status_of
from pyrunc.errors import StateError
from pyrunc.jsonio import dumps
from pyrunc.kernel.processes import (
    boot_id,
    may_signal,
    open_pidfd,
    reap,
    send_signal,
    start_time,
    wait_for_exit,
)
from pyrunc.process.hooks import run_remaining_hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.record import ContainerRecord
    from pyrunc.container.store import Directory, Store

# After a second it is asked again whether somebody has frozen it.
_KILL_WAITS_SECONDS = (1.0, 9.0)
_NO_CGROUP = ContainerCgroup(hierarchies=()).as_json()


def delete_container(store: Store, container_id: str, *, force: bool) -> None:
    """Raises StateError `container does not exist` (not with `force`), or when it is not stopped.

    A container that was created and never started is deleted too: engines lean on that (docs/compat.md).
    """
    try:
        directory = store.open(container_id)
    except StateError:
        if force:
            return
        raise
    with directory:
        record = _load(store, container_id, force)
        if record is None:
            directory.remove()
            return
        status = status_of(record, store.root, is_ours=True)
        if status not in (STOPPED, CREATED) and not force:
            raise StateError(f"cannot delete container {container_id} that is not stopped: {status}")
        if status != STOPPED or _is_there_all_the_same(record):
            if status == STOPPED and not force:
                raise StateError(f"cannot delete container {container_id} that is not stopped")
            end_process(record)
        elif record.pid == 0 and not _end_unfinished(store, directory, record):
            directory.remove()
            return
        destroy(directory, record)


def _load(store: Store, container_id: str, force: bool) -> ContainerRecord | None:
    """None: there is nothing to go by but the directory; a create that was killed early leaves that."""
    try:
        return store.load(container_id)
    except StateError as error:
        if not force and str(error) != "container does not exist":
            raise
        log.debug(f"container {container_id}: {error}, removing what the journal says")
    try:
        return store.load_journal(container_id)
    except StateError as error:
        log.debug(f"container {container_id}: {error}, removing its directory")
        return None


def _end_unfinished(store: Store, directory: Directory, record: ContainerRecord) -> bool:
    """SIGKILL to what runs in the cgroups that create made: nobody knows init's pid, but where there are none.

    Of a create that was killed that is the stage, as long as a hook inside keeps it from noticing; where state.json was
    damaged, the container.  False, and nothing is done, when the cgroup is another container's meanwhile.
    """
    noted = directory.noted_process()
    if noted is not None:
        pid, started, boot = noted
        end_process(replace(record, pid=pid, start_time=started, boot_id=boot, cgroup=_NO_CGROUP))
        return True
    cgroup = from_json(record.cgroup)
    ours = replace(cgroup, hierarchies=tuple(one for one in cgroup.hierarchies if one.path in cgroup.made))
    if not processes(ours):
        return True
    if any(_uses(store, other, cgroup.made) for other in store.ids() if other != record.container_id):
        log.warning(f"container {record.container_id}: its cgroup is in use by another container and stays")
        return False
    kill_all(ours, SIGKILL)
    return True


def _uses(store: Store, container_id: str, paths: tuple[str, ...]) -> bool:
    try:
        cgroup = store.load(container_id).cgroup
    except StateError:
        return False
    return bool(cgroup) and any(one.path in paths for one in from_json(cgroup).hierarchies)


def end_process(record: ContainerRecord) -> None:
    """SIGKILL to init and a wait until it is gone."""
    if not _kill(record) and _is_there_all_the_same(record) and not _kill(record):
        raise StateError(f"process {record.pid} of the container is there, and could not be killed")
    reap(record.pid)


def _kill(record: ContainerRecord) -> bool:
    """False when it is said to be gone before the signal was sent."""
    pidfd = open_pidfd(record.pid)
    if pidfd is None:
        return False
    with pidfd:
        if not is_alive(record) or not send_signal(pidfd, SIGKILL):
            return False
        for seconds in _KILL_WAITS_SECONDS:
            thaw_if_frozen(from_json(record.cgroup))
            if wait_for_exit(pidfd, seconds):
                return True
    raise StateError(f"process {record.pid} does not end {sum(_KILL_WAITS_SECONDS):.0f} s after SIGKILL")


def _is_there_all_the_same(record: ContainerRecord) -> bool:
    """Whether init is alive although one witness, /proc or a pidfd, said that it is gone: two have to agree.

    A cgroup that create made is the second witness, and costs nothing: it cannot be removed with a process in it.
    Without one it is kill(2).  Raises StateError when /proc does not show a process of ours: hidepid, proc(5).
    """
    if record.pid == 0 or record.cgroup.get("made"):
        return False
    for _try in range(2):  # it may end between the two questions
        if not may_signal(record.pid):
            return False
        if start_time(record.pid) is not None:
            return is_alive(record)
    raise StateError(
        f"whether process {record.pid} is the container's is not known: /proc does not show it, and it is there"
    )


def destroy(directory: Directory, record: ContainerRecord) -> None:
    """Remove the cgroup, with what still lives in it, and the state; then the poststop hooks (runtime.md#delete)."""
    if record.cgroup:
        cgroup = from_json(record.cgroup)
        if not record.has_private_pid_namespace and record.boot_id == boot_id():
            kill_all(cgroup, SIGKILL)
        drivers.remove(cgroup)
    if record.rdt:
        from pyrunc.container import rdt

        rdt.remove(record)
    directory.remove()
    state = dumps(hook_state(record, STOPPED, 0)).encode("utf-8", "surrogateescape")
    for failure in run_remaining_hooks("poststop", record.poststop, state, record.bundle, record.annotations):
        log.warning(failure)
