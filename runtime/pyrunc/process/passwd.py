"""HOME from the container's own /etc/passwd: a file that belongs to the container, so hostile.

No NSS (it loads libraries of the container's choice), no int() of strange digits, a limit on everything
(CVE-2016-3697, and containerd's CVE-2026-47262).
"""

from __future__ import annotations

from errno import EACCES, EFBIG, ELOOP, ENOENT, ENOTDIR, EXDEV

from pyrunc.kernel.beneath import open_in_root
from pyrunc.kernel.constants import O_PATH, O_RDONLY
from pyrunc.kernel.files import is_regular, open_directory, open_file, read_descriptor

MAX_SIZE = 1 << 20
MAX_LINE = 4096
MAX_HOME = 1024  # bytes, without the NUL; the slot for it in the program's data has this size
NO_HOME = "/"

_FIELDS = 7  # name, password, uid, gid, comment, home, shell: passwd(5)


def home_of(uid: int, content: bytes) -> str:
    """The home directory of the first line with this uid; "/" when there is none, or none that could be used."""
    wanted = str(uid).encode()
    for line in content.split(b"\n"):
        if len(line) > MAX_LINE or b"\0" in line or line[:1] in (b"#", b"+", b"-"):
            continue
        fields = line.split(b":")
        # Compared as text: passwd(5) has plain decimal numbers, and "01", "+1" or "1_0" are nobody's.
        if len(fields) == _FIELDS and fields[2] == wanted:
            home = fields[5]
            return home.decode("utf-8", "surrogateescape") if 0 < len(home) <= MAX_HOME else NO_HOME
    return NO_HOME


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
