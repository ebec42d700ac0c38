"""Terminals: raw mode and window size (ioctl_tty(2), termios(3))."""

from __future__ import annotations

import posix
from errno import EBADF, EINVAL, EIO, ENOTTY
from fcntl import ioctl

from pyrunc.kernel.constants import TIOCGWINSZ, TIOCSWINSZ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WINSIZE_SIZE = 8  # struct winsize: four u16


def is_terminal(number: int) -> bool:
    return posix.isatty(number)


def make_raw(number: int) -> Any:
    """Raw mode as cfmakeraw(3) has it; what tcgetattr(3) said before, for `restore`.

    termios is imported here: it is an extension module of its own, and only a foreground terminal needs it.
    """
    import termios

    before = termios.tcgetattr(number)
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(number)
    iflag &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR
        | termios.ICRNL | termios.IXON
    )  # fmt: skip
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    termios.tcsetattr(number, termios.TCSANOW, [iflag, oflag, cflag, lflag, ispeed, ospeed, cc])
    return before


def restore(number: int, before: Any) -> None:
    """As it was before `make_raw`; EIO: there is no terminal any more, it was hung up (tty_ioctl(4))."""
    import termios

    try:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
    except termios.error as error:
        if error.args[0] != EIO:
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
