"""The state root: one directory a container, with state.json, the exec fifo, and a lock on the directory itself.

    <root>/<id>/state.json   0600, replaced by rename(2): readers never see half of it
    <root>/<id>/journal      a symbolic link whose text is a record: what create was about to make, before it did
    <root>/<id>/process      the same for init, of a container that has made no cgroup: "pid starttime boot"
    <root>/<id>/exec.fifo    there from create to start: a container that has it is `created`
    <root>/<id>/node3        linux.devices[3], while a container with a user namespace is made
    <root>/<id>/hooks.out    what startContainer hooks print, without root (else the stage keeps that in memory)
    <root>/<id>/notify/      with the socket for sd_notify(3), when the caller had NOTIFY_SOCKET

The lock is flock(2) on the container's directory: it ends with its process, so a killed command leaves none behind.

The journal is one symlinkat(2), where a file that is there as a whole or not at all takes four calls.  It stays as
long as the container, and stands in for a state.json that is not there (create was killed) or that cannot be read
(delete --force).  It names the cgroup, and so all processes; who has none has to name init.
"""

from __future__ import annotations

import posix
from errno import EEXIST, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, EWOULDBLOCK
from fcntl import LOCK_EX, LOCK_NB, flock

from ocispec.record import replace
from pyrunc import log
from pyrunc.container.record import ContainerRecord, from_json, to_json
from pyrunc.errors import PyruncError, StateError, during
from pyrunc.jsonio import JsonError, dumps, loads
from pyrunc.kernel.constants import (
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    O_RDWR,
)
from pyrunc.kernel.files import Fd, read_file, replace_file

STATE_FILE = "state.json"
JOURNAL = "journal"
PROCESS_JOURNAL = "process"
EXEC_FIFO = "exec.fifo"
NOTIFY_DIRECTORY = "notify"
HOOK_OUTPUT_FILE = "hooks.out"
# others may write: the stage opens it by descriptor as whatever user the container has (fifo(7), chmod(2))
_FIFO_MODE = 0o622
_MAX_STATE = 16 << 20

_FIRST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-")
_CHARACTERS = _FIRST_CHARACTERS | {"."}
_MAX_ID = 255  # it names a directory: NAME_MAX of every file system


def check_id(container_id: str) -> str:
    """The id, if it is one: it becomes a directory name and part of cgroup paths."""
    if (
        not container_id
        or len(container_id) > _MAX_ID
        or container_id[0] not in _FIRST_CHARACTERS
        or not _CHARACTERS.issuperset(container_id)
    ):
        raise StateError("invalid container ID format")
    return container_id


