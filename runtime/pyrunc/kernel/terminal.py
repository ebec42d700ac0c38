"""Terminals: raw mode and window size (ioctl_tty(2), termios(3))."""

from __future__ import annotations

import posix
from _struct import Struct
from errno import EBADF, EINVAL, EIO, ENOTTY
from fcntl import ioctl

from pyrunc.kernel.constants import (
    BRKINT,
    CS8,
    CSIZE,
    ECHO,
    ECHONL,
    ICANON,
    ICRNL,
    IEXTEN,
    IGNBRK,
    IGNCR,
    INLCR,
    ISIG,
    ISTRIP,
    IXON,
    OPOST,
    PARENB,
    PARMRK,
    TCGETS,
    TCSETS,
    TCSETSW,
    TIOCGWINSZ,
    TIOCSWINSZ,
)

_WINSIZE_SIZE = 8  # struct winsize: four u16
_TERMIOS = Struct("<4I20s")  # struct termios of the kernel: iflag, oflag, cflag, lflag; line and cc


def is_terminal(number: int) -> bool:
    return posix.isatty(number)


def make_raw(number: int) -> bytes:
    """Raw mode as cfmakeraw(3) has it; the struct termios of before, for `restore`.

    By ioctl(2): the module termios is a shared object in Debian's Python, which the static launcher cannot load.
    """
    before = ioctl(number, TCGETS, bytes(_TERMIOS.size))
    iflag, oflag, cflag, lflag, rest = _TERMIOS.unpack(before)
    iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON)
    lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN)
    cflag = cflag & ~(CSIZE | PARENB) | CS8
    ioctl(number, TCSETS, _TERMIOS.pack(iflag, oflag & ~OPOST, cflag, lflag, rest))
    return before


def restore(number: int, before: bytes) -> None:
    """As it was before `make_raw`; EIO: there is no terminal any more, it was hung up (tty_ioctl(4))."""
    try:
        ioctl(number, TCSETSW, before)
    except OSError as error:
        if error.errno != EIO:
            raise


def copy_window_size(source: int, target: int) -> None:
    """The size of the terminal `source` for `target`; nothing when `source` is none."""
    try:
        size = ioctl(source, TIOCGWINSZ, bytes(_WINSIZE_SIZE))
    except OSError as error:
        if error.errno in (ENOTTY, EBADF, EINVAL, EIO):
            return
        raise
    ioctl(target, TIOCSWINSZ, size)
