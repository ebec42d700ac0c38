"""A mount namespace of this process's own, with the host's cgroups or with version 2 alone."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
CGROUPS = b"/sys/fs/cgroup"

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_mounts() -> Iterator[None]:
    """What this process and its children mount meanwhile is nobody else's, and is gone afterwards.

    For a process of one thread: setns(2) takes no other back.
    """
    directory = os.getcwd()
    before = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNS))
        _check(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        yield
    finally:
        _check(_libc.setns(before, CLONE_NEWNS))
        os.close(before)
        os.chdir(directory)  # setns(2) goes to the root


def leave_version_2_alone() -> None:
    """/sys/fs/cgroup becomes a version 2 tree, and no other hierarchy is mounted any more."""
    _check(_libc.umount2(CGROUPS, MNT_DETACH))
    _check(_libc.mount(b"none", CGROUPS, b"cgroup2", 0, None))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