class Store:
    """The containers below one state root."""

    def __init__(self, root: str) -> None:
        self.root = root

    def ids(self) -> tuple[str, ...]:
        """The ids of all directories that could be containers, sorted; raises OSError when there is no root."""
        return tuple(sorted(name for name in posix.listdir(self.root) if _is_id(name)))

    def load(self, container_id: str) -> ContainerRecord:
        """Raises StateError `container does not exist`, or what is wrong with the state file.

        A container whose create has not come to its end, or never will, has pid 0.
        """
        check_id(container_id)
        try:
            content = read_file(f"{self.root}/{container_id}/{STATE_FILE}", limit=_MAX_STATE)
        except OSError as error:
            if error.errno not in (ENOENT, ENOTDIR):
                raise
            return self.load_journal(container_id)
        return _parse(content, STATE_FILE)

    def load_journal(self, container_id: str) -> ContainerRecord:
        """What create was about to make, without hooks: `Directory.note`.  Raises as `load` does."""
        try:
            content = posix.readlink(f"{self.root}/{container_id}/{JOURNAL}")
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR):
                raise StateError("container does not exist") from error
            raise
        return _parse(content.encode("utf-8", "surrogateescape"), JOURNAL)

    def create(self, container_id: str) -> Directory:
        """A new container's directory, locked.  Raises StateError when the id is in use."""
        check_id(container_id)
        with during(f"make the state directory {self.root}/{container_id}"):
            _make_directories(self.root)
            try:
                posix.mkdir(f"{self.root}/{container_id}", 0o700)
            except FileExistsError as error:  # EEXIST
                raise _Taken() from error
        try:
            return self.open(container_id)
        except BaseException:
            _remove_empty(f"{self.root}/{container_id}")
            raise

    def open(self, container_id: str, *, wait: bool = True) -> Directory:
        """An existing container's directory, locked: waits for whoever holds the lock.

        With `wait` false a lock that is held is StateError: somebody is creating or deleting it right now.
        """
        check_id(container_id)
        path = f"{self.root}/{container_id}"
        try:
            fd = Fd(posix.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR):
                raise StateError("container does not exist") from error
            raise
        try:
            flock(fd.number, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        except OSError as error:
            fd.close()
            if error.errno == EWOULDBLOCK:
                raise StateError("container is busy: another command works on it") from error
            raise
        return Directory(path, fd)


def _parse(content: bytes, name: str) -> ContainerRecord:
    try:
        return from_json(loads(content))
    except JsonError as error:
        raise StateError(f"{name} is damaged: {error}") from error


class _Taken(StateError):
    """Not wrapped in `during` words: engines match on the bare sentence."""

    def __init__(self) -> None:
        super().__init__("container with given ID already exists")

    def __str__(self) -> str:
        return self.text


class Directory:
    """One container's directory, open and locked."""

    def __init__(self, path: str, fd: Fd) -> None:
        self.path = path
        self.fd = fd

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_error: object) -> None:
        self.fd.close()

    def save(self, record: ContainerRecord) -> None:
        with during("write state.json"):
            replace_file(self.fd.number, STATE_FILE, dumps(to_json(record)).encode("utf-8", "surrogateescape"), 0o600)

    def note(self, record: ContainerRecord) -> None:
        """Write down what will be made, before it is: in the journal, and in state.json when it does not hold all.

        poststop hooks are run for a container whose create was killed, too: they need the whole record.
        """
        short = replace(record, poststart=(), poststop=(), config={}, start_failures={})
        if not self._link(short):
            self._link(replace(short, annotations={}))
            self.save(record)
        elif record.poststop:
            self.save(record)

    def _link(self, record: ContainerRecord) -> bool:
        """The journal; False when the text is too long."""
        text = dumps(to_json(record)).encode("utf-8", "surrogateescape")
        try:
            posix.symlink(text, JOURNAL, dir_fd=self.fd.number)
        except OSError as error:
            if error.errno == ENAMETOOLONG:  # PATH_MAX; some file systems take less
                return False
            with during("write the journal"):
                raise
        return True

    def note_process(self, record: ContainerRecord) -> None:
        """Write down who init is, before state.json does."""
        with during("write the journal"):
            text = f"{record.pid} {record.start_time} {record.boot_id}"
            posix.symlink(text, PROCESS_JOURNAL, dir_fd=self.fd.number)

    def noted_process(self) -> tuple[int, int, str] | None:
        """(pid, starttime, boot id), or None when there is no such note.  Raises StateError when it is none of ours."""
        try:
            pid, started, boot = posix.readlink(PROCESS_JOURNAL, dir_fd=self.fd.number).split()
            return int(pid), int(started), boot
        except FileNotFoundError:  # ENOENT
            return None
        except ValueError as error:
            raise StateError(f"{PROCESS_JOURNAL} is damaged") from error

    def make_fifo(self) -> Fd:
        """The exec fifo, as an O_PATH descriptor: the stage opens that, never a path."""
        with during("make the exec fifo"):
            posix.mkfifo(EXEC_FIFO, _FIFO_MODE, dir_fd=self.fd.number)
            posix.chmod(f"{self.path}/{EXEC_FIFO}", _FIFO_MODE)  # whatever the umask is
            return Fd(posix.open(EXEC_FIFO, O_PATH | O_NOFOLLOW | O_CLOEXEC, dir_fd=self.fd.number))

    def remove_fifo(self) -> None:
        try:
            posix.unlink(EXEC_FIFO, dir_fd=self.fd.number)
        except FileNotFoundError:  # ENOENT: another start was quicker
            pass

    def make_hook_output(self) -> Fd:
        """A file for what startContainer hooks print, where `start` may not take the stage's memfd."""
        with during("make the file for the output of hooks"):
            flags = O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC
            return Fd(posix.open(HOOK_OUTPUT_FILE, flags, 0o600, dir_fd=self.fd.number))

    def open_hook_output(self) -> Fd | None:
        """The same, to be read; None when there is none."""
        try:
            return Fd(posix.open(HOOK_OUTPUT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, dir_fd=self.fd.number))
        except FileNotFoundError:  # ENOENT
            return None

    def make_notify(self) -> None:
        """A directory that the container sees: others may pass through it, and nothing else is in it."""
        with during("make the directory of the notify socket"):
            posix.mkdir(NOTIFY_DIRECTORY, 0o755, dir_fd=self.fd.number)

    def open_notify(self) -> Fd | None:
        """The directory, or None when the container was created without."""
        try:
            return Fd(
                posix.open(NOTIFY_DIRECTORY, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, dir_fd=self.fd.number)
            )
        except FileNotFoundError:  # ENOENT
            return None

    def _remove_notify(self) -> None:
        directory = self.open_notify()
        if directory is None:
            return
        with directory:
            for name in posix.listdir(f"/proc/self/fd/{directory.number}"):
                posix.unlink(name, dir_fd=directory.number)
        posix.rmdir(NOTIFY_DIRECTORY, dir_fd=self.fd.number)

    def remove(self) -> None:
        """The directory and all in it; what is gone already is fine."""
        with during(f"remove the state directory {self.path}"):
            self._remove_notify()
            for name in posix.listdir(self.fd.number):
                _remove_entry(self.fd.number, name)
            try:
                posix.rmdir(self.path)
            except FileNotFoundError:  # ENOENT: a second delete was quicker
                pass


def _remove_empty(path: str) -> None:
    """What could not be opened or locked: the error that brought us here goes on."""
    try:
        posix.rmdir(path)
    except OSError as error:
        if error.errno != ENOENT:
            log.warning(f"remove the state directory {path}: {posix.strerror(error.errno or 0)}")


def _remove_entry(dir_fd: int, name: str) -> None:
    try:
        posix.unlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno not in (ENOENT, EISDIR, EPERM):
            raise
        if error.errno != ENOENT:
            raise PyruncError(f"an unexpected directory {name} is in the way") from error


def _make_directories(path: str) -> None:
    """mkdir -p of the state root, 0711: others may pass through to what they are shown by name."""
    try:
        posix.mkdir(path, 0o711)
    except OSError as error:
        if error.errno == EEXIST:
            return
        if error.errno != ENOENT:
            raise
        parent = path.rstrip("/").rpartition("/")[0]
        if not parent:
            raise
        _make_directories(parent)
        posix.mkdir(path, 0o711)


def _is_id(name: str) -> bool:
    return name[:1] in _FIRST_CHARACTERS and _CHARACTERS.issuperset(name)
