"""Signals as descriptors: signalfd(2)."""

from __future__ import annotations

import posix
from errno import EAGAIN

from pyrunc.kernel.files import Fd
from pyrunc.kernel.lib import check, helper

_SIGINFO_SIZE = 128  # struct signalfd_siginfo; ssi_signo is its first u32
# Not to be had: KILL and STOP, and those that mean a bug of our own (they must do what they do).
_NOT_BLOCKED = (4, 7, 8, 9, 11, 19, 31, 32, 33)


def open_signals() -> Fd:
    """A signalfd for everything that can be sent to us, blocked from now on."""
    mask = 0
    for number in range(1, 65):
        if number not in _NOT_BLOCKED:
            mask |= 1 << number - 1
    return Fd(check(helper.pyrunc_signalfd(mask)))


def read_signals(signals: Fd) -> list[int]:
    """The numbers of the signals that have come; none: []."""
    try:
        content = posix.read(signals.number, _SIGINFO_SIZE * 64)
    except BlockingIOError as error:
        if error.errno == EAGAIN:
            return []
        raise
    return [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), _SIGINFO_SIZE)]
