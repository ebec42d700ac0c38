"""Commands that need files of Python's library or of ours: a native launcher leaves for a script.

The script is csrc/make_launcher.py's, with the same sources: `python3 -I -S` and pyrunc unfrozen.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# The shared one could load the library, but its frozen packages have no directory where the schemas would be.
NATIVE = ("static", "shared")
# The dynamic linker's, which the launcher has not; and Python's, because -I is not enough: CPython 3.11 looks for
# pyvenv.cfg, and so for its standard library, where PYTHONEXECUTABLE or __PYVENV_LAUNCHER__ says (Modules/getpath.py).
NOT_HANDED_ON = (b"LD_", b"GLIBC_TUNABLES", b"PYTHON", b"__PYVENV_LAUNCHER__")


def must_leave() -> bool:
    return getattr(sys, "pyrunc_launcher", "") in NATIVE


def leave(argv: Sequence[str]) -> NoReturn:
    """execve(2) of the script with the same arguments; raises OSError when it is not there."""
    launcher: str = sys.pyrunc_library  # type: ignore[attr-defined]
    environment = {name: value for name, value in posix.environ.items() if not name.startswith(NOT_HANDED_ON)}
    posix.execve(f"{launcher}/_pyrunc_cold/pyrunc", list(argv), environment)
