"""Commands that need Python's library on disk: the static launcher, which cannot load it, leaves for a script.

The script is csrc/make_launcher.py's, with the same sources: `python3 -I -S` and pyrunc unfrozen.
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# Python itself is told to look at no variable (-I); these are the dynamic linker's, which the launcher has not.
NOT_HANDED_ON = (b"LD_", b"GLIBC_TUNABLES")


def must_leave() -> bool:
    return getattr(sys, "pyrunc_launcher", "") == "static"


def leave(argv: Sequence[str]) -> NoReturn:
    """execve(2) of the script with the same arguments; raises OSError when it is not there."""
    launcher: str = sys.pyrunc_library  # type: ignore[attr-defined]
    environment = {name: value for name, value in posix.environ.items() if not name.startswith(NOT_HANDED_ON)}
    posix.execve(f"{launcher}/_pyrunc_cold/pyrunc", list(argv), environment)
