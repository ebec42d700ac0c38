"""HOME from the container's own /etc/passwd: a file that belongs to the container, so hostile.

No NSS (it loads libraries of the container's choice), no int() of strange digits, a limit on everything
(CVE-2016-3697, and containerd's CVE-2026-47262).  process/passwd_file.py reads it.
"""

from __future__ import annotations

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
