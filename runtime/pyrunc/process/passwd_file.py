"""Reading the container's /etc/passwd from outside: no link to the host, no fifo, no device, not without end."""

from __future__ import annotations

from errno import EACCES, EFBIG, ELOOP, ENOENT, ENOTDIR, EXDEV

from pyrunc.kernel.beneath import open_in_root
from pyrunc.kernel.constants import O_PATH, O_RDONLY
from pyrunc.kernel.files import is_regular, open_directory, open_file, read_descriptor

MAX_SIZE = 1 << 20


def read_passwd(*roots: str) -> bytes:
    """/etc/passwd below the first of these host directories that may be entered; b"" when there is no usable one.

    /proc/PID/root is the first choice, the rootfs in the bundle the second: an unprivileged parent may not look into
    a non-dumpable process (proc(5)).
    """
    for root in roots:
        try:
            return _read_below(root)
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR, ELOOP, EXDEV, EFBIG):
                return b""
            if error.errno != EACCES:
                raise
    return b""


def _read_below(root: str) -> bytes:
    """Found first, opened for reading only when it is a regular file: a fifo would block, a device might act."""
    with open_directory(root) as directory, open_in_root(directory, "etc/passwd", O_PATH) as found:
        if not is_regular(found.number):
            return b""
        with open_file(f"/proc/self/fd/{found.number}", O_RDONLY) as file:
            return read_descriptor(file.number, limit=MAX_SIZE)
