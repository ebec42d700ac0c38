"""Descriptors that the caller hands on to the container: --preserve-fds, and those of sd_listen_fds(3)."""

from __future__ import annotations

import posix
from errno import EBADF

from pyrunc.errors import UsageError

FIRST = 3  # after the standard ones


def listen_descriptors() -> int:
    """How many sockets are passed by sd_listen_fds(3): only those that are for this very process."""
    value = posix.environ.get(b"LISTEN_FDS", b"")
    if not value or posix.environ.get(b"LISTEN_PID", b"") != str(posix.getpid()).encode():
        return 0
    if not value.isdigit() or len(value) > 4:
        raise UsageError(f"LISTEN_FDS: not a number of descriptors: {value!r}")
    return int(value)


def check_inherited(preserve_fds: int) -> None:
    """Raises UsageError when one of them is not open.

    To be called before anything is opened: what we open ourselves must not be taken for one of them.
    """
    for number in range(FIRST, FIRST + preserve_fds + listen_descriptors()):
        try:
            posix.fstat(number)
        except OSError as error:
            if error.errno != EBADF:
                raise
            raise UsageError(f"preserve-fds: descriptor {number} is not open") from error
