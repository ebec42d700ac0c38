"""Descriptors and whole files.  Every descriptor is close-on-exec from birth (PEP 446)."""

from __future__ import annotations

import posix
from errno import EBADF, EFBIG, ENOENT

from pyrunc.kernel.constants import (
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_NOFOLLOW,
    O_NONBLOCK,
    O_PATH,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Fd:
    """Owns one descriptor: closed at the end of its `with` block, or when `take` hands it on."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> Fd:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """An error that close(2) reports is one of an earlier write: those who write look at it (`replace_file`)."""
        if self.number >= 0:
            number, self.number = self.number, -1
            try:
                posix.close(number)
            except OSError as error:
                if error.errno == EBADF:  # a bug of ours; else the descriptor is free, and nothing else was wanted
                    raise

    def take(self) -> int:
        """The descriptor, now the caller's."""
        number, self.number = self.number, -1
        return number


def open_file(path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> Fd:
    return Fd(posix.open(path, flags | O_CLOEXEC, mode, dir_fd=dir_fd))


def open_directory(path: str, *, dir_fd: int | None = None) -> Fd:
    """An O_PATH descriptor of a directory."""
    return open_file(path, O_PATH | O_DIRECTORY, dir_fd=dir_fd)


def read_file(path: str, *, limit: int = 1 << 20, dir_fd: int | None = None) -> bytes:
    """The content of a host file of ours or the kernel's; more than `limit` bytes is EFBIG."""
    with open_file(path, O_RDONLY, dir_fd=dir_fd) as file:
        return read_descriptor(file.number, limit=limit)


def read_descriptor(number: int, *, limit: int) -> bytes:
    """All that can be read from a descriptor; more than `limit` bytes is EFBIG."""
    chunks: list[bytes] = []
    total = 0
    while chunk := posix.read(number, 65536):
        chunks.append(chunk)
        total += len(chunk)
        if total > limit:
            raise OSError(EFBIG, posix.strerror(EFBIG))
    return b"".join(chunks)


def write_file(path: str, content: str, *, dir_fd: int | None = None) -> None:
    """One write(2) to an existing file: how cgroup, proc and sys files want it."""
    with open_file(path, O_WRONLY, dir_fd=dir_fd) as file:
        posix.write(file.number, content.encode())


def replace_file(dir_fd: int, name: str, content: bytes, mode: int) -> None:
    """Write a temporary beside `name`, then rename(2): readers see the old content or the new, nothing between."""
    temporary = f".{name}.{posix.getpid()}"
    with open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode, dir_fd=dir_fd) as file:
        written = 0
        while written < len(content):
            written += posix.write(file.number, content[written:])
        posix.close(file.take())  # EIO, ENOSPC, EDQUOT: close(2)
    posix.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def exists(path: str) -> bool:
    """Whether a host path leads to something.  Only ENOENT means no."""
    try:
        posix.stat(path)
    except OSError as error:
        if error.errno == ENOENT:
            return False
        raise
    return True


def is_link(path: str) -> bool:
    return posix.lstat(path).st_mode & S_IFMT == S_IFLNK


def is_regular(number: int) -> bool:
    return posix.fstat(number).st_mode & S_IFMT == S_IFREG


def list_directory(path: str | int) -> Sequence[str]:
    return posix.listdir(path)


def make_directory(path: str, mode: int = 0o755, *, dir_fd: int | None = None) -> None:
    posix.mkdir(path, mode, dir_fd=dir_fd)


def remove_directory(path: str, *, dir_fd: int | None = None) -> None:
    posix.rmdir(path, dir_fd=dir_fd)


NONBLOCKING_READ = O_RDONLY | O_NONBLOCK | O_NOFOLLOW
