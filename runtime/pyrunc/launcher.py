"""Which launcher started this process, for people who ask: --version and features."""

from __future__ import annotations

import sys


def launcher() -> str:
    """What the launcher says of itself (csrc/launcher.c), or `library` when Python imported us; and the interpreter.

    `pyrunc_image` is set while an image is written (csrc/warm.py), so it is there in all that start from one.
    """
    kind: str = getattr(sys, "pyrunc_launcher", "library")
    embedded = f"{kind} libpython{sys.version_info[0]}.{sys.version_info[1]}"
    return f"{embedded}, from an image" if getattr(sys, "pyrunc_image", False) else embedded
